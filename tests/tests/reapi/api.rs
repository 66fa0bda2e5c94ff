//! The services of a server, and what is asked of them again and again.

use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
use cullet_proto::bytestream::service::byte_stream_client::ByteStreamClient;
use cullet_proto::bytestream::{QueryWriteStatusRequest, ReadRequest, WriteRequest};
use cullet_proto::longrunning::service::operations_client::OperationsClient;
use cullet_proto::reapi::Digest;
use cullet_proto::reapi::capabilities::service::capabilities_client::CapabilitiesClient;
use cullet_proto::reapi::capabilities::{CacheCapabilities, GetCapabilitiesRequest};
use cullet_proto::reapi::execution::service::execution_client::ExecutionClient;
use cullet_proto::reapi::results::service::action_cache_client::ActionCacheClient;
use cullet_proto::reapi::storage::service::content_addressable_storage_client::ContentAddressableStorageClient;
use cullet_proto::reapi::storage::{
    BatchUpdateBlobsRequest, BatchUpdateBlobsResponse, BlobUpdate, FindMissingBlobsRequest,
    SpliceBlobRequest, SplitBlobRequest, SplitBlobResponse,
};
use cullet_tests::cluster::settled;
use tonic::transport::Channel;
use tonic::{Code, Status};

use super::blobs::{BLAKE3, Blob, Function, IDENTITY, SHA256, UNNAMED};
use super::differences::{self, Difference};
use super::servers::Kind;

/// The largest message that any server sends.
const MESSAGE: usize = 64 << 20;

/// As long as a server may take for there what it has just seen there.
const MOMENT: Duration = Duration::from_millis(2500);

/// A server, asked.
#[derive(Debug, Clone)]
pub(crate) struct Api {
    kind: Kind,
    channel: Channel,
    /// Where its blobs are, in files that have their hashes in their names, where that is known.
    store: Option<PathBuf>,
}

impl Api {
    pub(crate) const fn new(kind: Kind, channel: Channel, store: Option<PathBuf>) -> Self {
        Self { kind, channel, store }
    }

    /// Whether this server is known to do something otherwise, which then is what has to be checked.
    pub(crate) fn differs(&self, difference: Difference) -> bool {
        differences::known(self.kind, difference)
    }

    /// Whether a call was refused because a digest in it is none, or a name.
    #[track_caller]
    pub(crate) fn refuses_name<T: std::fmt::Debug>(&self, outcome: Result<T, Status>, what: &str) {
        if !self.differs(Difference::LooseNames) {
            refused(outcome, Code::InvalidArgument, what);
        }
    }

    /// The digest functions that this server knows, as requests say them.
    pub(crate) fn functions(&self) -> Vec<Function> {
        if self.differs(Difference::OnlySha256) {
            vec![UNNAMED, SHA256]
        } else {
            vec![UNNAMED, SHA256, BLAKE3]
        }
    }

    /// The way to it, for calls that are none of a client.
    pub(crate) fn channel(&self) -> Channel {
        self.channel.clone()
    }

    pub(crate) fn storage(&self) -> ContentAddressableStorageClient<Channel> {
        ContentAddressableStorageClient::new(self.channel.clone()).max_decoding_message_size(MESSAGE)
    }

    pub(crate) fn streams(&self) -> ByteStreamClient<Channel> {
        ByteStreamClient::new(self.channel.clone()).max_decoding_message_size(MESSAGE)
    }

    pub(crate) fn results(&self) -> ActionCacheClient<Channel> {
        ActionCacheClient::new(self.channel.clone()).max_decoding_message_size(MESSAGE)
    }

    pub(crate) fn execution(&self) -> ExecutionClient<Channel> {
        ExecutionClient::new(self.channel.clone()).max_decoding_message_size(MESSAGE)
    }

    pub(crate) fn operations(&self) -> OperationsClient<Channel> {
        OperationsClient::new(self.channel.clone()).max_decoding_message_size(MESSAGE)
    }

    pub(crate) fn capabilities(&self) -> CapabilitiesClient<Channel> {
        CapabilitiesClient::new(self.channel.clone())
    }

    /// What its cache can do.
    pub(crate) async fn cache(&self) -> CacheCapabilities {
        let answer = self.capabilities().get_capabilities(GetCapabilitiesRequest::default()).await;
        answer.unwrap().into_inner().cache_capabilities.unwrap()
    }

    /// Which of these blobs it says are missing.
    pub(crate) async fn missing(
        &self,
        function: Function,
        digests: &[Digest],
    ) -> Result<Vec<Digest>, Status> {
        let request = FindMissingBlobsRequest {
            blob_digests: digests.to_vec(),
            digest_function: function.number,
            ..FindMissingBlobsRequest::default()
        };
        Ok(self.storage().find_missing_blobs(request).await?.into_inner().missing_blob_digests)
    }

    /// Whether it has a blob.
    pub(crate) async fn has(&self, blob: &Blob) -> bool {
        self.missing(blob.function, std::slice::from_ref(&blob.digest)).await.unwrap().is_empty()
    }

    /// How many files its blobs and results are.
    pub(crate) fn files(&self) -> usize {
        self.store.as_deref().map_or(0, |store| super::fuzz::files(store).len())
    }

    /// Takes a blob away behind the back of the server, and waits until it must have noticed; says whether that can be done.
    pub(crate) async fn lose(&self, blob: &Blob) -> bool {
        let Some(store) = &self.store else { return false };
        settled(store);
        let (first, rest) = blob.digest.hash.split_at(2);
        let mut waiting = vec![store.clone()];
        let mut lost = false;
        while let Some(dir) = waiting.pop() {
            for entry in std::fs::read_dir(&dir).unwrap().map(|entry| entry.unwrap().path()) {
                let name = entry.file_name().unwrap().to_string_lossy().into_owned();
                if entry.is_dir() {
                    waiting.push(entry);
                } else if name.contains(&blob.digest.hash) || (dir.ends_with(first) && name.starts_with(rest))
                {
                    std::fs::remove_file(&entry).unwrap();
                    lost = true;
                }
            }
        }
        assert!(lost, "no file of {:?} is below {}", blob.digest, store.display());
        tokio::time::sleep(MOMENT).await;
        true
    }

    /// One batch of blobs to store.
    pub(crate) async fn update(
        &self,
        function: Function,
        requests: Vec<BlobUpdate>,
    ) -> Result<BatchUpdateBlobsResponse, Status> {
        let digest_function = function.number;
        let request =
            BatchUpdateBlobsRequest { requests, digest_function, ..BatchUpdateBlobsRequest::default() };
        Ok(self.storage().batch_update_blobs(request).await?.into_inner())
    }

    /// Stores small blobs of one function.
    pub(crate) async fn put(&self, blobs: &[&Blob]) {
        let Some(first) = blobs.first() else { return };
        let updates = blobs.iter().map(|blob| update_of(blob)).collect();
        for response in self.update(first.function, updates).await.unwrap().responses {
            assert_eq!(response.status.unwrap_or_default().code, 0, "{:?}", response.digest);
        }
    }

    /// What a blob is made of.
    pub(crate) async fn split(&self, function: Function, blob: &Digest) -> Result<SplitBlobResponse, Status> {
        let request = SplitBlobRequest {
            blob_digest: Some(blob.clone()),
            digest_function: function.number,
            ..SplitBlobRequest::default()
        };
        Ok(self.storage().split_blob(request).await?.into_inner())
    }

    /// Has a blob made of others: which one it became.
    pub(crate) async fn splice(
        &self,
        function: Function,
        blob: &Digest,
        chunks: &[Digest],
    ) -> Result<Option<Digest>, Status> {
        let request = SpliceBlobRequest {
            blob_digest: Some(blob.clone()),
            chunk_digests: chunks.to_vec(),
            digest_function: function.number,
            ..SpliceBlobRequest::default()
        };
        Ok(self.storage().splice_blob(request).await?.into_inner().blob_digest)
    }

    /// All that a stream gives.
    pub(crate) async fn read(&self, name: &str, read_offset: i64, read_limit: i64) -> Result<Bytes, Status> {
        let request = ReadRequest { resource_name: name.to_owned(), read_offset, read_limit };
        let mut stream = self.streams().read(request).await?.into_inner();
        let mut all = Vec::new();
        while let Some(piece) = stream.message().await? {
            all.extend_from_slice(&piece.data);
        }
        Ok(all.into())
    }

    /// Writes bytes from an offset on, in pieces, the last of which may say that it is: how many are there then.
    pub(crate) async fn write(
        &self,
        name: &str,
        offset: i64,
        bytes: &[u8],
        finish_write: bool,
    ) -> Result<i64, Status> {
        let pieces = pieces(name, offset, bytes, finish_write);
        Ok(self.streams().write(tokio_stream::iter(pieces)).await?.into_inner().committed_size)
    }

    /// How many bytes of an upload are there, and whether those are all.
    pub(crate) async fn written(&self, name: &str) -> Result<(i64, bool), Status> {
        let request = QueryWriteStatusRequest { resource_name: name.to_owned() };
        let answer = self.streams().query_write_status(request).await?.into_inner();
        Ok((answer.committed_size, answer.complete))
    }
}

/// A blob as part of a batch.
pub(crate) fn update_of(blob: &Blob) -> BlobUpdate {
    BlobUpdate { digest: Some(blob.digest.clone()), data: blob.bytes.clone(), compressor: IDENTITY }
}

/// The messages of a stream that writes bytes from an offset on; there is one even for no bytes.
pub(crate) fn pieces(name: &str, offset: i64, bytes: &[u8], finish_write: bool) -> Vec<WriteRequest> {
    const PIECE: usize = 100_000;
    let count = bytes.len().div_ceil(PIECE).max(1);
    let piece = |index: usize| WriteRequest {
        // Only the first one has to have it.
        resource_name: if index == 0 { name.to_owned() } else { String::new() },
        write_offset: offset + (index * PIECE) as i64,
        finish_write: finish_write && index + 1 == count,
        data: Bytes::copy_from_slice(&bytes[index * PIECE..bytes.len().min((index + 1) * PIECE)]),
    };
    (0..count).map(piece).collect()
}

/// Whether a call was refused with this code; otherwise says what came instead.
#[track_caller]
pub(crate) fn refused<T: std::fmt::Debug>(outcome: Result<T, Status>, code: Code, what: &str) {
    match outcome {
        Ok(answer) => panic!("{what}: answered {answer:?} instead of {code:?}"),
        Err(status) => assert_eq!(status.code(), code, "{what}: {status}"),
    }
}
