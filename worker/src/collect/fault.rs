//! What can be wrong with what a step left behind.

use cullet_cache::StoreError;
use cullet_digest::Digest;

/// The step's own fault: it did not leave what it declares, or something that cannot be an output. The
/// messages name paths relative to the workspace.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OutputFault {
    /// Nothing is there.
    #[error("output '{output}' is missing: {nearby}")]
    Missing {
        /// As declared.
        output: String,
        /// What is there instead, in words.
        nearby: String,
    },
    /// No path matches any of the globs.
    #[error("nothing matches output '{output}': {nearby}")]
    NoMatch {
        /// The globs, with spaces between them.
        output: String,
        /// What is there instead, in words.
        nearby: String,
    },
    /// The output's path is not one that stays in the workspace.
    #[error("output '{output}' is not a path below the workspace")]
    Path {
        /// As declared.
        output: String,
    },
    /// The output is, or lies behind, a link that leaves the workspace.
    #[error(
        "output '{output}': '{link}' is a symlink to '{target}', outside the workspace; copy what it points to"
    )]
    LeavesWorkspace {
        /// As declared.
        output: String,
        /// The link.
        link: String,
        /// Where it points.
        target: String,
    },
    /// The links on the way to the output lead nowhere.
    #[error("output '{output}' cannot be reached: more than 40 symlinks on the way, the last is '{link}'")]
    LinkLoop {
        /// As declared.
        output: String,
        /// The last one looked at.
        link: String,
    },
    /// A link inside an output directory may point out of it, where nobody who gets the output can follow it.
    #[error(
        "output '{output}' holds the symlink '{link}' to '{target}', which may lead outside the workspace or the \
         output; make it relative, with '..' only at its beginning and not beyond the output, replace it by what \
         it points to, or leave it out"
    )]
    EscapingLink {
        /// As declared.
        output: String,
        /// The link.
        link: String,
        /// Where it points.
        target: String,
    },
    /// Neither file nor directory nor link.
    #[error("output '{output}': '{path}' is {kind}, which cannot be kept; remove it before the step ends")]
    Special {
        /// As declared.
        output: String,
        /// Where it is.
        path: String,
        /// Such as `a named pipe`.
        kind: &'static str,
    },
    /// A name or link target that is no text.
    #[error("output '{output}': '{path}' is not valid UTF-8, so it can have no place in a tree; rename it")]
    NotUtf8 {
        /// As declared.
        output: String,
        /// The path, with its strange bytes escaped.
        path: String,
    },
    /// Outputs are kept and shown to others.
    #[error(
        "the output '{path}' has the value of the secret {secret} in it, and outputs are kept where others see them: \
         write it below /tmp, or give the secret to the steps that need it"
    )]
    Secret {
        /// Where.
        path: String,
        /// Which.
        secret: String,
    },
    /// All outputs together are too large.
    #[error(
        "the outputs have more than {limit} bytes, the most that the step may leave (at '{path}'); see `limits.output`"
    )]
    TooLarge {
        /// The file that was one too many.
        path: String,
        /// In bytes.
        limit: u64,
    },
    /// All outputs together have too many files and directories.
    #[error("the outputs have more than {limit} files and directories, the most that a step may leave")]
    TooMany {
        /// How many may be.
        limit: u64,
    },
    /// What the step left of its root can be no layer of an image.
    #[error("the step's root cannot be kept: {why}")]
    Root {
        /// Why not.
        why: String,
    },
    /// A pattern that cannot be used.
    #[error("output '{output}' is not a usable glob: {why}")]
    Glob {
        /// The pattern.
        output: String,
        /// What is wrong with it.
        why: String,
    },
}

/// Why outputs could not be collected.
#[derive(Debug, thiserror::Error)]
pub enum CollectError {
    /// The step's fault.
    #[error(transparent)]
    Output(#[from] OutputFault),
    /// The cache could not take them.
    #[error("cannot store the outputs")]
    Store(#[source] StoreError),
    /// The workspace could not be read.
    #[error("cannot read '{path}' of the workspace")]
    Read {
        /// Relative to the workspace.
        path: String,
        /// Why not.
        source: std::io::Error,
    },
    /// What the step left of its root cannot be kept here.
    #[error("cannot keep the step's root directory")]
    Root(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// A directory of the inputs, part of an output, is no longer in the cache.
    #[error("directory '{path}' of the inputs is no longer in the cache")]
    InputLost {
        /// Relative to the workspace.
        path: String,
        /// Its digest.
        digest: Digest,
    },
}

/// A path as a person can read it, on one line.
pub(crate) fn shown(path: &[u8]) -> String {
    match std::str::from_utf8(path) {
        Ok(text) if !text.contains(char::is_control) => text.to_owned(),
        _ => path.escape_ascii().to_string(),
    }
}
