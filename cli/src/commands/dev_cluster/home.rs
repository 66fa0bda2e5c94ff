//! Where a cluster on this machine keeps everything.

use std::fs::{self, DirBuilder};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use crate::diagnostics;
use crate::error::CliError;
use crate::paths;

/// A directory for the data, the logs and the shared store of a cluster.
pub(super) struct Home {
    dir: PathBuf,
    /// Whether it goes with the cluster.
    is_temporary: bool,
}

impl Home {
    /// Makes the directory that was named, or one in the place for temporary files.
    pub(super) fn make(named: Option<&Path>) -> Result<Self, CliError> {
        let dir = match named {
            Some(dir) => paths::absolute(dir.to_owned())?,
            None => std::env::temp_dir().join(format!("cullet-dev-{:016x}", crate::random::number())),
        };
        let home = Self { dir, is_temporary: named.is_none() };
        let made = if home.is_temporary {
            // Must not be there: whose it would be is not known. Steps of another user enter it to get at their inputs.
            DirBuilder::new().mode(0o711).create(&home.dir)
        } else {
            fs::create_dir_all(&home.dir)
        };
        made.and_then(|()| fs::create_dir_all(home.logs())).map_err(|error| {
            CliError::infra(format!("cannot make the directory {}", home.dir.display()))
                .because(error)
                .hint("name another one with --dir")
        })?;
        Ok(home)
    }

    pub(super) fn dir(&self) -> &Path {
        &self.dir
    }

    pub(super) fn logs(&self) -> PathBuf {
        self.dir.join("logs")
    }

    /// Where ports are kept, where somebody may come back.
    pub(super) fn ports(&self) -> Option<PathBuf> {
        (!self.is_temporary).then(|| self.dir.join("ports"))
    }

    /// The log of a process.
    pub(super) fn log(&self, name: &str) -> PathBuf {
        self.logs().join(format!("{name}.log"))
    }

    /// Removes what nobody wants to keep.
    pub(super) fn close(self) {
        if !self.is_temporary {
            return;
        }
        if let Err(error) = fs::remove_dir_all(&self.dir) {
            diagnostics::report(&format!("warning: cannot remove {}: {error}\n", self.dir.display()));
        }
    }
}
