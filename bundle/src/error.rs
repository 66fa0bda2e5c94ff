//! What can be wrong with a bundle.

use std::io;
use std::path::{Path, PathBuf};

/// Why a bundle cannot be used or written.
#[derive(Debug, thiserror::Error)]
pub enum BundleError {
    /// A file cannot be read or written.
    #[error("cannot {action} {}", .path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// With which file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// It is no bundle, or one of another version.
    #[error("{} is no bundle: {problem}", .path.display())]
    Form {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },
    /// An entry is not what it should be.
    #[error("{}: the entry {entry} {problem}", .path.display())]
    Entry {
        /// The file.
        path: PathBuf,
        /// Its name in the archive, and what it is.
        entry: String,
        /// What is wrong with it.
        problem: String,
    },
    /// Nobody who is trusted signed it.
    #[error("{}: {problem}", .path.display())]
    Signature {
        /// The file.
        path: PathBuf,
        /// Who signed it, if anybody did.
        problem: String,
    },
    /// It leaves out what an earlier one has, and that one was not given.
    #[error("{} continues the bundle {base}, which is not given", .path.display())]
    Base {
        /// The file.
        path: PathBuf,
        /// The digest of the manifest of the earlier one.
        base: String,
    },
}

impl BundleError {
    pub(crate) fn io(action: &'static str, path: &Path, source: io::Error) -> Self {
        Self::Io { action, path: path.to_owned(), source }
    }

    pub(crate) fn form(path: &Path, problem: impl ToString) -> Self {
        Self::Form { path: path.to_owned(), problem: problem.to_string() }
    }

    pub(crate) fn entry(path: &Path, entry: impl ToString, problem: impl ToString) -> Self {
        Self::Entry { path: path.to_owned(), entry: entry.to_string(), problem: problem.to_string() }
    }
}
