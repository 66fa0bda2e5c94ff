use std::path::Path;

use super::*;
use crate::logs::recorder::Recorder;
use crate::logs::{LogEvents, NoEvents};

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
