//! Commands on their way through raft, as bytes: a command is encoded once, where it is proposed, and decoded once on each
//! coordinator, where it is applied. Whatever lies between, the log and the messages of raft, only copies; a submission of a
//! hundred thousand steps would otherwise keep a leader from saying in time that it is there.

use std::fmt;
use std::io;

use bytes::Bytes;
use cullet_core::LogCommand;
use serde::{Deserialize, Serialize};

use super::stored::known;

/// A command as the log has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EncodedCommand {
    bytes: Vec<u8>,
    submits: bool,
    needs: u32,
}

impl EncodedCommand {
    /// Takes as long as the command is large.
    ///
    /// # Errors
    /// It cannot be encoded.
    pub fn new(command: &LogCommand) -> io::Result<Self> {
        let bytes = postcard::to_stdvec(command).map_err(io::Error::other)?;
        Ok(Self { bytes, submits: matches!(command, LogCommand::Submit { .. }), needs: command.needs() })
    }

    /// How many bytes.
    pub const fn size(&self) -> usize {
        self.bytes.len()
    }

    /// Whether it is a submission, which has one answer among the effects.
    pub(crate) const fn submits(&self) -> bool {
        self.submits
    }
}

/// Commands that are committed together, so that they share what a round through raft costs.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Batch {
    /// The version of the log that has to be known for understanding all of them.
    needs: u32,
    count: u32,
    /// One after the other.
    commands: Bytes,
}

impl Batch {
    /// These commands, in this order.
    pub fn new(commands: Vec<EncodedCommand>) -> Self {
        let count = commands.len() as u32;
        let needs = commands.iter().map(|command| command.needs).max().unwrap_or(0);
        let mut commands = commands.into_iter();
        let mut bytes = commands.next().map(|first| first.bytes).unwrap_or_default();
        commands.for_each(|next| bytes.extend_from_slice(&next.bytes));
        Self { needs, count, commands: bytes.into() }
    }

    /// This command.
    ///
    /// # Errors
    /// It cannot be encoded.
    pub fn of(command: &LogCommand) -> io::Result<Self> {
        Ok(Self::new(vec![EncodedCommand::new(command)?]))
    }

    /// How many commands.
    pub const fn len(&self) -> u32 {
        self.count
    }

    /// Whether nothing is said.
    pub const fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Bytes that all commands have together.
    pub(super) const fn size(&self) -> usize {
        self.commands.len()
    }

    /// The commands. Takes as long as they are large.
    ///
    /// # Errors
    /// These are no commands, or a newer version of this program understands them.
    pub(super) fn decode(&self) -> io::Result<Vec<LogCommand>> {
        known(self.needs, "an entry of the log")?;
        let mut rest = &self.commands[..];
        // The count is somebody's word; every command has at least one byte.
        let mut commands = Vec::with_capacity(rest.len().min(self.count as usize));
        for _ in 0..self.count {
            let (command, after) = postcard::take_from_bytes(rest).map_err(io::Error::other)?;
            commands.push(command);
            rest = after;
        }
        if rest.is_empty() {
            Ok(commands)
        } else {
            Err(io::Error::other(format!("{} bytes after the last command of an entry", rest.len())))
        }
    }
}

impl fmt::Debug for Batch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// For raft's own log lines: a batch can be megabytes.
impl fmt::Display for Batch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} commands", self.count)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use cullet_core::spec::RunSpec;
    use cullet_core::{NEWEST_VERSION, RunId};

    use super::*;

    #[test]
    fn commands_come_out_as_they_went_in() {
        let submit = LogCommand::Submit { run: RunId(7), spec: Arc::new(RunSpec::default()), at: 3 };
        for commands in [vec![], vec![LogCommand::Tick { at: 1 }], vec![submit, LogCommand::Tick { at: 4 }]] {
            let encoded = commands.iter().map(|command| EncodedCommand::new(command).unwrap()).collect();
            let batch = Batch::new(encoded);
            let sent: Batch = postcard::from_bytes(&postcard::to_stdvec(&batch).unwrap()).unwrap();
            assert_eq!((sent.len() as usize, sent.is_empty()), (commands.len(), commands.is_empty()));
            assert_eq!(sent.decode().unwrap(), commands);
        }
    }

    #[test]
    fn what_is_not_commands_is_refused() {
        let batch = Batch::of(&LogCommand::Tick { at: 1 }).unwrap();
        let more = Batch { count: u32::MAX, ..batch.clone() };
        assert!(more.decode().is_err());
        let fewer = Batch { count: 0, ..batch.clone() };
        assert!(fewer.decode().unwrap_err().to_string().contains("2 bytes after the last command"));
        let newer = Batch { needs: NEWEST_VERSION + 1, ..batch.clone() };
        assert!(newer.decode().unwrap_err().to_string().contains("start the newer program"));
        let other = Batch { commands: Bytes::from_static(&[250, 1]), ..batch };
        assert!(other.decode().is_err());
    }
}
