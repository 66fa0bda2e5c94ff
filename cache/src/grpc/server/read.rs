//! `ByteStream.Read`.

use cullet_proto::bytestream::{ReadRequest, ReadResponse};
use futures_util::StreamExt as _;
use futures_util::stream::BoxStream;
use tonic::Status;

use super::StorageServices;
use crate::StoreError;
use crate::grpc::pieces::Readable;
use crate::grpc::resource::Resource;
use crate::grpc::wire;

/// What is sent.
pub(super) type Pieces = BoxStream<'static, Result<ReadResponse, Status>>;

impl StorageServices {
    /// Starts reading a blob.
    pub(super) async fn begin(&self, request: ReadRequest) -> Result<Pieces, Status> {
        let digest = match self.resource(&request.resource_name)? {
            Resource { upload: None, digest, .. } => digest,
            _ => return Err(Status::invalid_argument("an upload cannot be read")),
        };
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
        let blob = match self.store.get(&digest).await {
            // It was damaged and is gone now; who asks wants to know whether it is there.
            Err(StoreError::Mismatch { .. }) => Err(StoreError::NotFound { digest }),
            found => found,
        };
        let blob = Readable::from(blob.map_err(|error| wire::status(&error))?);
        let pieces = blob.pieces(from, to).map(move |piece| {
            // Held as long as the stream.
            let _ = &permit;
            piece.map(|(_, data)| ReadResponse { data }).map_err(|error| wire::status(&error))
        });
        Ok(pieces.boxed())
    }

    /// The resource that a request names.
    pub(super) fn resource(&self, name: &str) -> Result<Resource, Status> {
        let resource = Resource::parse(name)
            .map_err(|wrong| Status::invalid_argument(format!("'{name}' is no resource name: {wrong}")))?;
        self.check_instance(&resource.instance)?;
        Ok(resource)
    }
}
