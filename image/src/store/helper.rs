//! Work on layers for which files have to be given to others: as a task for a process that may do that.

use std::fmt;
use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use serde::{Deserialize, Serialize};

use crate::layer::{LayerError, LayerId, UnpackOptions, Unpacked, unpack_layer, unpack_made};

/// Whoever can give files to the owners that [`Owners::Given`](crate::layer::Owners::Given) names.
pub trait OwnerHelper: fmt::Debug + Send + Sync {
    /// As [`UnpackTask::run`], where that may give files to others. Blocking.
    ///
    /// # Errors
    /// What [`LayerError`] says.
    fn unpack(&self, task: &UnpackTask, cancelled: &AtomicBool) -> Result<Unpacked, LayerError>;

    /// Gives a directory and all that is below it to whoever runs this. Blocking.
    ///
    /// # Errors
    /// The first thing that goes wrong.
    fn take_over(&self, dir: &Path) -> io::Result<()>;
}

/// A layer that is to be unpacked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnpackTask {
    /// Where the archive is, from which byte on, and how many at most.
    pub file: PathBuf,
    /// See `file`.
    pub offset: u64,
    /// See `file`.
    pub bytes: u64,
    /// What it has to be; none where somebody else knows that it is what it should be.
    pub id: Option<LayerId>,
    /// An existing, empty directory.
    pub tree: PathBuf,
    /// How it is unpacked.
    pub options: UnpackOptions,
}

impl UnpackTask {
    /// Unpacks it in this process. Blocking.
    ///
    /// # Errors
    /// What [`LayerError`] says.
    pub fn run(&self, cancelled: &AtomicBool) -> Result<Unpacked, LayerError> {
        let fail = |error| LayerError::io("read", &self.file, error);
        let mut file = File::open(&self.file).map_err(fail)?;
        file.seek(SeekFrom::Start(self.offset)).map_err(fail)?;
        let source = file.take(self.bytes);
        match &self.id {
            Some(id) => unpack_layer(source, &self.tree, id, &self.options, cancelled),
            None => unpack_made(source, &self.tree, self.bytes, &self.options, cancelled),
        }
    }

    /// Here, or by whoever helps with it.
    pub(super) fn run_with(
        &self,
        helper: Option<&dyn OwnerHelper>,
        cancelled: &AtomicBool,
    ) -> Result<Unpacked, LayerError> {
        match helper {
            Some(helper) => helper.unpack(self, cancelled),
            None => self.run(cancelled),
        }
    }
}
