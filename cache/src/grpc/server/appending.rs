//! Bytes of an upload that are hashed and written while the next ones arrive.

use std::io;
use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use tokio::sync::oneshot::error::TryRecvError;
use tokio::sync::{Notify, oneshot};

use super::uploads::Writing;
use crate::StoreError;
use crate::threads::{Kind, Threads};

/// Bytes that wait until those before them are written: enough that a thread has something to do while a message arrives.
const WAITING: usize = 512 << 10;

/// Threads that hash and write uploads, however many of those there are: they wait for processors, and seldom for a disk.
static THREADS: LazyLock<Threads> = LazyLock::new(|| {
    let processors = std::thread::available_parallelism().map_or(2, usize::from);
    let most = processors.saturating_mul(2);
    Threads::new(Kind { most, eager: most, yields: true })
});

/// An upload to which is added in order, by one task at a time. What was taken is written even where whoever sent it goes
/// away.
#[derive(Debug)]
pub(super) struct Appending(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    writing: Writing,
    queue: Mutex<Queue>,
    written: Notify,
}

#[derive(Debug, Default)]
struct Queue {
    pieces: Vec<Bytes>,
    bytes: usize,
    /// Whether a thread writes or is about to, and looks again before it ends.
    busy: bool,
    /// Each ends when a thread that wrote has the upload no longer.
    turns: Vec<oneshot::Receiver<()>>,
    failed: Option<StoreError>,
}

impl Appending {
    pub(super) fn new(writing: &Writing) -> Self {
        Self(Arc::new(Shared { writing: writing.clone(), queue: Mutex::default(), written: Notify::new() }))
    }

    /// Takes the next bytes; waits where too many are not written yet.
    ///
    /// # Errors
    /// Why something before them could not be written.
    pub(super) async fn push(&self, piece: Bytes) -> Result<(), StoreError> {
        let mut queue = self.until(|queue| queue.bytes < WAITING).await?;
        queue.bytes += piece.len();
        queue.pieces.push(piece);
        if !mem::replace(&mut queue.busy, true) {
            let (ends, turn) = oneshot::channel();
            queue.turns.retain_mut(|turn| matches!(turn.try_recv(), Err(TryRecvError::Empty)));
            queue.turns.push(turn);
            drop(queue);
            Turn(Some((Arc::clone(&self.0), ends))).begin();
        }
        Ok(())
    }

    /// Waits until all of them are written, and no thread has the upload any more.
    ///
    /// # Errors
    /// Why they could not be.
    pub(super) async fn settle(&self) -> Result<(), StoreError> {
        let settled = self.until(|queue| !queue.busy).await.map(drop);
        let turns = mem::take(&mut self.0.lock().turns);
        for turn in turns {
            // That is an error: nothing is ever sent.
            let _ = turn.await;
        }
        settled
    }

    async fn until(&self, done: impl Fn(&Queue) -> bool) -> Result<MutexGuard<'_, Queue>, StoreError> {
        loop {
            {
                let mut queue = self.0.lock();
                if let Some(error) = queue.failed.take() {
                    return Err(error);
                }
                if done(&queue) {
                    return Ok(queue);
                }
            }
            // One task waits at a time, and one word is kept for it.
            self.0.written.notified().await;
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        // Nothing panics while it is held.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes what waits. Whether there may be more.
    fn write(&self) -> bool {
        let panicked = |_| StoreError::io("write", "an upload", io::Error::other("its thread panicked"));
        let written = catch_unwind(AssertUnwindSafe(|| self.write_next())).map_err(panicked);
        let more = written.and_then(|written| written).unwrap_or_else(|error| {
            self.fail(error);
            false
        });
        self.written.notify_one();
        more
    }

    fn write_next(&self) -> Result<bool, StoreError> {
        let Some(pieces) = self.take() else { return Ok(false) };
        self.written.notify_one();
        pieces.iter().try_for_each(|piece| self.writing.append(piece))?;
        Ok(true)
    }

    fn fail(&self, error: StoreError) {
        let mut queue = self.lock();
        queue.failed = Some(error);
        queue.busy = false;
    }

    fn take(&self) -> Option<Vec<Bytes>> {
        let mut queue = self.lock();
        // What is pushed after this finds nobody who would look again.
        queue.busy = !queue.pieces.is_empty();
        queue.bytes = 0;
        queue.busy.then(|| mem::take(&mut queue.pieces))
    }
}

/// A turn of an upload: what waits is written, and then that of another one before it comes back to this one. The upload has
/// failed where it never comes to that.
struct Turn(Option<(Arc<Shared>, oneshot::Sender<()>)>);

impl Turn {
    fn begin(self) {
        // Where no thread can be had the turn is dropped.
        if let Err(error) = THREADS.begin(move || self.take()) {
            tracing::debug!(%error, "no thread can be had for an upload");
        }
    }

    fn take(mut self) {
        if self.0.as_ref().is_some_and(|(shared, _)| shared.write()) {
            return self.begin();
        }
        // Fields go in their order: who is told that it ends finds that nobody has the upload.
        drop(self.0.take());
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        if let Some((shared, _)) = &self.0 {
            let error = io::Error::from(io::ErrorKind::OutOfMemory);
            shared.fail(StoreError::io("begin to write", "an upload", error));
            shared.written.notify_one();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use cullet_digest::DigestFunction;

    use super::super::StorageLimits;
    use super::super::uploads::Uploads;
    use super::*;
    use crate::grpc::resource::Resource;

    fn upload(dir: &tempfile::TempDir, digest: cullet_digest::Digest) -> (Arc<Uploads>, Resource) {
        let uploads = Arc::new(Uploads::new(dir.path(), &StorageLimits::default()).unwrap());
        let upload = Some("upload".to_owned());
        (uploads, Resource { instance: String::new(), upload, digest, compressed: false })
    }

    fn bytes(len: usize) -> Vec<u8> {
        (0..len).map(|index| (index * 7 % 251) as u8).collect()
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn bytes_come_in_order_and_what_was_taken_is_written_by_whoever_is_left() {
        let (dir, bytes) = (tempfile::tempdir().unwrap(), bytes(3 << 20));
        for piece in [1000, 100_000, 1 << 20] {
            let digest = DigestFunction::Sha256.digest(&bytes);
            let (uploads, resource) = upload(&dir, digest);
            let (front, back) = bytes.split_at(bytes.len() / 2);
            let writing = uploads.begin(&resource).unwrap();
            let appending = Appending::new(&writing);
            for piece in front.chunks(piece) {
                appending.push(Bytes::copy_from_slice(piece)).await.unwrap();
            }
            // The client goes away.
            drop((appending, writing));
            let writing = loop {
                match uploads.begin(&resource) {
                    Ok(writing) => break writing,
                    Err(busy) => assert_eq!(busy.code(), tonic::Code::Aborted),
                }
                tokio::time::sleep(std::time::Duration::from_millis(1)).await;
            };
            assert_eq!(writing.committed(), front.len() as u64);
            let appending = Appending::new(&writing);
            for piece in back.chunks(piece) {
                appending.push(Bytes::copy_from_slice(piece)).await.unwrap();
            }
            appending.settle().await.unwrap();
            let arrived = writing.finish().unwrap().unwrap().open().unwrap();
            assert_eq!(arrived.into_bytes().unwrap(), bytes);
        }
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn what_cannot_be_written_is_told_and_the_upload_is_free_again() {
        let (dir, bytes) = (tempfile::tempdir().unwrap(), bytes(1 << 20));
        let (uploads, resource) = upload(&dir, DigestFunction::Sha256.digest(&bytes[1..]));
        let writing = uploads.begin(&resource).unwrap();
        let appending = Appending::new(&writing);
        let mut refused = Vec::new();
        for piece in bytes.chunks(4096) {
            refused.extend(appending.push(Bytes::copy_from_slice(piece)).await.err());
        }
        refused.extend(appending.settle().await.err());
        assert!(matches!(&refused[..], [StoreError::Mismatch { .. }]), "{refused:?}");
        drop((appending, writing));
        assert!(uploads.begin(&resource).is_ok());
    }
}
