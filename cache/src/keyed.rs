//! Values under names that say nothing of them: what programs cache over HTTP.
//!
//! Each is a blob, and a result that has it as its only output, of an action that nobody executes: so values belong to scopes, are
//! found only as long as all of them is there, and go as results do.

use std::io::Write as _;
use std::sync::Arc;

use bytes::Bytes;
use cullet_digest::{Digest, DigestFunction, Hasher, TreeRef};
use cullet_proto::reapi;
use futures_util::stream::BoxStream;
use futures_util::{StreamExt as _, TryStreamExt as _};
use prost::Message as _;
use tempfile::NamedTempFile;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::arriving::IN_MEMORY;
use crate::grpc::pieces::Readable;
use crate::offload::offload;
use crate::spool::Spool;
use crate::{ActionCache, ActionResult, Blob, BlobStore, LogStream, Output, OutputKind, StoreError, Usage};

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

/// A value on its way.
#[derive(Debug)]
pub struct Gathering {
    sink: Option<Sink>,
    spool: Arc<Spool>,
    _permit: OwnedSemaphorePermit,
}

#[derive(Debug)]
struct Sink {
    hasher: Hasher,
    /// What is in no file yet.
    bytes: Vec<u8>,
    /// Once there are more of them than are kept in memory.
    file: Option<NamedTempFile>,
}

/// A value that has arrived.
#[derive(Debug)]
pub struct Gathered {
    digest: Digest,
    sink: Sink,
}

impl Gathering {
    /// Takes the next bytes.
    ///
    /// # Errors
    /// The disk; then nothing more of it is taken.
    pub async fn append(&mut self, piece: Bytes) -> Result<(), StoreError> {
        let Some(mut sink) = self.sink.take() else { return Err(broken()) };
        // What the network gives is let go of where it came from, and the thread that writes gets the same memory each time.
        sink.bytes.extend_from_slice(&piece);
        drop(piece);
        if sink.bytes.len() as u64 > IN_MEMORY {
            let spool = Arc::clone(&self.spool);
            sink = offload(move || sink.write(&spool).map(|()| sink)).await?;
        }
        self.sink = Some(sink);
        Ok(())
    }

    /// What has arrived.
    ///
    /// # Errors
    /// Something of it was not taken.
    pub async fn finish(mut self) -> Result<Gathered, StoreError> {
        let mut sink = self.sink.take().ok_or_else(broken)?;
        if sink.file.is_some() {
            let spool = Arc::clone(&self.spool);
            sink = offload(move || sink.write(&spool).map(|()| sink)).await?;
        } else {
            sink.hasher.update(&sink.bytes);
        }
        let digest = std::mem::replace(&mut sink.hasher, Hasher::new(FUNCTION)).finish();
        Ok(Gathered { digest, sink })
    }
}

fn broken() -> StoreError {
    StoreError::io("take", "a value", std::io::Error::other("some of it could not be written before"))
}

impl Sink {
    /// Moves what is in memory to the file, which is made if need be. Blocking.
    fn write(&mut self, spool: &Spool) -> Result<(), StoreError> {
        self.hasher.update(&self.bytes);
        let file = match &mut self.file {
            Some(file) => file,
            None => {
                let made = NamedTempFile::new_in(spool.path());
                let file = made.map_err(|error| StoreError::io("make a file in", spool.path(), error))?;
                self.file.insert(file)
            }
        };
        file.write_all(&self.bytes).map_err(|error| StoreError::io("write to", file.path(), error))?;
        self.bytes.clear();
        Ok(())
    }
}

impl Gathered {
    /// The SHA-256 of its bytes, in hexadecimal.
    pub fn hash(&self) -> String {
        self.digest.hash_hex()
    }

    fn blob(&self) -> Result<Blob, StoreError> {
        let Some(file) = &self.sink.file else { return Ok(self.sink.bytes.clone().into()) };
        let opened = file.reopen().map_err(|error| StoreError::io("open", file.path(), error))?;
        Ok(Blob::File { file: opened, path: file.path().to_owned(), len: self.digest.size() })
    }
}

impl KeyedValues {
    pub(crate) fn new(blobs: Arc<dyn BlobStore>, spool: Arc<Spool>) -> Self {
        Self { blobs, spool, arriving: Arc::new(Semaphore::new(ARRIVING)) }
    }

    /// The value of a name, if it and all that it names are there.
    ///
    /// # Errors
    /// The store.
    pub async fn get(&self, actions: &dyn ActionCache, name: &str) -> Result<Option<KeyedValue>, StoreError> {
        let Some(result) = actions.get(&action(name)).await? else { return Ok(None) };
        let value = result.outputs.iter().find_map(|output| match output.kind {
            OutputKind::Tree(TreeRef::File { digest, .. }) if output.path == VALUE => Some(digest),
            _ => None,
        });
        let Some(digest) = value else { return Ok(None) };
        match self.blobs.get(&digest).await {
            Ok(blob) => Ok(Some(KeyedValue(blob.into()))),
            Err(StoreError::NotFound { .. } | StoreError::Mismatch { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// A value to take in; none where as many arrive as may.
    pub fn gather(&self) -> Option<Gathering> {
        let permit = Arc::clone(&self.arriving).try_acquire_owned().ok()?;
        let sink = Sink { hasher: Hasher::new(FUNCTION), bytes: Vec::new(), file: None };
        Some(Gathering { sink: Some(sink), spool: Arc::clone(&self.spool), _permit: permit })
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
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{CompletenessChecking, MemoryActionCache, MemoryStore};

    struct Values {
        values: KeyedValues,
        blobs: Arc<MemoryStore>,
        actions: CompletenessChecking,
        dir: tempfile::TempDir,
    }

    impl Values {
        fn new() -> Self {
            let (dir, blobs) = (tempfile::tempdir().unwrap(), Arc::new(MemoryStore::new(64 << 20)));
            let spool = Arc::new(Spool::open(dir.path()).unwrap());
            let actions = CompletenessChecking::new(Arc::new(MemoryActionCache::new(100)), blobs.clone());
            Self { values: KeyedValues::new(blobs.clone(), spool), blobs, actions, dir }
        }

        async fn put(&self, name: &str, pieces: &[&[u8]]) -> Result<(), StoreError> {
            let mut gathering = self.values.gather().unwrap();
            for piece in pieces {
                gathering.append(Bytes::copy_from_slice(piece)).await?;
            }
            self.values.put(&self.actions, name, gathering.finish().await?).await
        }

        async fn get(&self, name: &str) -> Option<Vec<u8>> {
            let value = self.values.get(&self.actions, name).await.unwrap()?;
            let len = value.len();
            let bytes: Vec<Bytes> = value.into_stream().try_collect().await.unwrap();
            assert_eq!(bytes.iter().map(Bytes::len).sum::<usize>() as u64, len);
            Some(bytes.concat())
        }
    }

    #[tokio::test]
    async fn a_value_comes_back_until_another_takes_its_place() {
        let this = Values::new();
        assert_eq!(this.get("a").await, None);
        this.put("a", &[b"one", b" two"]).await.unwrap();
        assert_eq!(this.get("a").await.unwrap(), b"one two");
        assert_eq!(this.get("b").await, None);
        let large = vec![7; 300_000];
        this.put("a", &[&large, b"", &large]).await.unwrap();
        assert_eq!(this.get("a").await.unwrap(), [&large[..], &large].concat());
        this.put("empty", &[]).await.unwrap();
        assert_eq!(this.get("empty").await.unwrap(), b"");
        let spooled = std::fs::read_dir(this.dir.path().join("arriving")).unwrap().next().unwrap().unwrap();
        assert_eq!(std::fs::read_dir(spooled.path()).unwrap().count(), 0, "files go when they are stored");
    }

    #[tokio::test]
    async fn the_result_of_an_action_is_there_only_with_what_it_names() {
        let this = Values::new();
        let file = FUNCTION.digest(b"out");
        let named = crate::grpc::wire::to_wire(&file);
        let output = reapi::OutputFile { path: "a".to_owned(), digest: Some(named), ..Default::default() };
        let result = reapi::ActionResult { output_files: vec![output], ..Default::default() };
        let bytes = result.encode_to_vec();
        let refused = this.put("ac/x", &[&bytes]).await;
        assert!(matches!(refused, Err(StoreError::NotFound { digest }) if digest == file), "{refused:?}");
        this.blobs.put(&file, Bytes::from_static(b"out").into()).await.unwrap();
        this.put("ac/x", &[&bytes]).await.unwrap();
        assert_eq!(this.get("ac/x").await.unwrap(), bytes);
        let kept = this.actions.get(&action("ac/x")).await.unwrap().unwrap();
        assert!(kept.digests().any(|digest| digest == file), "it lives as long as its name does");
    }

    #[tokio::test]
    async fn no_more_arrive_than_may() {
        let this = Values::new();
        let held: Vec<Gathering> = std::iter::from_fn(|| this.values.gather()).take(1000).collect();
        assert_eq!(held.len(), ARRIVING);
        drop(held);
        assert!(this.values.gather().is_some());
    }
}
