//! `ByteStream.Read`.

use bytes::Bytes;
use cullet_digest::Digest;
use cullet_proto::bytestream::{ReadRequest, ReadResponse};
use futures_util::stream::{self, BoxStream};
use futures_util::{StreamExt as _, TryStreamExt as _};
use tonic::Status;

use super::StorageServices;
use crate::StoreError;
use crate::arriving::IN_MEMORY;
use crate::grpc::compression::Deflating;
use crate::grpc::pieces::Readable;
use crate::grpc::resource::Resource;
use crate::grpc::{PIECE, wire};
use crate::offload::offload;

/// What is sent.
pub(super) type Pieces = BoxStream<'static, Result<ReadResponse, Status>>;

impl StorageServices {
    /// Starts reading a blob.
    pub(super) async fn begin(&self, request: ReadRequest) -> Result<Pieces, Status> {
        let (digest, compressed) = match self.resource(&request.resource_name)? {
            Resource { upload: None, digest, compressed, .. } => (digest, compressed),
            _ => return Err(Status::invalid_argument("an upload cannot be read")),
        };
        if compressed && request.read_limit != 0 {
            return Err(Status::invalid_argument("a blob that travels compressed is read to its end"));
        }
        let from = u64::try_from(request.read_offset)
            .ok()
            .filter(|from| *from <= digest.size())
            .ok_or_else(|| Status::out_of_range("the offset lies outside the blob"))?;
        let to = match u64::try_from(request.read_limit) {
            Ok(0) => digest.size(),
            Ok(limit) => from.saturating_add(limit),
            Err(_) => return Err(Status::invalid_argument("the limit is negative")),
        };
        let permit = self.begin_read()?;
        let pieces = self.open(&digest, from, to).await.map_err(|error| wire::status(&error))?;
        let pieces = if compressed { deflated(pieces)? } else { pieces };
        let pieces = pieces.map(move |piece| {
            // Held as long as the stream.
            let _ = &permit;
            piece.map(|data| ReadResponse { data }).map_err(|error| wire::status(&error))
        });
        Ok(pieces.boxed())
    }

    /// The bytes from `from` to `to`, or to the end.
    async fn open(&self, digest: &Digest, from: u64, to: u64) -> Result<Parts, StoreError> {
        let all = from == 0 && to >= digest.size();
        if let Some(streams) = self.streams.as_ref().filter(|_| digest.size() > IN_MEMORY) {
            let opened = if all {
                streams.open(digest).await.map(Some)
            } else {
                streams.open_known(digest, from).await
            };
            match opened {
                Ok(Some(pieces)) => return Ok(cut(pieces, to.saturating_sub(from))),
                // It is read from its start and checked first; or it is gone, and the store may still believe that it is not.
                Ok(None) | Err(StoreError::NotFound { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        let blob = match self.store.get(digest).await {
            // It was damaged and is gone now; who asks wants to know whether it is there.
            Err(StoreError::Mismatch { .. }) => Err(StoreError::NotFound { digest: *digest }),
            found => found,
        };
        Ok(Readable::from(blob?).pieces(from, to).map_ok(|(_, data)| data).boxed())
    }

    /// The resource that a request names.
    pub(super) fn resource(&self, name: &str) -> Result<Resource, Status> {
        let resource = Resource::parse(name)
            .map_err(|wrong| Status::invalid_argument(format!("'{name}' is no resource name: {wrong}")))?;
        self.check_instance(&resource.instance)?;
        Ok(resource)
    }
}

type Parts = BoxStream<'static, Result<Bytes, StoreError>>;

/// At most so many of the bytes, in pieces that are no longer than one message should be.
fn cut(pieces: Parts, bytes: u64) -> Parts {
    let parts = stream::try_unfold((pieces, Bytes::new(), bytes), async |(mut pieces, mut piece, left)| {
        if left == 0 {
            return Ok(None);
        }
        while piece.is_empty() {
            let Some(next) = pieces.try_next().await? else { return Ok(None) };
            piece = next;
        }
        let most = usize::try_from(left).unwrap_or(usize::MAX).min(PIECE);
        let part = piece.split_to(piece.len().min(most));
        let left = left - part.len() as u64;
        Ok(Some((part, (pieces, piece, left))))
    });
    parts.boxed()
}

/// The same bytes as one Zstandard frame.
fn deflated(pieces: Parts) -> Result<Parts, Status> {
    let deflating = Deflating::new().map_err(|error| wire::status(&error))?;
    let parts = stream::try_unfold(Some((pieces, deflating)), |state| async move {
        let Some((mut pieces, mut deflating)) = state else { return Ok(None) };
        loop {
            let Some(piece) = pieces.try_next().await? else {
                return Ok(Some((deflating.finish()?, None)));
            };
            let (part, rest) =
                offload(move || deflating.append(&piece).map(|part| (part, deflating))).await?;
            deflating = rest;
            if !part.is_empty() {
                return Ok(Some((part, Some((pieces, deflating)))));
            }
        }
    });
    Ok(parts.boxed())
}
