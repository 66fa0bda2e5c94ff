//! `ContentAddressableStorage.SplitBlob`.

use std::fmt;
use std::io::Read;
use std::sync::Arc;

use bytes::Bytes;
use cullet_digest::{Digest, Hasher};
use cullet_proto::reapi::storage::{SplitBlobRequest, SplitBlobResponse};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use quick_cache::Weighter;
use quick_cache::sync::Cache;
use tokio::sync::{Semaphore, mpsc};
use tonic::Status;

use super::StorageServices;
use super::services::{digest, function};
use crate::chunks::{LEAST, MEAN, chunks};
use crate::grpc::wire;
use crate::whole::compare;
use crate::{Blob, StoreError};

/// `ChunkingFunction.FAST_CDC_2020`.
const FAST_CDC: i32 = 1;

/// Chunks of one answer, which are about 76 bytes each: half of what a message may have. That is a blob of 16 GiB.
const MOST_CHUNKS: usize = 32 << 10;

/// Blobs that are cut at the same time. Of each there are as many chunks in memory as the two numbers below say.
const CUT_AT_ONCE: usize = 2;

/// Blobs that are cut or wait for that: some seconds for each, so a minute or two.
const ASKED_AT_ONCE: usize = 32;

/// Chunks that are cut and wait.
const CUT: usize = 2;

/// Chunks of one blob that are stored at the same time.
const STORED_AT_ONCE: usize = 4;

/// Memory for what blobs are made of: of some hundred gigabytes of them.
const KNOWN_BYTES: u64 = 16 << 20;

/// What blobs are made of, as far as it is known, and the right to find out.
pub(super) struct Splitting {
    known: Cache<Digest, Arc<[Digest]>, Weight>,
    cutting: Semaphore,
    asked: Semaphore,
}

impl Default for Splitting {
    fn default() -> Self {
        let known = Cache::with_weighter(1024, KNOWN_BYTES, Weight);
        Self { known, cutting: Semaphore::new(CUT_AT_ONCE), asked: Semaphore::new(ASKED_AT_ONCE) }
    }
}

impl fmt::Debug for Splitting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Splitting").field("known", &self.known.len()).finish_non_exhaustive()
    }
}

/// What a list of chunks takes in memory.
#[derive(Clone)]
struct Weight;

impl Weighter<Digest, Arc<[Digest]>> for Weight {
    fn weight(&self, _: &Digest, chunks: &Arc<[Digest]>) -> u64 {
        ((chunks.len() + 2) * size_of::<Digest>()) as u64
    }
}

impl StorageServices {
    /// Says which blobs a blob is made of, and sees to it that they are there.
    pub(super) async fn split(&self, request: SplitBlobRequest) -> Result<SplitBlobResponse, Status> {
        self.check_instance(&request.instance_name)?;
        self.writable()?;
        let function = function(request.digest_function)?;
        let blob = request
            .blob_digest
            .ok_or_else(|| Status::invalid_argument("there is no blob_digest to split"))?;
        let blob = digest(function, &blob)?;
        let chunks = self.chunks_of(blob).await?;
        let chunk_digests = chunks.iter().map(wire::to_wire).collect();
        Ok(SplitBlobResponse { chunk_digests, chunking_function: FAST_CDC })
    }

    async fn chunks_of(&self, blob: Digest) -> Result<Arc<[Digest]>, Status> {
        if let Some(known) = self.known(blob).await? {
            return Ok(known);
        }
        if blob.size() <= LEAST as u64 {
            // It is its only chunk.
            return Ok(Arc::from([blob]));
        }
        if blob.size() > (MOST_CHUNKS * MEAN) as u64 {
            return Err(too_many(&blob));
        }
        let full =
            |_| Status::unavailable("too many blobs are being split here; try again, or read it whole");
        let _asked = self.splitting.asked.try_acquire().map_err(full)?;
        // Never closed, so the permit always comes.
        let _cutting = self.splitting.cutting.acquire().await;
        // Somebody else may have asked for the same.
        if let Some(known) = self.known(blob).await? {
            return Ok(known);
        }
        let _read = self.begin_read()?;
        let chunks: Arc<[Digest]> = self.cut(blob).await?.into();
        self.splitting.known.insert(blob, Arc::clone(&chunks));
        Ok(chunks)
    }

    /// The chunks of a blob, if they are known and all there.
    ///
    /// # Errors
    /// NOT_FOUND where the blob is not there.
    async fn known(&self, blob: Digest) -> Result<Option<Arc<[Digest]>>, Status> {
        let known = self.splitting.known.get(&blob);
        // Asked for together with the blob, so that none of them is the next to be removed.
        let chunks = known.iter().flat_map(|chunks| chunks.iter().copied());
        let needed: Vec<Digest> = chunks.chain([blob]).collect();
        let missing = self.store.find_missing(&needed).await.map_err(|error| wire::status(&error))?;
        if missing.contains(&blob) {
            return Err(wire::status(&StoreError::NotFound { digest: blob }));
        }
        Ok(known.filter(|_| missing.is_empty()))
    }

    /// Cuts a blob and stores its chunks.
    async fn cut(&self, blob: Digest) -> Result<Vec<Digest>, Status> {
        let gone = || wire::status(&StoreError::NotFound { digest: blob });
        let bytes = match self.store.get(&blob).await {
            Err(StoreError::Mismatch { .. }) => return Err(gone()),
            found => found.map_err(|error| wire::status(&error))?,
        };
        let (cut, pieces) = mpsc::channel(CUT);
        let cutting = tokio::task::spawn_blocking(move || cut_up(&blob, bytes, &cut));
        let pieces = stream::unfold(pieces, async |mut pieces| Some((pieces.recv().await?, pieces)));
        let stored = pieces.map(|(chunk, bytes): (Digest, Bytes)| async move {
            self.store.put(&chunk, bytes.into()).await.map(|()| chunk)
        });
        let stored = stored.buffered(STORED_AT_ONCE).try_collect::<Vec<Digest>>().await;
        let stored = stored.map_err(|error| wire::status(&error))?;
        match cutting.await {
            Ok(Ok(())) => Ok(stored),
            Ok(Err(Uncut::TooMany)) => Err(too_many(&blob)),
            // It was damaged; who asks wants to know whether it is there.
            Ok(Err(Uncut::Other(StoreError::Mismatch { .. }))) => Err(gone()),
            Ok(Err(Uncut::Other(error))) => Err(wire::status(&error)),
            Err(_) => Err(Status::unavailable("the blob could not be cut; try again, or read it whole")),
        }
    }
}

/// Why a blob has no chunks.
enum Uncut {
    TooMany,
    Other(StoreError),
}

/// As REAPI wants it: there is nothing to say of how it is split.
fn too_many(blob: &Digest) -> Status {
    let text = format!("{blob} has more than {MOST_CHUNKS} chunks, which no answer can name: read it whole");
    Status::not_found(text)
}

/// Sends the chunks of a blob, and compares all of them with its digest. Blocks.
fn cut_up(expected: &Digest, blob: Blob, cut: &mpsc::Sender<(Digest, Bytes)>) -> Result<(), Uncut> {
    let mut hasher = Hasher::new(expected.function());
    let reader: Box<dyn Read + Send> = blob.into_reader();
    for (index, chunk) in chunks(reader).enumerate() {
        if index == MOST_CHUNKS {
            return Err(Uncut::TooMany);
        }
        let failed = |error: fastcdc::v2020::Error| {
            Uncut::Other(StoreError::io("read", expected.to_string(), error.into()))
        };
        let bytes = Bytes::from(chunk.map_err(failed)?.data);
        hasher.update(&bytes);
        let digest = expected.function().digest(&bytes);
        if cut.blocking_send((digest, bytes)).is_err() {
            // Whoever wanted them has failed, and says why.
            return Ok(());
        }
    }
    compare(expected, hasher.finish()).map_err(Uncut::Other)
}
