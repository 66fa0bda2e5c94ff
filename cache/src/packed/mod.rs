//! Blobs on storage where every request takes long, in few requests; see [`Objects`] for what that storage can do.
//!
//! - A **tree** (an output directory) is one record: all its directories, and where each file is. Files of up to a mebibyte
//!   lie one behind the other in packs of about 4 MiB; if all of them together are few bytes, they are in the record itself.
//! - A **blob** that something names directly, or that is longer than that, is a record with its bytes; one above 4 MiB is cut
//!   where its content says so (FastCDC, Xia et al., USENIX ATC 2016 and IEEE TPDS 2020), and its record names the pieces.
//! - Packs and pieces are data under their own hash, so what two trees or two versions of a blob have in common is stored
//!   and sent once. Everything is compressed (Zstandard) where that pays.
//!
//! A record is written after the data that it points to, so whoever finds the record finds the rest: that is what makes it
//! cheap to know whether a result is complete. Where data is gone or damaged all the same, its record is removed when that
//! is noticed; the blobs are then missing, and whoever makes them again stores them again.
//!
//! A blob below a directory is found by way of its tree. A store that has read or written the tree remembers that; another
//! one learns it when it is asked for the root of the tree first, as everybody does who needs what is below.

mod actions;
mod blobs;
mod cut;
mod data;
mod frame;
mod kept_tree;
pub(crate) mod points;
mod put_blob;
mod put_tree;
mod recipe;
pub(crate) mod runs;
mod trees;

#[cfg(test)]
pub(crate) mod tests;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use cullet_digest::Digest;
use quick_cache::Weighter;
use quick_cache::sync::Cache;
use tokio::sync::Semaphore;

pub use self::actions::PackedActions;
pub use self::kept_tree::KeptTree;
pub use self::runs::Recalled;
use crate::receive::Patience;
use crate::single_flight::SingleFlight;
use crate::spool::Spool;
use crate::{Objects, StoreError};

/// The longest blob that is put into a pack: longer ones gain nothing from company.
const SMALL: u64 = 1 << 20;

/// The longest blob that is stored in one piece: 4 MiB. Longer ones are worth cutting, so that a changed one shares what did
/// not change.
const WHOLE: u64 = 4 << 20;

/// If the small blobs of a tree are no more than this together, they are in its record: one request instead of two.
const INLINE: u64 = 64 << 10;

/// Memory for trees that were read or written: those of some hundred thousand files.
const TREES: u64 = 64 << 20;

/// Memory for packs, for those who read one blob after the other.
const PACKS: u64 = 32 << 20;

/// Blobs of which is remembered in which tree they are: about 20 MiB.
const KNOWN: usize = 200_000;

/// Packs in the making at the same time, whoever makes them: of each there are its bytes, and those that are sent.
const PACKS_AT_ONCE: usize = 4;

/// Large blobs that are cut at the same time. Of each there are up to eight pieces in memory.
const CUT_AT_ONCE: usize = 2;

/// How long a piece of a large blob may take, with everything that the storage does again meanwhile.
const PIECE: Duration = Duration::from_secs(120);

/// Blobs over [`Objects`]; see the [module](self). Clones share everything.
#[derive(Clone)]
pub struct PackedBlobs {
    inner: Arc<Inner>,
}

struct Inner {
    objects: Arc<dyn Objects>,
    /// Trees by their roots.
    trees: Cache<Digest, Arc<KeptTree>, Weight>,
    /// The root of a tree that has this blob.
    known: Cache<Digest, Digest>,
    /// The bytes of packs by the name of the data.
    packs: Cache<Digest, Bytes, Weight>,
    reading_trees: SingleFlight<Result<Option<Arc<KeptTree>>, StoreError>>,
    reading_packs: SingleFlight<Result<Bytes, StoreError>>,
    forgetting: SingleFlight<()>,
    patience: Patience,
    packing: Semaphore,
    cutting: Semaphore,
}

impl fmt::Debug for PackedBlobs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PackedBlobs").field("objects", &self.inner.objects).finish_non_exhaustive()
    }
}

impl PackedBlobs {
    /// Blobs over this storage. Large ones that somebody wants in one piece are put together in the directory `spool`.
    ///
    /// # Errors
    /// Where that directory cannot be made.
    pub fn new(objects: Arc<dyn Objects>, spool: impl Into<std::path::PathBuf>) -> Result<Self, StoreError> {
        let spool = Arc::new(Spool::open(&spool.into())?);
        let inner = Inner {
            objects,
            trees: Cache::with_weighter(1024, TREES, Weight),
            known: Cache::new(KNOWN),
            packs: Cache::with_weighter(64, PACKS, Weight),
            reading_trees: SingleFlight::default(),
            reading_packs: SingleFlight::default(),
            forgetting: SingleFlight::default(),
            patience: Patience { deadline: PIECE, retries: 0, spool },
            packing: Semaphore::new(PACKS_AT_ONCE),
            cutting: Semaphore::new(CUT_AT_ONCE),
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// The tree that is known to have this blob.
    async fn tree_of(&self, blob: &Digest) -> Result<Option<Arc<KeptTree>>, StoreError> {
        let Some(root) = self.inner.known.get(blob) else { return Ok(None) };
        self.read_tree(&root).await
    }

    /// Remembers a tree, and of each blob that it has it.
    fn remember(&self, tree: &Arc<KeptTree>) {
        let root = tree.root();
        let packed = (0..tree.packs()).flat_map(|index| tree.in_pack(index));
        let directories = tree.directories().iter().map(|(digest, _)| digest);
        packed.chain(directories).for_each(|blob| self.inner.known.insert(*blob, root));
        self.inner.trees.insert(root, Arc::clone(tree));
    }
}

/// What something takes in memory.
#[derive(Clone)]
struct Weight;

impl Weighter<Digest, Arc<KeptTree>> for Weight {
    fn weight(&self, _: &Digest, tree: &Arc<KeptTree>) -> u64 {
        tree.weight() as u64
    }
}

impl Weighter<Digest, Bytes> for Weight {
    fn weight(&self, _: &Digest, bytes: &Bytes) -> u64 {
        bytes.len() as u64
    }
}
