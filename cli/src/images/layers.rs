//! What steps leave of their root directories: as layers above images, and as archives.

use std::fs::File;
use std::io::{self, BufWriter};
use std::path::Path;
use std::sync::Arc;

use cullet_cache::StoreError;
use cullet_digest::Digest;
use cullet_image::layer::{Capture, LayerError, Limits, capture_layer};
use cullet_image::{Archive, ImageError, MadeLayer};
use cullet_worker::{CaptureFault, HeldLayer, LayerFault, LocalFiles, RootUpper};

use super::fetch::Fetcher;

/// 2010-01-01T00:00:00Z, what the inputs of steps have as well: nothing of a root is older or younger than they are for
/// tools that compare times, and archives that know no time before 1980 can hold it.
pub(super) const MTIME_S: u32 = 1_262_304_000;

impl Fetcher {
    /// A layer that a step left, unpacked if it is not there. Its archive comes from `files`.
    pub(super) async fn made_layer(
        &self,
        layer: &Digest,
        files: Arc<dyn LocalFiles>,
    ) -> Result<HeldLayer, LayerFault> {
        let machine = |error: ImageError| {
            let fault = self.failure(error);
            LayerFault::Machine(fault.source)
        };
        let store = self.store().await.map_err(|fault| LayerFault::Machine(fault.source))?;
        let name = layer.hash_hex();
        let mut made = store.made_layer(&name, archive(*layer, Arc::clone(&files))).await;
        if matches!(&made, Err(error) if error.is_no_space()) && self.make_room().await {
            made = store.made_layer(&name, archive(*layer, files)).await;
        }
        let MadeLayer { tree, hold } = made.map_err(machine)?.ok_or(LayerFault::Lost)?;
        Ok(HeldLayer { tree, hold: Box::new(hold) })
    }
}

/// The blob as a file of the store, mostly by a hard link.
fn archive(layer: Digest, files: Arc<dyn LocalFiles>) -> Archive {
    Box::new(move |path| match files.link_to(&layer, false, path) {
        Ok(()) => Ok(true),
        Err(StoreError::NotFound { .. } | StoreError::Mismatch { .. }) => Ok(false),
        Err(StoreError::NoSpace { .. }) => Err(io::ErrorKind::StorageFull.into()),
        Err(error) => Err(io::Error::other(error)),
    })
}

/// Writes what a step changed of its root as a layer. Blocks.
///
/// # Errors
/// The step left what no layer can hold, or the file cannot be written.
pub(super) fn capture(upper: &RootUpper, to: &Path) -> Result<(), CaptureFault> {
    let rules = Capture {
        owners: &|uid, gid| upper.owners.inside(uid, gid),
        without: &RootUpper::MOUNTED,
        mtime_s: MTIME_S,
        limits: Limits::default(),
    };
    let file = File::options().write(true).create_new(true).open(to);
    let file = file.map_err(|error| CaptureFault::Machine(error.into()))?;
    match capture_layer(&upper.path, BufWriter::with_capacity(BUFFER, file), &rules) {
        Ok(_) => Ok(()),
        Err(error @ (LayerError::Entry { .. } | LayerError::Limit { .. })) => {
            Err(CaptureFault::Step(error.to_string()))
        }
        Err(error) => Err(CaptureFault::Machine(error.into())),
    }
}

/// Entries of small files are written together.
const BUFFER: usize = 256 << 10;
