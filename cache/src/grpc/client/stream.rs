//! Large blobs, as streams that go on where a broken connection left off.

use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use cullet_digest::Digest;
use cullet_proto::bytestream::{QueryWriteStatusRequest, WriteRequest};
use futures_util::future::BoxFuture;
use futures_util::stream::BoxStream;
use futures_util::{FutureExt as _, Stream, StreamExt as _, stream};
use tokio::time::timeout;
use tonic::Code;

use super::GrpcStore;
use super::endpoints::Server;
use crate::StoreError;
use crate::grpc::pieces::Readable;
use crate::pause::Pauses;
use crate::receive::may_pass;

/// After the last piece the server stores the blob, for which it gets a second for so many bytes.
const STORED_PER_SECOND: u64 = 16 << 20;

/// What the stream of pieces tells whoever waits for the answer.
#[derive(Debug, Default)]
struct Progress {
    /// Pieces taken by the connection.
    taken: AtomicU64,
    /// Why there are no more, if that is our own fault.
    failed: Mutex<Option<StoreError>>,
}

impl GrpcStore {
    /// Sends a blob whose bytes have been compared.
    pub(super) async fn put_stream(&self, digest: Digest, blob: &Readable) -> Result<(), StoreError> {
        let name = self.resource(&digest, Some(upload_name())).to_string();
        let (mut committed, mut pauses) = (0, Pauses::new());
        let mut left = self.endpoints.attempts();
        loop {
            let server = self.endpoints.server();
            let error = match self.write(&server, &name, blob, committed).await {
                Ok(size) if size == digest.size() => return Ok(()),
                Ok(size) => {
                    let what = format!("it took {size} of {} bytes", digest.size());
                    StoreError::remote("store at", self.endpoints.place(), what)
                }
                Err(error) => error,
            };
            left -= 1;
            if left == 0 || !(may_pass(&error) || is_elsewhere(&error)) {
                return Err(error);
            }
            self.endpoints.note(&server, &error);
            tracing::debug!(blob = %digest.short(), %error, "an upload is gone on with");
            pauses.pause().await;
            let reached = self.committed(&name).await?;
            if reached > committed {
                (left, pauses) = (self.endpoints.attempts(), Pauses::new());
            }
            committed = reached.min(digest.size());
        }
    }

    /// How much of the upload the server has; nothing where it knows of none.
    async fn committed(&self, name: &str) -> Result<u64, StoreError> {
        let request = QueryWriteStatusRequest { resource_name: name.to_owned() };
        let call = |channel| {
            let request = request.clone();
            async move {
                match self.byte_stream(channel).query_write_status(request).await {
                    Ok(answer) => Ok(answer.into_inner().committed_size),
                    Err(status) if status.code() == Code::NotFound => Ok(0),
                    Err(status) => Err(status),
                }
            }
        };
        let committed = self.endpoints.call("ask about an upload at", call).await?;
        Ok(u64::try_from(committed).unwrap_or(0))
    }

    /// One attempt, from an offset on. How much the server has afterwards.
    async fn write(
        &self,
        server: &Server,
        name: &str,
        blob: &Readable,
        from: u64,
    ) -> Result<u64, StoreError> {
        let progress = Arc::new(Progress::default());
        let pieces = Messages(messages(blob, name, from, &progress));
        let mut client = self.byte_stream(server.channel.clone());
        let answer = async move { client.write(pieces).await }.boxed();
        let answer = self.while_moving(blob.len(), &progress, answer).await?;
        if let Some(error) = progress.failed.lock().unwrap_or_else(PoisonError::into_inner).take() {
            return Err(error);
        }
        let failed = |status| StoreError::remote("store at", self.endpoints.place(), status);
        let committed = answer.map_err(failed)?.into_inner().committed_size;
        Ok(u64::try_from(committed).unwrap_or(0))
    }

    /// The outcome, as long as pieces are taken on the way to it.
    async fn while_moving<T>(
        &self,
        len: u64,
        progress: &Progress,
        mut outcome: BoxFuture<'static, T>,
    ) -> Result<T, StoreError> {
        let mut before = 0;
        loop {
            let pieces = len.div_ceil(crate::grpc::PIECE as u64);
            let wait = if before >= pieces {
                self.endpoints.deadline() + Duration::from_secs(len / STORED_PER_SECOND)
            } else {
                self.endpoints.deadline()
            };
            if let Ok(outcome) = timeout(wait, &mut outcome).await {
                return Ok(outcome);
            }
            let taken = progress.taken.load(Ordering::Relaxed);
            if taken == before {
                return Err(StoreError::deadline(self.endpoints.place(), wait));
            }
            before = taken;
        }
    }
}

/// A server that knows less of the upload than we think, as another one does after a failover.
fn is_elsewhere(error: &StoreError) -> bool {
    let StoreError::Remote { source, .. } = error else { return false };
    source.downcast_ref::<tonic::Status>().is_some_and(|status| status.code() == Code::FailedPrecondition)
}

/// A type with a name: the compiler cannot prove of a boxed stream, once it is within the call, that it can be sent to
/// another thread.
struct Messages(BoxStream<'static, WriteRequest>);

impl Stream for Messages {
    type Item = WriteRequest;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<WriteRequest>> {
        self.0.poll_next_unpin(cx)
    }
}

/// The messages of an upload, of which the last says so.
fn messages(
    blob: &Readable,
    name: &str,
    from: u64,
    progress: &Arc<Progress>,
) -> BoxStream<'static, WriteRequest> {
    let (len, progress) = (blob.len(), Arc::clone(progress));
    let mut name = Some(name.to_owned());
    let mut message = move |offset: u64, data: Bytes| WriteRequest {
        // In the first message only.
        resource_name: name.take().unwrap_or_default(),
        write_offset: i64::try_from(offset).unwrap_or(i64::MAX),
        finish_write: offset + data.len() as u64 == len,
        data,
    };
    if from >= len {
        return stream::iter([message(len, Bytes::new())]).boxed();
    }
    blob.pieces(from, len)
        .map(move |piece| {
            progress.taken.fetch_add(1, Ordering::Relaxed);
            match piece {
                Ok((offset, data)) => Some(message(offset, data)),
                Err(error) => {
                    *progress.failed.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
                    None
                }
            }
        })
        .take_while(|message| std::future::ready(message.is_some()))
        .filter_map(std::future::ready)
        .boxed()
}

/// A name in the form of a UUID, version 4, which REAPI asks for. Unlikely to be drawn twice is enough: servers keep
/// uploads of different blobs apart.
fn upload_name() -> String {
    let (version, variant) = (0xf << 76, 0b11 << 62);
    let bits = fastrand::u128(..) & !version & !variant | 4 << 76 | 0b10 << 62;
    let hex = format!("{bits:032x}");
    [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]].join("-")
}
