//! `ContentAddressableStorage.SpliceBlob`.

use std::sync::Arc;

use cullet_digest::Digest;
use cullet_proto::reapi::storage::{SpliceBlobRequest, SpliceBlobResponse};
use futures_util::TryStreamExt as _;
use tonic::Status;

use super::StorageServices;
use super::appending::Appending;
use super::services::{digest, function};
use super::uploads::Writing;
use crate::StoreError;
use crate::grpc::pieces::Readable;
use crate::grpc::resource::Resource;
use crate::grpc::wire;

/// Chunks that an error names; it says of how many there are more.
const NAMED: usize = 3;

impl StorageServices {
    /// Makes one blob of others, unless it is there, and stores it if it is what the client says.
    pub(super) async fn splice(&self, request: SpliceBlobRequest) -> Result<SpliceBlobResponse, Status> {
        self.check_instance(&request.instance_name)?;
        let uploads = Arc::clone(self.writable()?);
        let function = function(request.digest_function)?;
        let blob = request.blob_digest;
        let blob = blob.ok_or_else(|| Status::invalid_argument("there is no blob_digest to splice"))?;
        let blob = digest(function, &blob)?;
        let chunks: Result<Vec<Digest>, Status> =
            request.chunk_digests.iter().map(|chunk| digest(function, chunk)).collect();
        let chunks = chunks?;
        let spliced = SpliceBlobResponse { blob_digest: Some(wire::to_wire(&blob)) };
        if self.has(&blob).await? {
            return Ok(spliced);
        }
        let bytes = chunks.iter().map(Digest::size).fold(0, u64::saturating_add);
        if bytes != blob.size() {
            let what = format!("these chunks have {bytes} bytes together, and {blob} has {}", blob.size());
            return Err(Status::invalid_argument(what));
        }
        let missing = self.store.find_missing(&chunks).await.map_err(|error| wire::status(&error))?;
        if !missing.is_empty() {
            return Err(not_there(&missing));
        }
        let _read = self.begin_read()?;
        // A name that nobody else has: nobody goes on with this one.
        let upload = Some(format!("splice-{:032x}", fastrand::u128(..)));
        let resource = Resource { instance: request.instance_name, upload, digest: blob, compressed: false };
        let writing = uploads.begin(&resource)?;
        {
            let _forgotten = Forgotten(&writing);
            let appending = Appending::new(&writing);
            for chunk in &chunks {
                self.append(&appending, chunk).await?;
            }
            appending.settle().await.map_err(|error| wire::status(&error))?;
        }
        self.store(&blob, writing).await.map_err(|error| wire::status(&error))?;
        Ok(spliced)
    }

    async fn append(&self, appending: &Appending, chunk: &Digest) -> Result<(), Status> {
        let found = match self.store.get(chunk).await {
            // One of them was damaged and is gone now.
            Err(StoreError::NotFound { .. } | StoreError::Mismatch { .. }) => {
                return Err(not_there(std::slice::from_ref(chunk)));
            }
            found => Readable::from(found.map_err(|error| wire::status(&error))?),
        };
        let mut pieces = found.pieces(0, chunk.size());
        while let Some((_, piece)) = pieces.try_next().await.map_err(|error| wire::status(&error))? {
            appending.push(piece).await.map_err(|error| wire::status(&error))?;
        }
        Ok(())
    }
}

/// Gives back, in any case, what an upload takes up that nobody can go on with.
struct Forgotten<'a>(&'a Writing);

impl Drop for Forgotten<'_> {
    fn drop(&mut self) {
        self.0.forget();
    }
}

fn not_there(missing: &[Digest]) -> Status {
    let named: Vec<String> = missing.iter().take(NAMED).map(Digest::to_string).collect();
    let more = match missing.len().saturating_sub(NAMED) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    let named = named.join(", ");
    Status::not_found(format!("these chunks are not there: {named}{more}; upload them first"))
}
