//! What steps leave of their root directories: as layers above images, and as archives.

use std::fs::File;
use std::io::{self, BufWriter};
use std::path::Path;
use std::sync::Arc;

use cullet_cache::StoreError;
use cullet_digest::Digest;
use cullet_image::layer::{
    Capture, Change, EngineRoot, LayerError, Limits, OwnersOf, capture_engine_layer, capture_layer,
};
use cullet_image::{Archive, ImageError, MadeLayer};
use cullet_worker::{CaptureFault, EngineUpper, HeldLayer, LayerFault, LocalFiles, RootUpper};

use super::fetch::Fetcher;
use super::helper::SubIdHelper;

/// 2010-01-01T00:00:00Z, what the inputs of steps have as well: nothing of a root is older or younger than they are for
/// tools that compare times, and archives that know no time before 1980 can hold it.
const MTIME_S: u32 = 1_262_304_000;

impl Fetcher {
    /// A layer that a step left, unpacked if it is not there. Its archive comes from `files`.
    pub(super) async fn made_layer(
        &self,
        layer: &Digest,
        ranged: Option<(u32, u32)>,
        files: Arc<dyn LocalFiles>,
    ) -> Result<HeldLayer, LayerFault> {
        let machine = |error: ImageError| {
            let fault = self.failure(error);
            LayerFault::Machine(fault.source)
        };
        let store = self.store_for(ranged).await.map_err(|fault| LayerFault::Machine(fault.source))?;
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
    if upper.ranged {
        let helper = SubIdHelper::find().ok_or_else(|| CaptureFault::Machine(NO_SUB_IDS.into()))?;
        return helper.capture(upper, to);
    }
    let owners = |uid: u32, gid: u32| upper.owners.inside(uid, gid);
    let without = upper.without();
    let rules = rules(&owners, &without);
    written(to, |file| capture_layer(&upper.path, file, &rules).map(drop))
}

/// The same of a step in a container engine, which says what its files have for owners in the image.
///
/// # Errors
/// As [`capture`].
pub(super) fn capture_engine(upper: &EngineUpper, to: &Path) -> Result<(), CaptureFault> {
    let without: Vec<&str> = upper.mounted.iter().map(String::as_str).collect();
    let change = |is_there: bool| if is_there { Change::There } else { Change::Gone };
    let changes = upper.changes.iter().map(|(path, is_there)| (path.clone(), change(*is_there))).collect();
    let (archive, merged) = (&*upper.archive, upper.merged.as_deref());
    let root = EngineRoot { upper: archive, merged, changes: &changes, places: &upper.places };
    let same = |uid: u32, gid: u32| (uid, gid);
    written(to, |file| capture_engine_layer(&root, file, &rules(&same, &without)))
}

/// What a layer keeps of a root.
pub(super) fn rules<'a>(owners: OwnersOf<'a>, without: &'a [&'a str]) -> Capture<'a> {
    Capture { owners, without, mtime_s: MTIME_S, limits: Limits::default() }
}

fn written(
    to: &Path,
    write: impl FnOnce(BufWriter<File>) -> Result<(), LayerError>,
) -> Result<(), CaptureFault> {
    let file = File::options().write(true).create_new(true).open(to);
    let file = file.map_err(|error| CaptureFault::Machine(error.into()))?;
    match write(BufWriter::with_capacity(BUFFER, file)) {
        Ok(()) => Ok(()),
        Err(error @ (LayerError::Entry { .. } | LayerError::Limit { .. })) => {
            Err(CaptureFault::Step(error.to_string()))
        }
        Err(error) => Err(CaptureFault::Machine(error.into())),
    }
}

/// They were there when the step began.
const NO_SUB_IDS: &str = "the sub-ids of this user cannot be used any more";

/// Entries of small files are written together.
pub(super) const BUFFER: usize = 256 << 10;
