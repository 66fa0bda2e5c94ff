//! [`BlobStore`] over gRPC.

use std::collections::HashSet;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use cullet_digest::{Digest, DigestFunction};
use cullet_proto::bytestream::ReadRequest;
use cullet_proto::bytestream::service::byte_stream_client::ByteStreamClient;
use cullet_proto::reapi::storage::FindMissingBlobsRequest;
use cullet_proto::reapi::storage::service::content_addressable_storage_client::ContentAddressableStorageClient;
use futures_util::{FutureExt as _, StreamExt as _};
use tokio::time::timeout;
use tonic::transport::Channel;

use super::GrpcOptions;
use super::endpoints::{self, Endpoints};
use crate::arriving::Arrived;
use crate::blob::is_the_empty_blob;
use crate::grpc::resource::Resource;
use crate::grpc::{MESSAGE, wire};
use crate::origin::{Origin, Pieces};
use crate::receive::Patience;
use crate::single_flight::SingleFlight;
use crate::spool::Spool;
use crate::{Blob, BlobStore, Discard, StoreError, Trees};

/// The blobs of one or several servers. What arrives is checked. Clones share everything.
#[derive(Debug, Clone)]
pub struct GrpcStore {
    pub(super) endpoints: Arc<Endpoints>,
    pub(super) instance: Arc<str>,
    patience: Arc<Patience>,
    flights: Arc<SingleFlight<Result<Arrived, StoreError>>>,
}

/// Digests in one question: about 0.6 MiB.
const QUESTION: usize = 8192;

impl GrpcStore {
    /// Servers by address, such as `http://10.0.0.7:7070`, in the order in which they are tried. Within a tokio
    /// runtime only. Nothing is connected before it is used.
    ///
    /// # Errors
    /// [`StoreError::Location`] for what is no address; an I/O error where the spool cannot be made.
    pub fn connect<S: AsRef<str>>(urls: &[S], options: &GrpcOptions) -> Result<Self, StoreError> {
        let channels: Result<Vec<_>, _> = urls.iter().map(|url| endpoints::channel(url.as_ref())).collect();
        Self::over(channels?, options)
    }

    /// Servers by channels made elsewhere (with TLS, say), each with a name for messages.
    ///
    /// # Errors
    /// As for [`GrpcStore::connect`].
    pub fn over(channels: Vec<(String, Channel)>, options: &GrpcOptions) -> Result<Self, StoreError> {
        let servers = u32::try_from(channels.len()).unwrap_or(u32::MAX);
        let endpoints = Arc::new(Endpoints::new(channels, options.deadline, options.retries)?);
        let patience = Arc::new(Patience {
            deadline: options.deadline,
            retries: options.retries.saturating_add(1).saturating_mul(servers).saturating_sub(1),
            spool: Arc::new(Spool::open(&options.spool)?),
        });
        Ok(Self { endpoints, instance: options.instance.as_str().into(), patience, flights: Arc::default() })
    }

    pub(super) fn resource(&self, digest: &Digest, upload: Option<String>) -> Resource {
        Resource { instance: self.instance.to_string(), upload, digest: *digest, compressed: false }
    }

    pub(super) fn storage(&self, channel: Channel) -> ContentAddressableStorageClient<Channel> {
        ContentAddressableStorageClient::new(channel).max_decoding_message_size(MESSAGE)
    }

    pub(super) fn byte_stream(&self, channel: Channel) -> ByteStreamClient<Channel> {
        ByteStreamClient::new(channel).max_decoding_message_size(MESSAGE)
    }

    async fn missing_of(
        &self,
        function: DigestFunction,
        digests: &[Digest],
    ) -> Result<Vec<Digest>, StoreError> {
        let request = FindMissingBlobsRequest {
            instance_name: self.instance.to_string(),
            blob_digests: digests.iter().map(wire::to_wire).collect(),
            digest_function: wire::number(function),
        };
        let answer = self
            .endpoints
            .call("look for blobs at", |channel| {
                let request = request.clone();
                async move { self.storage(channel).find_missing_blobs(request).await }
            })
            .await?
            .into_inner();
        let failed = |error| StoreError::remote("understand", self.endpoints.place(), error);
        let missing = answer.missing_blob_digests.iter().map(|digest| wire::from_wire(function, digest));
        missing.collect::<Result<_, _>>().map_err(failed)
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl BlobStore for GrpcStore {
    async fn find_missing(&self, digests: &[Digest]) -> Result<Vec<Digest>, StoreError> {
        let mut missing = HashSet::new();
        for function in DigestFunction::ALL {
            let of: Vec<Digest> = digests
                .iter()
                .filter(|digest| digest.function() == function && !is_the_empty_blob(digest))
                .copied()
                .collect();
            for question in of.chunks(QUESTION) {
                missing.extend(self.missing_of(function, question).await?);
            }
        }
        Ok(digests.iter().filter(|digest| missing.contains(*digest)).copied().collect())
    }

    async fn get(&self, digest: &Digest) -> Result<Blob, StoreError> {
        if is_the_empty_blob(digest) {
            return Ok(Blob::Bytes(Bytes::new()));
        }
        let (origin, of) = (self.clone(), *digest);
        let attempt = async move { origin.patience.receive(&origin, &of).await }.boxed();
        self.flights.run(digest, || attempt).await?.open()
    }

    async fn put(&self, digest: &Digest, blob: Blob) -> Result<(), StoreError> {
        self.put_blob(*digest, blob).await
    }

    async fn put_small(&self, blobs: Vec<(Digest, Bytes)>) -> Result<(), StoreError> {
        crate::blob_store::one_by_one(self, blobs).await
    }
}

/// Each blob is by itself: that is how the protocol has them.
impl Trees for GrpcStore {}

#[async_trait]
impl Origin for GrpcStore {
    fn place(&self) -> &str {
        self.endpoints.place()
    }

    /// One attempt at one server; the next one goes to the next server if this one failed.
    async fn open(&self, digest: &Digest, offset: u64) -> Result<Pieces, StoreError> {
        let request = ReadRequest {
            resource_name: self.resource(digest, None).to_string(),
            read_offset: i64::try_from(offset).unwrap_or(i64::MAX),
            read_limit: 0,
        };
        let (server, endpoints) = (self.endpoints.server(), Arc::clone(&self.endpoints));
        let (of, channel) = (*digest, server.channel.clone());
        let failed = move |status: tonic::Status| match status.code() {
            tonic::Code::NotFound => StoreError::NotFound { digest: of },
            _ => {
                let error = StoreError::remote("read from", endpoints.place(), status);
                endpoints.note(&server, &error);
                error
            }
        };
        let mut client = self.byte_stream(channel);
        match timeout(self.endpoints.deadline(), client.read(request)).await {
            Ok(Ok(answer)) => {
                let pieces = answer.into_inner();
                Ok(pieces.map(move |piece| piece.map(|piece| piece.data).map_err(&failed)).boxed())
            }
            Ok(Err(status)) => Err(failed(status)),
            Err(_) => Err(failed(tonic::Status::deadline_exceeded("no answer in time"))),
        }
    }
}

impl Discard for GrpcStore {
    /// Nothing: what a server keeps is its own to look after.
    fn discard(&self, _: &Digest) -> Result<(), StoreError> {
        Ok(())
    }
}
