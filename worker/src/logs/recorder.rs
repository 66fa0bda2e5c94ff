//! The sink that a step's output goes into.

use std::path::Path;
use std::sync::Arc;

use cullet_secrets::{MaskedStream, Masker};

use super::interleaving::Interleaving;
use super::lines::LineCutter;
use super::stream::{Captured, StreamLog};
use super::{LogEvents, LogTape, events};
use crate::executor::{LogSink, Stream};

/// Keeps what one attempt prints, and passes it on line by line.
#[derive(Debug)]
pub(crate) struct Recorder {
    // The executor owns the sink, so what it gathered is reached from both sides. One thread writes while the
    // process lives, the attempt takes it when the process is gone, and readers look in.
    tape: LogTape,
}

pub(super) struct State {
    pub(super) stdout: OneStream,
    pub(super) stderr: OneStream,
    pub(super) order: Interleaving,
    /// What is not to be kept or passed on.
    masker: Arc<Masker>,
    events: Box<dyn LogEvents>,
    /// Kept between calls only to spare its allocation.
    text: String,
}

pub(super) struct OneStream {
    pub(super) log: StreamLog,
    lines: LineCutter,
    mask: MaskedStream,
}

/// Everything that was printed.
#[derive(Debug)]
pub(crate) struct Recorded {
    /// Standard output.
    pub(crate) stdout: Captured,
    /// Standard error.
    pub(crate) stderr: Captured,
    /// As in `ActionResult::interleaving`.
    pub(crate) interleaving: Vec<u32>,
}

impl Recorder {
    /// One that masks nothing.
    #[cfg(test)]
    pub(crate) fn new(dir: &Path, limit: u64, events: Box<dyn LogEvents>) -> Self {
        Self::masked(dir, limit, events, Arc::default())
    }

    /// Keeps at most `limit` bytes of each stream; files are made in `dir`, and only for long logs. Values are masked before
    /// anything is done with what comes.
    pub(crate) fn masked(dir: &Path, limit: u64, events: Box<dyn LogEvents>, masker: Arc<Masker>) -> Self {
        let stream = |name| OneStream {
            log: StreamLog::new(dir.join(name), limit),
            lines: LineCutter::default(),
            mask: MaskedStream::default(),
        };
        let (stdout, stderr) = (stream("stdout"), stream("stderr"));
        let tape = events.tape().unwrap_or_default();
        let (order, text) = (Interleaving::default(), String::new());
        tape.begin(State { stdout, stderr, order, masker, events, text });
        Self { tape }
    }

    /// The end that the executor writes into.
    pub(crate) fn sink(&self) -> Box<dyn LogSink> {
        Box::new(Sink { tape: self.tape.clone() })
    }

    /// Ends both streams. What a sink still receives later goes nowhere.
    pub(crate) fn finish(&self) -> Option<Recorded> {
        self.tape.end()
    }
}

impl Drop for Recorder {
    /// An attempt that was abandoned prints nothing more.
    fn drop(&mut self) {
        self.tape.close();
    }
}

struct Sink {
    tape: LogTape,
}

impl LogSink for Sink {
    fn write(&mut self, stream: Stream, bytes: &[u8]) {
        self.tape.write(stream, bytes);
    }
}

impl State {
    pub(super) fn write(&mut self, stream: Stream, bytes: &[u8]) {
        let (masker, mut mask) = (Arc::clone(&self.masker), std::mem::take(&mut self.one(stream).mask));
        mask.feed(&masker, bytes, &mut |bytes| self.keep(stream, bytes));
        self.one(stream).mask = mask;
    }

    fn one(&mut self, stream: Stream) -> &mut OneStream {
        match stream {
            Stream::Stdout => &mut self.stdout,
            Stream::Stderr => &mut self.stderr,
        }
    }

    fn keep(&mut self, stream: Stream, bytes: &[u8]) {
        let one = match stream {
            Stream::Stdout => &mut self.stdout,
            Stream::Stderr => &mut self.stderr,
        };
        let kept = one.log.write(bytes);
        self.order.add(stream, kept);
        one.lines.feed(bytes, &mut self.text);
        self.emit(stream);
    }

    fn emit(&mut self, stream: Stream) {
        if !self.text.is_empty() {
            self.events.lines(stream, &self.text);
            self.text.clear();
        }
        // One long line may have made it grow; a chunk is 64 KiB, and lossy decoding at most triples it.
        self.text.shrink_to(4 * events::MAX_LINE_BYTES);
    }

    pub(super) fn finish(mut self) -> Recorded {
        for stream in [Stream::Stdout, Stream::Stderr] {
            let (masker, mut mask) = (Arc::clone(&self.masker), std::mem::take(&mut self.one(stream).mask));
            mask.finish(&masker, &mut |bytes| self.keep(stream, bytes));
        }
        self.stdout.lines.finish(&mut self.text);
        self.emit(Stream::Stdout);
        self.stderr.lines.finish(&mut self.text);
        self.emit(Stream::Stderr);
        let (stdout, note) = self.stdout.log.finish();
        self.order.add(Stream::Stdout, note);
        let (stderr, note) = self.stderr.log.finish();
        self.order.add(Stream::Stderr, note);
        Recorded { stdout, stderr, interleaving: self.order.finish() }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    struct Seen(Arc<Mutex<Vec<(Stream, String)>>>);

    impl LogEvents for Seen {
        fn lines(&mut self, stream: Stream, text: &str) {
            self.0.lock().unwrap().push((stream, text.to_owned()));
        }
    }

    #[test]
    fn both_streams_are_kept_apart_in_order_and_seen_live() {
        let dir = tempfile::tempdir().unwrap();
        let seen = Arc::default();
        let events = Box::new(Seen(Arc::clone(&seen)));
        let recorder = Recorder::new(dir.path(), 1 << 20, events);
        let mut sink = recorder.sink();
        sink.write(Stream::Stdout, b"one\ntw");
        sink.write(Stream::Stderr, b"warn");
        sink.write(Stream::Stdout, b"o\n");
        let live = vec![(Stream::Stdout, "one\n".to_owned()), (Stream::Stdout, "two\n".to_owned())];
        assert_eq!(*seen.lock().unwrap(), live);
        let recorded = recorder.finish().unwrap();
        assert_eq!(seen.lock().unwrap().last(), Some(&(Stream::Stderr, "warn\n".to_owned())));
        assert!(matches!(recorded.stdout, Captured::Inline(bytes) if bytes == b"one\ntwo\n"));
        assert!(matches!(recorded.stderr, Captured::Inline(bytes) if bytes == b"warn"));
        assert_eq!(recorded.interleaving, [6, 4, 2]);
        sink.write(Stream::Stdout, b"late");
        assert!(recorder.finish().is_none());
    }

    #[test]
    fn much_output_is_seen_whole_but_kept_to_the_limit() {
        struct Count(Arc<Mutex<usize>>);
        impl LogEvents for Count {
            fn lines(&mut self, _: Stream, text: &str) {
                *self.0.lock().unwrap() += text.lines().count();
            }
        }
        let dir = tempfile::tempdir().unwrap();
        let count = Arc::default();
        let events = Box::new(Count(Arc::clone(&count)));
        let recorder = Recorder::new(dir.path(), 1 << 20, events);
        let mut sink = recorder.sink();
        let chunk = "0123456789abcde\n".repeat(4096);
        for _ in 0..256 {
            sink.write(Stream::Stdout, chunk.as_bytes());
        }
        let recorded = recorder.finish().unwrap();
        assert_eq!(*count.lock().unwrap(), 256 * 4096);
        let note = format!("log limit reached: {} bytes dropped\n", (16 << 20) - (1 << 20));
        let Captured::File(path) = recorded.stdout else { panic!("not in a file") };
        let text = std::fs::read_to_string(path).unwrap();
        assert_eq!(text.len(), (1 << 20) + note.len());
        assert!(text.ends_with(&note));
    }
}
