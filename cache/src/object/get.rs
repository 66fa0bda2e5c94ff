//! Reading objects.

use std::fs::File;
use std::io::{self, Read as _};
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use cullet_digest::Digest;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use rustix::buffer::spare_capacity;
use rustix::io::Errno;

use super::Place;
use super::files::Files;
use crate::arriving::IN_MEMORY;
use crate::blob::is_the_empty_blob;
use crate::origin::Pieces;
use crate::{Blob, StoreError};

/// Bytes of one part: as much as the allocator takes back at once from whichever thread lets go of it.
const STEP: u64 = 128 << 10;

/// Parts of one blob that are read at the same time: the next ones are on their way while this one is written.
const AHEAD: usize = 4;

/// The blob as the file it is; small ones in memory.
pub(super) async fn file(place: &Place, files: &Files, digest: &Digest) -> Result<Blob, StoreError> {
    let of = *digest;
    let open = move |path: &Path| {
        let file = opened(path, &of)?;
        if of.size() > IN_MEMORY {
            return Ok(Blob::File { file, path: path.to_owned(), len: of.size() });
        }
        let mut bytes = Vec::with_capacity(of.size() as usize + 1);
        let read = file.take(of.size()).read_to_end(&mut bytes);
        read.map_err(|error| StoreError::io("read", path, error))?;
        Ok(Blob::Bytes(bytes.into()))
    };
    files.read(&place.blob(digest), open).await
}

/// The blob in parts, the first of which is there when this returns.
pub(super) async fn pieces(
    place: &Place,
    files: &Arc<Files>,
    digest: &Digest,
    offset: u64,
) -> Result<Pieces, StoreError> {
    if is_the_empty_blob(digest) || (offset > 0 && offset >= digest.size()) {
        return Ok(stream::empty().boxed());
    }
    if digest.is_empty() {
        return Err(StoreError::NotFound { digest: *digest });
    }
    let name = place.blob(digest);
    let of = *digest;
    let file = Arc::new(files.read(&name, move |path| opened(path, &of)).await?);
    let end = move |start: u64| of.size().min(start.saturating_add(STEP));
    let starts = std::iter::successors(Some(offset), move |start| Some(end(*start)));
    let ranges = starts.take_while(move |start| *start < of.size()).map(move |start| start..end(start));
    let files = Arc::clone(files);
    let read = move |range: Range<u64>| {
        let (files, file, name) = (Arc::clone(&files), Arc::clone(&file), name.clone());
        async move {
            // Not by the thread that reads: what others let go of stays with a thread until that needs some again.
            let bytes = Vec::with_capacity((range.end - range.start) as usize);
            files.read(&name, move |path| part(&file, path, range, bytes)).await
        }
    };
    let mut parts = stream::iter(ranges).map(read).buffered(AHEAD);
    // There is at least one.
    let first = parts.try_next().await?.unwrap_or_default();
    Ok(stream::once(async { Ok(first) }).chain(parts).boxed())
}

/// The file of a blob. One that has not its length is not the blob.
fn opened(path: &Path, digest: &Digest) -> Result<File, StoreError> {
    let failed = |error| StoreError::io("read", path, error);
    let missing = || StoreError::NotFound { digest: *digest };
    let file = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(missing()),
        opened => opened.map_err(failed)?,
    };
    if file.metadata().map_err(failed)?.len() == digest.size() { Ok(file) } else { Err(missing()) }
}

fn part(file: &File, path: &Path, range: Range<u64>, mut bytes: Vec<u8>) -> Result<Bytes, StoreError> {
    let len = (range.end - range.start) as usize;
    while bytes.len() < len {
        let offset = range.start + bytes.len() as u64;
        let read = match rustix::io::pread(file, spare_capacity(&mut bytes), offset) {
            Err(Errno::INTR) => continue,
            read => read.map_err(io::Error::from),
        };
        let read =
            read.and_then(|read| if read == 0 { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(()) });
        read.map_err(|error| StoreError::io("read", path, error))?;
    }
    bytes.truncate(len);
    Ok(bytes.into())
}
