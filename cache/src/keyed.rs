//! Values under names that say nothing of them: what programs cache over HTTP.
//!
//! Each is a blob, and a result that has it as its only output, of an action that nobody executes: so values belong to scopes, are
//! found only as long as all of them is there, and go as results do.

mod gathering;

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use bytes::Bytes;
use cullet_digest::{Digest, DigestFunction, TreeRef};
use cullet_proto::reapi;
use futures_util::stream::BoxStream;
use futures_util::{StreamExt as _, TryStreamExt as _};
use prost::Message as _;
use tokio::sync::Semaphore;

pub use self::gathering::{Gathered, Gathering};
use crate::grpc::pieces::Readable;
use crate::offload::offload;
use crate::spool::Spool;
use crate::{ActionCache, ActionResult, BlobStore, LogStream, Output, OutputKind, StoreError, Usage};

/// That of the caches which name blobs by their hashes over HTTP.
const FUNCTION: DigestFunction = DigestFunction::Sha256;

/// Values that arrive at the same time.
const ARRIVING: usize = 256;

/// The path of a value in its result.
const VALUE: &str = "value";

/// The most bytes of a value that may be the result of an action, and of a tree that it names.
const MOST_NAMING: u64 = 64 << 20;

/// Values beside the blobs of a store. Clones share everything.
#[derive(Debug, Clone)]
pub struct KeyedValues {
    blobs: Arc<dyn BlobStore>,
    spool: Arc<Spool>,
    arriving: Arc<Semaphore>,
    /// Bytes of all that arrives.
    bytes: Arc<AtomicU64>,
}

/// A value that is there.
#[derive(Debug)]
pub struct KeyedValue(Readable);

impl KeyedValue {
    /// Its bytes.
    pub fn len(&self) -> u64 {
        self.0.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The bytes, piece by piece.
    pub fn into_stream(self) -> BoxStream<'static, Result<Bytes, StoreError>> {
        let len = self.0.len();
        self.0.pieces(0, len).map_ok(|(_, piece)| piece).boxed()
    }
}

impl KeyedValues {
    pub(crate) fn new(blobs: Arc<dyn BlobStore>, spool: Arc<Spool>) -> Self {
        let (arriving, bytes) = (Arc::new(Semaphore::new(ARRIVING)), Arc::default());
        Self { blobs, spool, arriving, bytes }
    }

    /// The value of a name, if it and all that it names are there.
    ///
    /// # Errors
    /// The store.
    pub async fn get(&self, actions: &dyn ActionCache, name: &str) -> Result<Option<KeyedValue>, StoreError> {
        let Some(digest) = find(actions, name).await? else { return Ok(None) };
        match self.blobs.get(&digest).await {
            Ok(blob) => Ok(Some(KeyedValue(blob.into()))),
            Err(StoreError::NotFound { .. } | StoreError::Mismatch { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// How many bytes the value of a name has, if it and all that it names are there. None of them is read.
    ///
    /// # Errors
    /// The store.
    pub async fn len(&self, actions: &dyn ActionCache, name: &str) -> Result<Option<u64>, StoreError> {
        Ok(find(actions, name).await?.map(|digest| digest.size()))
    }

    /// A value to take in; none where as many arrive as may.
    pub fn gather(&self) -> Option<Gathering> {
        let permit = Arc::clone(&self.arriving).try_acquire_owned().ok()?;
        Some(Gathering::new(Arc::clone(&self.spool), Arc::clone(&self.bytes), permit))
    }

    /// Gives a name a value, in place of any earlier one.
    ///
    /// # Errors
    /// The store; and [`StoreError::NotFound`] where it is the result of an action that names blobs which are not there.
    pub async fn put(
        &self,
        actions: &dyn ActionCache,
        name: &str,
        value: Gathered,
    ) -> Result<(), StoreError> {
        let named = self.named_by(&value).await?;
        let missing = self.blobs.find_missing(&named).await?;
        if let Some(digest) = missing.first() {
            return Err(StoreError::NotFound { digest: *digest });
        }
        self.blobs.put(&value.digest, value.blob()?).await?;
        actions.put(&action(name), &result(value.digest, named)).await
    }

    /// The blobs that a value names, if it is the result of an action: they are kept as long as it is.
    async fn named_by(&self, value: &Gathered) -> Result<Vec<Digest>, StoreError> {
        if value.digest.size() > MOST_NAMING {
            return Ok(Vec::new());
        }
        let blob = value.blob()?;
        let read = move || {
            let bytes = blob.into_bytes().map_err(|error| StoreError::io("read", "a value", error))?;
            Ok(named_in(&bytes))
        };
        let Some(Named { mut blobs, trees }) = offload(read).await? else { return Ok(Vec::new()) };
        for tree in trees.into_iter().filter(|tree| tree.size() <= MOST_NAMING) {
            blobs.push(tree);
            let Ok(found) = self.blobs.get(&tree).await else { continue };
            let read = move || {
                let bytes = found.into_bytes().map_err(|error| StoreError::io("read", "a tree", error))?;
                Ok(files_of(bytes))
            };
            blobs.extend(offload(read).await?);
        }
        blobs.retain(|blob| !blob.is_empty());
        blobs.sort_unstable();
        blobs.dedup();
        Ok(blobs)
    }
}

/// Which blob the value of a name is.
async fn find(actions: &dyn ActionCache, name: &str) -> Result<Option<Digest>, StoreError> {
    let result = actions.get(&action(name)).await?;
    let outputs = result.into_iter().flat_map(|result| result.outputs);
    let value = outputs.filter(|output| output.path == VALUE).find_map(|output| match output.kind {
        OutputKind::Tree(TreeRef::File { digest, .. }) => Some(digest),
        _ => None,
    });
    Ok(value)
}

/// What a result names.
struct Named {
    blobs: Vec<Digest>,
    trees: Vec<Digest>,
}

/// What these bytes name, if they are the result of an action.
fn named_in(bytes: &[u8]) -> Option<Named> {
    let message = reapi::ActionResult::decode(bytes).ok()?;
    let digest = |digest: &reapi::Digest| Digest::from_wire(FUNCTION, &digest.hash, digest.size_bytes).ok();
    let mut blobs = Vec::new();
    for file in &message.output_files {
        blobs.push(digest(file.digest.as_ref()?)?);
    }
    for log in [&message.stdout_digest, &message.stderr_digest].into_iter().flatten() {
        blobs.push(digest(log)?);
    }
    let mut trees = Vec::new();
    for directory in &message.output_directories {
        trees.push(digest(directory.tree_digest.as_ref()?)?);
    }
    Some(Named { blobs, trees })
}

/// All files in a `Tree`; none where it is no such message.
fn files_of(tree: Bytes) -> Vec<Digest> {
    let Ok(reapi::Tree { root, children }) = reapi::Tree::decode(tree) else { return Vec::new() };
    let directories = std::iter::once(&root).chain(&children);
    let read = directories.filter_map(|bytes| cullet_digest::Directory::decode(FUNCTION, bytes).ok());
    read.flat_map(|directory| directory.files().iter().map(|file| file.digest).collect::<Vec<_>>()).collect()
}

/// The action that stands for a name. It has no bytes that anybody could store.
fn action(name: &str) -> Digest {
    FUNCTION.digest(format!("cullet value 1\0{name}").as_bytes())
}

fn result(value: Digest, named: Vec<Digest>) -> ActionResult {
    let output = |path: String, digest| {
        let kind = OutputKind::Tree(TreeRef::File { digest, executable: false });
        Output { path, kind }
    };
    let named = named.into_iter().enumerate();
    let named = named.map(|(number, digest)| output(format!("named/{number:08}"), digest));
    ActionResult {
        exit_code: 0,
        outputs: named.chain([output(VALUE.to_owned(), value)]).collect(),
        stdout: LogStream::default(),
        stderr: LogStream::default(),
        interleaving: Vec::new(),
        worker: String::new(),
        started_at_ms: 0,
        duration_ms: 0,
        usage: Usage::default(),
        signature: None,
        trees: Vec::new(),
        times: Default::default(),
    }
}

#[cfg(test)]
mod tests;
