//! Writing blobs to a directory.

use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::path::PathBuf;

use bytes::Bytes;
use cullet_digest::{Digest, Hasher};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};

use super::ObjectBlobs;
use super::files::{Draft, Over, Small};
use super::place::PART;
use super::write_ahead::Logs;
use crate::blob::{CheckedFile, is_the_empty_blob};
use crate::whole::{check, check_all, compare, read_whole};
use crate::{Blob, BlobStore as _, StoreError};

/// Up to this many bytes are read and written in one go.
const WHOLE: u64 = 1 << 20;

/// Small blobs that are written one after the other; a piece of work of one takes longer to hand over than to do.
const FEW: usize = 8;

/// So many pieces of work at once: each waits for the disk.
const WRITES: usize = 16;

/// Bytes that are read at once.
const BUFFER: usize = 256 << 10;

/// A file that is read in parts and hashed meanwhile.
struct Source {
    file: File,
    path: PathBuf,
    hasher: Hasher,
    buffer: Vec<u8>,
}

impl ObjectBlobs {
    pub(super) async fn put_blob(&self, digest: &Digest, blob: Blob) -> Result<(), StoreError> {
        match blob {
            Blob::Checked(file) if file.digest() == digest => self.put_checked(file).await,
            Blob::Checked(file) => Box::pin(self.put_blob(digest, file.into_blob())).await,
            Blob::File { file, path, len } if len > WHOLE => {
                let hasher = Hasher::new(digest.function());
                let buffer = vec![0; BUFFER];
                self.put_file(digest, Source { file, path, hasher, buffer }).await
            }
            blob => {
                let bytes = read_whole(blob).await?;
                self.put_bytes(digest, bytes).await
            }
        }
    }

    async fn put_bytes(&self, digest: &Digest, bytes: Bytes) -> Result<(), StoreError> {
        check(digest, &bytes).await?;
        if is_the_empty_blob(digest) {
            return Ok(());
        }
        let mut over = Over::Keep;
        let mut left = vec![(*digest, bytes)];
        if self.files.logs.are_written() && Logs::may_hold(digest) {
            if self.files.logs.own_has(digest) || self.has_file(digest).await? {
                return Ok(());
            }
            left = self.files.in_time(self.files.logs.put(left)).await?;
            over = Over::Fresh;
        }
        self.files.write(left.into_iter().map(|blob| self.small(blob, over)).collect()).await
    }

    /// Small blobs together. Nothing is asked first: what comes this way is hardly ever there.
    pub(super) async fn put_all(&self, blobs: Vec<(Digest, Bytes)>) -> Result<(), StoreError> {
        check_all(&blobs).await?;
        let blobs = blobs.into_iter().filter(|(digest, _)| !is_the_empty_blob(digest)).collect();
        let left = self.files.in_time(self.files.logs.put(blobs)).await?;
        let mut small = left.into_iter().map(|blob| self.small(blob, Over::Fresh)).peekable();
        let pieces: Vec<Vec<Small>> = std::iter::from_fn(|| {
            small.peek()?;
            Some(small.by_ref().take(FEW).collect())
        })
        .collect();
        let writes = stream::iter(pieces).map(|piece| self.files.write(piece));
        writes.buffer_unordered(WRITES).try_collect().await
    }

    fn small(&self, (digest, bytes): (Digest, Bytes), over: Over) -> Small {
        Small { name: self.place.blob(&digest), bytes, over }
    }

    /// A file of this process becomes the blob where both are on one filesystem, else it is copied.
    async fn put_checked(&self, file: CheckedFile) -> Result<(), StoreError> {
        let digest = *file.digest();
        if self.find_missing(&[digest]).await?.is_empty() {
            return Ok(());
        }
        match self.files.adopt(&self.place.blob(&digest), file).await? {
            None => Ok(()),
            Some(file) => Box::pin(self.put_blob(&digest, file.into_blob())).await,
        }
    }

    /// Copies a file step by step. Nothing large is handed from thread to thread: memory of one that another lets go of stays with
    /// the first until that needs some again.
    async fn put_file(&self, digest: &Digest, mut source: Source) -> Result<(), StoreError> {
        let name = self.place.blob(digest);
        // Never on a promise: the caller's bytes are compared even where the blob is there.
        let mut draft =
            if self.has_file(digest).await? { None } else { Some(self.files.begin(&name).await?) };
        loop {
            let step = move || source.step(draft);
            let more;
            (source, draft, more) = self.files.store(&name, step).await?;
            if !more {
                break;
            }
        }
        compare(digest, source.hasher.finish())?;
        match draft {
            Some(draft) => self.files.store(&name, move || draft.settle()).await,
            None => Ok(()),
        }
    }
}

impl Source {
    /// Hashes the next bytes, and writes them where they belong, if anywhere. Whether there may be more.
    fn step(mut self, draft: Option<Draft>) -> io::Result<(Self, Option<Draft>, bool)> {
        let mut left = PART as usize;
        while left > 0 {
            let most = left.min(self.buffer.len());
            let read = match self.file.read(&mut self.buffer[..most]) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                read => read.map_err(|error| {
                    io::Error::new(error.kind(), format!("cannot read {}: {error}", self.path.display()))
                })?,
            };
            if read == 0 {
                return Ok((self, draft, false));
            }
            self.hasher.update(&self.buffer[..read]);
            if let Some(draft) = &draft {
                (&draft.file).write_all(&self.buffer[..read])?;
            }
            left -= read;
        }
        Ok((self, draft, true))
    }
}
