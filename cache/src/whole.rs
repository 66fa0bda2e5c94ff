//! Blobs as a whole, compared with their digests.

use bytes::Bytes;
use cullet_digest::Digest;

use crate::offload::offload;
use crate::{Blob, StoreError};

/// Bytes that are hashed where they are: more take longer than to hand them to another thread.
pub(crate) const HASHED_HERE: usize = 64 << 10;

/// All bytes of a blob.
pub(crate) async fn read_whole(blob: Blob) -> Result<Bytes, StoreError> {
    match blob {
        Blob::Bytes(bytes) => Ok(bytes),
        Blob::File { file, path, len } => {
            offload(move || {
                let blob = Blob::File { file, path: path.clone(), len };
                blob.into_bytes().map_err(|error| StoreError::io("read", path, error))
            })
            .await
        }
        Blob::Checked(file) => Box::pin(read_whole(file.into_blob())).await,
    }
}

/// That these are the bytes of the digest.
pub(crate) async fn check(digest: &Digest, bytes: &Bytes) -> Result<(), StoreError> {
    let function = digest.function();
    if bytes.len() <= HASHED_HERE {
        return compare(digest, function.digest(bytes));
    }
    let hashed = bytes.clone();
    compare(digest, offload(move || Ok(function.digest(&hashed))).await?)
}

/// The same for several blobs, with at most one thread that they are handed to.
pub(crate) async fn check_all(blobs: &[(Digest, Bytes)]) -> Result<(), StoreError> {
    let all = |blobs: &[(Digest, Bytes)]| {
        blobs.iter().try_for_each(|(digest, bytes)| compare(digest, digest.function().digest(bytes)))
    };
    if blobs.iter().map(|(_, bytes)| bytes.len()).sum::<usize>() <= HASHED_HERE {
        return all(blobs);
    }
    let blobs = blobs.to_vec();
    offload(move || all(&blobs)).await
}

/// That these are the same digest.
pub(crate) fn compare(expected: &Digest, actual: Digest) -> Result<(), StoreError> {
    if actual == *expected { Ok(()) } else { Err(StoreError::Mismatch { expected: *expected, actual }) }
}
