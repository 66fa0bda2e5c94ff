//! What an attempt prints, for readers that come and go while it runs and afterwards.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use cullet_cache::{KnownLog, LogCursor, NextBytes};
use tokio::sync::Notify;

use super::recorder::{Recorded, State};
use super::stream::{Captured, Kept, StreamLog};
use crate::executor::Stream;

/// The most bytes of one piece: what a full pipe holds, so a reader that keeps up reads as often as the step
/// prints.
pub const MAX_PIECE_BYTES: u64 = 64 << 10;

/// The log of one attempt: nothing before it starts, a growing log while it runs, and the whole one for as long
/// as anybody holds this. What is long lies in files that are only read, so a reader holds back nobody; each of the
/// two streams keeps one descriptor open.
#[derive(Debug, Clone, Default)]
pub struct LogTape {
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    // Held for as long as it takes to copy a piece from memory, never while a file is read.
    phase: Mutex<Phase>,
    changed: Notify,
}

#[derive(Default)]
enum Phase {
    #[default]
    Before,
    Recording(Box<State>),
    Ended(Ended),
}

/// A whole log.
#[derive(Default)]
struct Ended {
    runs: Vec<u32>,
    stdout: Kept,
    stderr: Kept,
}

/// Some bytes of a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogPiece {
    /// How many bytes both streams had printed before.
    pub offset: u64,
    /// Who printed it.
    pub stream: Stream,
    /// At least one byte, at most [`MAX_PIECE_BYTES`].
    pub data: Bytes,
}

enum Found {
    Piece(LogPiece),
    /// In a file, to be read without holding the lock.
    InFile {
        file: File,
        stream: Stream,
        from: u64,
        len: u64,
    },
    NotYet,
    End,
}

impl LogTape {
    /// The next piece, and moves the cursor behind it. None at the end of the log; where the caller does not
    /// want to `follow`, also where nothing more is printed so far.
    ///
    /// # Errors
    /// Where the file of a long log cannot be read.
    pub async fn next(&self, cursor: &mut LogCursor, follow: bool) -> io::Result<Option<LogPiece>> {
        loop {
            let changed = self.shared.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            match self.find(cursor)? {
                Found::Piece(piece) => {
                    cursor.advance(piece.stream, piece.data.len() as u64);
                    return Ok(Some(piece));
                }
                Found::InFile { file, stream, from, len } => {
                    let data = read_at(file, from, len).await?;
                    let offset = cursor.offset();
                    cursor.advance(stream, data.len() as u64);
                    return Ok(Some(LogPiece { offset, stream, data }));
                }
                Found::End => return Ok(None),
                Found::NotYet if !follow => return Ok(None),
                Found::NotYet => changed.await,
            }
        }
    }

    /// Ends the log where it is. Nothing happens to one that has ended.
    pub fn close(&self) {
        if self.end().is_none() {
            let mut phase = self.phase();
            if matches!(*phase, Phase::Before) {
                *phase = Phase::Ended(Ended::default());
            }
            drop(phase);
        }
        self.shared.changed.notify_waiters();
    }

    /// Begins the log.
    pub(super) fn begin(&self, state: State) {
        *self.phase() = Phase::Recording(Box::new(state));
    }

    /// Takes more of it. What comes after the end goes nowhere.
    pub(super) fn write(&self, stream: Stream, bytes: &[u8]) {
        if let Phase::Recording(state) = &mut *self.phase() {
            state.write(stream, bytes);
        }
        self.shared.changed.notify_waiters();
    }

    /// Ends the log and gives it to whoever keeps it. Readers go on with what they can still reach.
    pub(super) fn end(&self) -> Option<Recorded> {
        let mut phase = self.phase();
        let state = match std::mem::take(&mut *phase) {
            Phase::Recording(state) => state,
            other => {
                *phase = other;
                return None;
            }
        };
        let files = (state.stdout.log.reopen(), state.stderr.log.reopen());
        let recorded = state.finish();
        let (stdout, stderr) = (keep(&recorded.stdout, files.0), keep(&recorded.stderr, files.1));
        *phase = Phase::Ended(Ended { runs: recorded.interleaving.clone(), stdout, stderr });
        drop(phase);
        self.shared.changed.notify_waiters();
        Some(recorded)
    }

    fn find(&self, cursor: &mut LogCursor) -> io::Result<Found> {
        match &*self.phase() {
            Phase::Before => Ok(Found::NotYet),
            Phase::Recording(state) => {
                let (stdout, stderr) = (&state.stdout.log, &state.stderr.log);
                let known = KnownLog {
                    runs: state.order.runs(),
                    order_is_final: state.order.is_full(),
                    stdout: stdout.stored(),
                    stderr: stderr.stored(),
                    ended: false,
                };
                find(cursor, known, |stream, from, len| of(stream, stdout, stderr).piece(from, len))
            }
            Phase::Ended(Ended { runs, stdout, stderr }) => {
                let known = KnownLog::whole(runs, stdout.len(), stderr.len());
                find(cursor, known, |stream, from, len| of(stream, stdout, stderr).piece(from, len))
            }
        }
    }

    fn phase(&self) -> MutexGuard<'_, Phase> {
        self.shared.phase.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A part of one stream.
pub(super) enum Part {
    /// Copied.
    Bytes(Bytes),
    /// At the same position of this file.
    File(File),
}

fn find(
    cursor: &mut LogCursor,
    known: KnownLog<'_>,
    part: impl FnOnce(Stream, u64, u64) -> io::Result<(Part, u64)>,
) -> io::Result<Found> {
    let (stream, from, len) = match cursor.next(known) {
        NextBytes::Here { stream, from, len } => (stream, from, len.min(MAX_PIECE_BYTES)),
        NextBytes::NotYet => return Ok(Found::NotYet),
        NextBytes::End => return Ok(Found::End),
    };
    Ok(match part(stream, from, len)? {
        (Part::Bytes(data), _) => Found::Piece(LogPiece { offset: cursor.offset(), stream, data }),
        (Part::File(file), len) => Found::InFile { file, stream, from, len },
    })
}

fn of<'a, T>(stream: Stream, stdout: &'a T, stderr: &'a T) -> &'a T {
    match stream {
        Stream::Stdout => stdout,
        Stream::Stderr => stderr,
    }
}

/// What readers have after the end: a file stays readable when it becomes a blob, or when that is evicted.
fn keep(captured: &Captured, file: Option<io::Result<File>>) -> Kept {
    match (captured, file) {
        (Captured::Inline(bytes), _) => Kept::Bytes(Bytes::copy_from_slice(bytes)),
        (Captured::Salvaged { tail, .. }, _) => Kept::Bytes(Bytes::copy_from_slice(tail)),
        (Captured::File(_), Some(Ok(file))) => Kept::of_file(file),
        (Captured::File(_), _) => Kept::default(),
    }
}

async fn read_at(file: File, from: u64, len: u64) -> io::Result<Bytes> {
    let read = tokio::task::spawn_blocking(move || {
        // At most MAX_PIECE_BYTES.
        let mut bytes = vec![0; len as usize];
        file.read_exact_at(&mut bytes, from)?;
        Ok(bytes.into())
    });
    read.await.unwrap_or_else(|error| Err(io::Error::other(error)))
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LogTape").finish_non_exhaustive()
    }
}

impl StreamLog {
    /// Up to `len` bytes from `from` on, all of them stored, and how many it will be.
    fn piece(&self, from: u64, len: u64) -> io::Result<(Part, u64)> {
        let flushed = self.flushed();
        if from >= flushed {
            let start = (from - flushed) as usize;
            let bytes = &self.buffered()[start..start + len as usize];
            return Ok((Part::Bytes(Bytes::copy_from_slice(bytes)), len));
        }
        match self.reopen() {
            Some(file) => Ok((Part::File(file?), len.min(flushed - from))),
            // Nothing is flushed without a file.
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }
}

impl Kept {
    fn piece(&self, from: u64, len: u64) -> io::Result<(Part, u64)> {
        match self {
            Self::Bytes(bytes) => Ok((Part::Bytes(bytes.slice(from as usize..(from + len) as usize)), len)),
            Self::File(file, _) => Ok((Part::File(file.try_clone()?), len)),
        }
    }
}

#[cfg(test)]
mod tests;
