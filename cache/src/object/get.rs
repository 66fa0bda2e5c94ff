//! Reading objects.

use std::fs::File;
use std::io::{self, Read as _};
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use cullet_digest::Digest;
use futures_util::{StreamExt as _, stream};
use object_store::{GetOptions, ObjectStore as _};

use super::Place;
use super::files::Files;
use super::place::PART;
use crate::arriving::IN_MEMORY;
use crate::blob::is_the_empty_blob;
use crate::origin::Pieces;
use crate::{Blob, StoreError};

/// Parts of one blob that are fetched at the same time: the next one is on its way while this one is written.
const AHEAD: usize = 2;

/// The blob as the file it is; small ones in memory.
pub(super) async fn file(place: &Place, files: &Files, digest: &Digest) -> Result<Blob, StoreError> {
    let of = *digest;
    let open = move |path: &Path| {
        let failed = |error| StoreError::io("read", path, error);
        let missing = || StoreError::NotFound { digest: of };
        let file = match File::open(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(missing()),
            opened => opened.map_err(failed)?,
        };
        if file.metadata().map_err(failed)?.len() != of.size() {
            return Err(missing());
        }
        if of.size() > IN_MEMORY {
            return Ok(Blob::File { file, path: path.to_owned(), len: of.size() });
        }
        let mut bytes = Vec::with_capacity(of.size() as usize + 1);
        file.take(of.size()).read_to_end(&mut bytes).map_err(failed)?;
        Ok(Blob::Bytes(bytes.into()))
    };
    files.read(&place.blob(digest), open).await
}

/// The blob in parts, the first of which is there when this returns.
pub(super) async fn pieces(place: &Arc<Place>, digest: &Digest, offset: u64) -> Result<Pieces, StoreError> {
    if is_the_empty_blob(digest) || (offset > 0 && offset >= digest.size()) {
        return Ok(stream::empty().boxed());
    }
    if digest.is_empty() {
        return Err(StoreError::NotFound { digest: *digest });
    }
    let end = |start: u64| digest.size().min(start.saturating_add(PART));
    let first = part(Arc::clone(place), *digest, offset..end(offset)).await?;
    let starts = std::iter::successors(Some(end(offset)), |start| Some(start.saturating_add(PART)));
    let size = digest.size();
    let ranges: Vec<_> = starts.take_while(|start| *start < size).map(|start| start..end(start)).collect();
    let (place, digest) = (Arc::clone(place), *digest);
    let rest = stream::iter(ranges).map(move |range| part(Arc::clone(&place), digest, range)).buffered(AHEAD);
    Ok(stream::once(async { Ok(first) }).chain(rest).boxed())
}

/// A part of an object that has the length of the blob; one that has not is not the blob.
async fn part(place: Arc<Place>, digest: Digest, range: Range<u64>) -> Result<Bytes, StoreError> {
    let path = place.blob(&digest);
    let options = GetOptions::new().with_range(Some(range));
    let read = || async {
        let found = place.objects.get_opts(&path, options.clone()).await?;
        if found.meta.size == digest.size() { found.bytes().await.map(Some) } else { Ok(None) }
    };
    let found = place.request("read from", read).await?;
    found.flatten().ok_or(StoreError::NotFound { digest })
}
