//! Why an input root could not be made.

use std::path::PathBuf;

use cullet_cache::StoreError;
use cullet_digest::{Digest, DirectoryError};

/// How many lost inputs are named one by one: whoever repairs them finds the others on the way.
const MAX_NAMED: usize = 1000;

/// An input whose content is nowhere to be found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LostInput {
    /// Relative to the input root; empty for the root itself.
    pub path: String,
    /// Of the file or directory.
    pub digest: Digest,
}

/// Inputs whose content is nowhere to be found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LostInputs {
    /// The first 1,000.
    pub inputs: Vec<LostInput>,
    /// How many more there are.
    pub more: u64,
}

impl LostInputs {
    pub(crate) fn add(&mut self, path: String, digest: Digest) {
        if self.inputs.len() < MAX_NAMED {
            self.inputs.push(LostInput { path, digest });
        } else {
            self.more += 1;
        }
    }
}

/// Why an input root could not be made.
#[derive(Debug, thiserror::Error)]
pub enum InputError {
    /// Content is missing or damaged.
    #[error("{} input(s) of the step are no longer in the cache", .0.inputs.len() as u64 + .0.more)]
    Lost(LostInputs),
    /// A source file is not what it was when the run began.
    #[error("{} changed while the run was going on; run again", .0.display())]
    Changed(PathBuf),
    /// Nobody wants it any more.
    #[error("the inputs of the step are no longer wanted")]
    Stopped,
    /// The cache is in trouble.
    #[error("cannot take the inputs of the step from the cache")]
    Store(#[source] StoreError),
    /// The working directory is in trouble.
    #[error("cannot make '{path}' of the step's inputs")]
    Make {
        /// Relative to the input root.
        path: String,
        /// Why not.
        source: std::io::Error,
    },
    /// The bytes of a directory are those of its digest, but no directory.
    #[error("'{path}' of the step's inputs is not a directory that can be made")]
    Invalid {
        /// Relative to the input root.
        path: String,
        /// Why not.
        source: DirectoryError,
    },
}
