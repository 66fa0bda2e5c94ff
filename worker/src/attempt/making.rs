//! The making of an input root, on a thread that may outlive whoever asked for it.

use std::path::PathBuf;
use std::sync::Arc;

use cullet_digest::Digest;
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

use super::{Session, Stores, remove_tree, report};
use crate::input_root::{Builder, InputError};

/// An input root to be made.
pub(super) struct Making {
    pub(super) root: Digest,
    pub(super) target: PathBuf,
    pub(super) stores: Stores,
    pub(super) owner: Option<(u32, u32)>,
    pub(super) stop: CancellationToken,
    /// Its directory has to be there for as long as something is made in it.
    pub(super) session: Arc<Session>,
}

impl Making {
    /// Makes it.
    pub(super) async fn run(self) -> Result<(), InputError> {
        let runtime = Handle::current();
        if self.root.is_empty() {
            // One directory: not worth another thread.
            return self.make(runtime);
        }
        let made = tokio::task::spawn_blocking(move || self.make(runtime)).await;
        made.unwrap_or_else(|error| {
            Err(InputError::Make { path: String::new(), source: std::io::Error::other(error) })
        })
    }

    /// Blocks. What nobody waits for any more is removed at once.
    fn make(self, runtime: Handle) -> Result<(), InputError> {
        let Stores { blobs, files, sources, .. } = &self.stores;
        let (blobs, files, sources) = (&**blobs, &**files, &**sources);
        let builder = Builder { blobs, files, sources, runtime, owner: self.owner, stop: &self.stop };
        let mut made = builder.build(&self.root, &self.target);
        if self.stop.is_cancelled() {
            made = Err(InputError::Stopped);
        }
        if made.is_err() {
            report(&self.target, remove_tree(&self.target));
        }
        drop(self.session);
        made
    }
}
