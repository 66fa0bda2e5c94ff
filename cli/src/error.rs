//! What went wrong, sorted by whose turn it is, and what to do about it.

use std::error::Error;
use std::fmt;
use std::io;

/// Whose turn it is. Decides the exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorKind {
    /// The command line, the configuration or the pipeline is wrong.
    Usage,
    /// The machine, the disk, the network.
    Infra,
    /// Whoever read our output is gone; there is nobody to tell.
    Unread,
}

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExitStatus {
    /// All well.
    Success,
    /// A step failed.
    StepFailed,
    /// The command line, configuration or pipeline is wrong, and the command has said so itself.
    Usage,
    /// Infrastructure failed, and the command has said so itself.
    Infra,
    /// Interrupted by a person.
    Interrupted,
}

impl ExitStatus {
    /// The process's exit code.
    pub const fn code(self) -> u8 {
        match self {
            Self::Success => 0,
            Self::StepFailed => 1,
            Self::Usage => 2,
            Self::Infra => 3,
            Self::Interrupted => 130,
        }
    }
}

/// An error at the edge: a sentence, its causes, hints.
#[derive(Debug)]
pub struct CliError {
    kind: ErrorKind,
    message: String,
    source: Option<Box<dyn Error + Send + Sync>>,
    hints: Vec<String>,
}

impl CliError {
    /// The person who typed the command can help it.
    pub fn usage(message: impl Into<String>) -> Self {
        Self { kind: ErrorKind::Usage, message: message.into(), source: None, hints: Vec::new() }
    }

    /// The machine is at fault.
    pub fn infra(message: impl Into<String>) -> Self {
        Self { kind: ErrorKind::Infra, ..Self::usage(message) }
    }

    /// Standard output could not be written.
    pub fn output(error: io::Error) -> Self {
        let kind =
            if error.kind() == io::ErrorKind::BrokenPipe { ErrorKind::Unread } else { ErrorKind::Infra };
        Self { kind, ..Self::usage("cannot write to standard output") }.because(error)
    }

    /// Something that belongs to a later version.
    pub fn later(what: &str) -> Self {
        Self::usage(format!("{what} comes with a later version of Cullet"))
    }

    /// Adds the cause.
    pub fn because(self, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self { source: Some(source.into()), ..self }
    }

    /// Adds what to do about it.
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }

    /// Whose turn it is.
    pub const fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// What to do about it.
    pub fn hints(&self) -> &[String] {
        &self.hints
    }

    /// How the process ends.
    pub const fn status(&self) -> ExitStatus {
        match self.kind {
            ErrorKind::Usage => ExitStatus::Usage,
            ErrorKind::Infra => ExitStatus::Infra,
            // As `yes | head` ends for everybody but a shell with `pipefail`.
            ErrorKind::Unread => ExitStatus::Success,
        }
    }
}

impl fmt::Display for CliError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl Error for CliError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_deref().map(|source| source as &(dyn Error + 'static))
    }
}

/// Every error of [`cullet_cache`] is about the machine, except a cache of the future, which a person chose.
impl From<cullet_cache::StoreError> for CliError {
    fn from(error: cullet_cache::StoreError) -> Self {
        let kind = match error {
            cullet_cache::StoreError::FutureVersion { .. } => ErrorKind::Usage,
            _ => ErrorKind::Infra,
        };
        let message = error.to_string();
        let hints = match error {
            cullet_cache::StoreError::InUse { .. } => vec!["wait for them, or add --force".to_owned()],
            cullet_cache::StoreError::Io { .. } => {
                vec!["name another directory with --cache-dir or CULLET_CACHE_DIR".to_owned()]
            }
            _ => Vec::new(),
        };
        let source = error.source().map(|source| source.to_string().into());
        Self { kind, message, source, hints }
    }
}

/// A name that fits no run is the person's; the rest is the machine's.
impl From<crate::history::HistoryError> for CliError {
    fn from(error: crate::history::HistoryError) -> Self {
        use crate::history::HistoryError as E;
        let message = error.to_string();
        match error {
            E::Empty { .. } => Self::usage(message).hint("start one with cullet run"),
            E::Unknown { .. } => Self::usage(message).hint("list runs with cullet runs"),
            E::Ambiguous { .. } => Self::usage(message).hint("write more of its name"),
            E::Recorded { .. } => Self::infra(message),
            E::Damaged { source, .. } => Self::infra(message).because(source),
            E::Io { source, .. } => Self::infra(message).because(source),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exit_codes_are_those_that_others_rely_on() {
        let codes = [
            (ExitStatus::Success, 0),
            (ExitStatus::StepFailed, 1),
            (CliError::usage("x").status(), 2),
            (CliError::infra("x").status(), 3),
            (ExitStatus::Interrupted, 130),
            (CliError::output(io::ErrorKind::BrokenPipe.into()).status(), 0),
            (CliError::output(io::ErrorKind::StorageFull.into()).status(), 3),
        ];
        for (status, code) in codes {
            assert_eq!(status.code(), code);
        }
    }
}
