//! What the two services share, and how they are made.

use std::fmt::Debug;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use cullet_digest::{Digest, DigestFunction};
use cullet_proto::bytestream::service::byte_stream_server::ByteStreamServer;
use cullet_proto::reapi;
use cullet_proto::reapi::storage::service::content_addressable_storage_server::ContentAddressableStorageServer;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tonic::Status;

use super::split::Splitting;
use super::uploads::Uploads;
use crate::grpc::{MESSAGE, wire};
use crate::{BlobStore, CheckedStreams, KeyedValues, StoreError};

/// A store, served. Clones share everything. The listener should have TCP_NODELAY: without it, small answers wait up
/// to 40 ms for an acknowledgement.
#[derive(Debug, Clone)]
pub struct StorageServices {
    pub(super) store: Arc<dyn BlobStore>,
    /// None where nothing may be written.
    pub(super) uploads: Option<Arc<Uploads>>,
    pub(super) limits: StorageLimits,
    /// What blobs are made of.
    pub(super) splitting: Arc<Splitting>,
    /// Where large blobs are read as they are checked; none where they are checked before.
    pub(super) streams: Option<CheckedStreams>,
    /// Streams being read.
    reads: Arc<Semaphore>,
}

/// Which instances a server has.
pub trait Instances: Debug + Send + Sync {
    /// Refuses an instance that is not there.
    ///
    /// # Errors
    /// INVALID_ARGUMENT: which ones are.
    fn check(&self, instance: &str) -> Result<(), Status>;
}

/// One instance and no other; usually the empty one.
#[derive(Debug, Clone, Default)]
pub struct OnlyInstance(pub String);

impl Instances for OnlyInstance {
    fn check(&self, instance: &str) -> Result<(), Status> {
        if instance == self.0 {
            return Ok(());
        }
        Err(Status::invalid_argument(format!(
            "there is no instance '{instance}' here; this server has '{}'",
            self.0
        )))
    }
}

/// What a server lets its clients take up.
#[derive(Debug, Clone)]
pub struct StorageLimits {
    /// The instances that are served. All of them have the same blobs.
    pub instances: Arc<dyn Instances>,
    /// Uploads under way, finished or broken off.
    pub uploads: usize,
    /// Bytes that the uploads under way announce, all together.
    pub upload_bytes: u64,
    /// After how long an upload that nobody goes on with is forgotten, and how long one waits for its next piece.
    pub idle: Duration,
    /// Streams that are read at the same time.
    pub reads: usize,
}

impl Default for StorageLimits {
    /// For hundreds of clients: a thousand streams of about a megabyte in memory each, and 64 GiB of spool.
    fn default() -> Self {
        Self {
            instances: Arc::new(OnlyInstance::default()),
            uploads: 1024,
            upload_bytes: 64 << 30,
            idle: Duration::from_secs(120),
            reads: 1024,
        }
    }
}

impl StorageServices {
    /// Serves the store for reading only.
    pub fn read_only(store: Arc<dyn BlobStore>, limits: StorageLimits) -> Self {
        let reads = Arc::new(Semaphore::new(limits.reads));
        Self { store, uploads: None, limits, splitting: Arc::default(), streams: None, reads }
    }

    /// Reads large blobs, whole, from where they are checked while they are sent. It has the same blobs as the store.
    #[must_use]
    pub fn streaming(self, streams: CheckedStreams) -> Self {
        Self { streams: Some(streams), ..self }
    }

    /// Serves the store for reading and writing. Large uploads are collected in files below `spool`.
    ///
    /// # Errors
    /// Where the spool cannot be made.
    pub fn read_write(
        store: Arc<dyn BlobStore>,
        spool: &Path,
        limits: StorageLimits,
    ) -> Result<Self, StoreError> {
        let uploads = Some(Arc::new(Uploads::new(spool, &limits)?));
        Ok(Self { uploads, ..Self::read_only(store, limits) })
    }

    /// Gives the disk large uploads while they arrive, for a store that makes their files its own and sees that they survive a
    /// power cut.
    #[must_use]
    pub fn writing_back(self) -> Self {
        self.uploads.iter().for_each(|uploads| uploads.write_back());
        self
    }

    /// Values beside the blobs; none where nothing may be written.
    pub fn values(&self) -> Option<KeyedValues> {
        let spool = Arc::clone(self.uploads.as_ref()?.spool());
        Some(KeyedValues::new(Arc::clone(&self.store), spool))
    }

    /// Whether blobs may be written, and so split and spliced.
    pub const fn is_writable(&self) -> bool {
        self.uploads.is_some()
    }

    /// What clients may take up.
    pub const fn limits(&self) -> &StorageLimits {
        &self.limits
    }

    /// The service for `build.bazel.remote.execution.v2.ContentAddressableStorage`.
    pub fn storage(&self) -> ContentAddressableStorageServer<Self> {
        ContentAddressableStorageServer::new(self.clone())
            .max_decoding_message_size(MESSAGE)
            // A batch read is answered with as much as was asked for, and what surrounds it.
            .max_encoding_message_size(MESSAGE)
    }

    /// The service for `google.bytestream.ByteStream`.
    pub fn byte_stream(&self) -> ByteStreamServer<Self> {
        ByteStreamServer::new(self.clone())
            .max_decoding_message_size(MESSAGE)
            .max_encoding_message_size(MESSAGE)
    }

    pub(super) fn check_instance(&self, instance: &str) -> Result<(), Status> {
        self.limits.instances.check(instance)
    }

    pub(super) fn writable(&self) -> Result<&Arc<Uploads>, Status> {
        self.uploads.as_ref().ok_or_else(|| Status::permission_denied("blobs can only be read here"))
    }

    /// A place among the streams being read.
    pub(super) fn begin_read(&self) -> Result<OwnedSemaphorePermit, Status> {
        let full = |_| Status::unavailable("too many blobs are being read here; try again, or elsewhere");
        Arc::clone(&self.reads).try_acquire_owned().map_err(full)
    }
}

/// The function that a request names by number.
pub(super) fn function(number: i32) -> Result<DigestFunction, Status> {
    let unknown = || format!("digest function {number} is not supported: use 1 (SHA256) or 9 (BLAKE3)");
    wire::function(number).ok_or_else(|| Status::invalid_argument(unknown()))
}

/// The digest that a request names.
pub(super) fn digest(function: DigestFunction, digest: &reapi::Digest) -> Result<Digest, Status> {
    wire::from_wire(function, digest).map_err(|error| Status::invalid_argument(error.to_string()))
}
