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
mod tests {
    use std::path::Path;

    use super::super::recorder::Recorder;
    use super::super::{LogEvents, NoEvents};
    use super::*;

    struct Taped(LogTape);

    impl LogEvents for Taped {
        fn lines(&mut self, _: Stream, _: &str) {}

        fn tape(&self) -> Option<LogTape> {
            Some(self.0.clone())
        }
    }

    /// The order of `recorded`, read as `ActionResult::interleaving` says.
    fn merged(recorded: &Recorded) -> Vec<u8> {
        let contents = |captured: &Captured| match captured {
            Captured::Inline(bytes) => bytes.clone(),
            Captured::File(path) => std::fs::read(path).unwrap(),
            Captured::Salvaged { trouble, .. } => panic!("{trouble}"),
        };
        let (stdout, stderr) = (contents(&recorded.stdout), contents(&recorded.stderr));
        let known = KnownLog::whole(&recorded.interleaving, stdout.len() as u64, stderr.len() as u64);
        let (mut cursor, mut all) = (LogCursor::default(), Vec::new());
        while let NextBytes::Here { stream, from, len } = cursor.next(known) {
            all.extend_from_slice(&of(stream, &stdout, &stderr)[from as usize..(from + len) as usize]);
            cursor.advance(stream, len);
        }
        all
    }

    async fn drain(tape: &LogTape, cursor: &mut LogCursor, follow: bool) -> Vec<u8> {
        let mut all = Vec::new();
        while let Some(piece) = tape.next(cursor, follow).await.unwrap() {
            assert!(piece.data.len() as u64 <= MAX_PIECE_BYTES && !piece.data.is_empty());
            assert_eq!(piece.offset + piece.data.len() as u64, cursor.offset());
            all.extend_from_slice(&piece.data);
        }
        all
    }

    /// Writes `writes` and reads after each; then everything again from a few places on.
    async fn check(dir: &Path, limit: u64, writes: &[(Stream, usize)]) {
        let tape = LogTape::default();
        let recorder = Recorder::new(dir, limit, Box::new(Taped(tape.clone())));
        let mut sink = recorder.sink();
        let (mut cursor, mut live) = (LogCursor::default(), Vec::new());
        let mut next = 0u8;
        for &(stream, len) in writes {
            let bytes: Vec<u8> = (0..len).map(|at| next.wrapping_add(at as u8)).collect();
            next = next.wrapping_add(31);
            sink.write(stream, &bytes);
            live.extend(drain(&tape, &mut cursor, false).await);
        }
        let recorded = recorder.finish().unwrap();
        let whole = merged(&recorded);
        for path in [&recorded.stdout, &recorded.stderr] {
            // As when it becomes a blob and that is evicted.
            if let Captured::File(path) = path {
                std::fs::remove_file(path).unwrap();
            }
        }
        live.extend(drain(&tape, &mut cursor, true).await);
        assert!(live == whole, "{} bytes live, {} afterwards", live.len(), whole.len());
        for offset in (0..whole.len()).step_by(whole.len() / 5 + 1) {
            let rest = drain(&tape, &mut LogCursor::at(offset as u64), true).await;
            assert!(rest == whole[offset..], "from {offset} on");
        }
    }

    #[tokio::test]
    async fn what_is_read_live_is_what_the_result_says_later() {
        use Stream::{Stderr, Stdout};
        let dir = || tempfile::tempdir().unwrap();
        check(dir().path(), 1 << 20, &[(Stderr, 3), (Stdout, 5), (Stderr, 1)]).await;
        check(dir().path(), 1 << 20, &[(Stdout, 3000), (Stdout, 3000), (Stderr, 70_000), (Stdout, 9)]).await;
        // Beyond the limit, with a note at the end.
        check(dir().path(), 8000, &[(Stdout, 7000), (Stderr, 9000), (Stdout, 7000), (Stderr, 1)]).await;
        // More changes of stream than are recorded.
        let alternating: Vec<_> = (0..70_000).map(|at| ([Stdout, Stderr][at % 2], 1)).collect();
        check(dir().path(), 1 << 20, &alternating).await;
        check(dir().path(), 1 << 20, &[]).await;
    }

    #[tokio::test]
    async fn a_follower_waits_for_what_comes_and_for_the_end() {
        let dir = tempfile::tempdir().unwrap();
        let tape = LogTape::default();
        let reader = tape.clone();
        let all = tokio::spawn(async move { drain(&reader, &mut LogCursor::at(2), true).await });
        tokio::task::yield_now().await;
        let recorder = Recorder::new(dir.path(), 1 << 20, Box::new(Taped(tape.clone())));
        for text in ["a", "bc", "d"] {
            recorder.sink().write(Stream::Stderr, text.as_bytes());
            tokio::task::yield_now().await;
        }
        drop(recorder);
        assert_eq!(all.await.unwrap(), b"cd");
        assert_eq!(drain(&tape, &mut LogCursor::default(), true).await, b"abcd");
    }

    #[tokio::test]
    async fn an_attempt_that_never_starts_has_an_empty_log() {
        let tape = LogTape::default();
        assert_eq!(tape.next(&mut LogCursor::default(), false).await.unwrap(), None);
        let reader = tape.clone();
        let end = tokio::spawn(async move { reader.next(&mut LogCursor::default(), true).await });
        tokio::task::yield_now().await;
        tape.close();
        assert_eq!(end.await.unwrap().unwrap(), None);
    }

    #[test]
    fn nobody_has_to_read() {
        let dir = tempfile::tempdir().unwrap();
        let recorder = Recorder::new(dir.path(), 1 << 20, Box::new(NoEvents));
        recorder.sink().write(Stream::Stdout, b"x");
        assert_eq!(merged(&recorder.finish().unwrap()), b"x");
        assert!(recorder.finish().is_none());
    }
}
