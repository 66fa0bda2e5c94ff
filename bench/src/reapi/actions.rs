//! Actions that do nothing, each of its own.

use cullet_digest::Digest;
use cullet_proto::reapi;
use cullet_proto::reapi::storage::service::content_addressable_storage_client::ContentAddressableStorageClient;
use cullet_proto::reapi::storage::{BatchUpdateBlobsRequest, BlobUpdate};
use prost::Message as _;
use prost::bytes::Bytes;
use tonic::transport::Channel;

use super::{digest, execute, execute_for};
use crate::Result;

/// What all of them have in common, stored.
#[derive(Debug)]
pub(super) struct Actions {
    command: Digest,
}

impl Actions {
    pub(super) async fn store(channel: Channel) -> Result<Self> {
        Self::store_for(channel, None).await
    }

    /// The same for workers that are asked for.
    pub(super) async fn store_for(channel: Channel, platform: Option<reapi::Platform>) -> Result<Self> {
        let arguments = vec!["/bin/true".to_owned()];
        let command = reapi::Command { arguments, platform, ..reapi::Command::default() };
        let bytes = command.encode_to_vec();
        let command = digest(&bytes);
        put(channel, bytes).await?;
        Ok(Self { command })
    }

    /// Executes one that nobody has executed.
    pub(super) async fn execute(&self, channel: Channel, number: u64) -> Result<()> {
        self.execute_for("", channel, number).await
    }

    /// The same for this invocation of a client.
    pub(super) async fn execute_for(&self, invocation: &str, channel: Channel, number: u64) -> Result<()> {
        let action = self.upload(channel.clone(), number).await?;
        execute_for(invocation, channel, action).await
    }

    /// One that was executed.
    pub(super) async fn executed(&self, channel: Channel) -> Result<reapi::Digest> {
        let action = self.upload(channel.clone(), u64::MAX).await?;
        execute(channel, action.clone()).await?;
        Ok(action)
    }

    async fn upload(&self, channel: Channel, number: u64) -> Result<reapi::Digest> {
        let action = reapi::Action {
            command_digest: Some(message(&self.command)),
            input_root_digest: Some(message(&digest(b""))),
            salt: Bytes::copy_from_slice(&number.to_le_bytes()),
            ..reapi::Action::default()
        };
        let bytes = action.encode_to_vec();
        let named = message(&digest(&bytes));
        put(channel, bytes).await?;
        Ok(named)
    }
}

/// A digest in a message.
pub(super) fn message(digest: &Digest) -> reapi::Digest {
    cullet_cache::digest_message(digest)
}

async fn put(channel: Channel, bytes: Vec<u8>) -> Result<()> {
    let update =
        BlobUpdate { digest: Some(message(&digest(&bytes))), data: Bytes::from(bytes), compressor: 0 };
    let request = BatchUpdateBlobsRequest { requests: vec![update], ..BatchUpdateBlobsRequest::default() };
    ContentAddressableStorageClient::new(channel).batch_update_blobs(request).await?;
    Ok(())
}
