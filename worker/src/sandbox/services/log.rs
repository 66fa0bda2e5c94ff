//! What services print, in the log of their step: on its standard error, a line at a time, each with the name of the
//! service in front. The step's standard output stays what the step prints.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use cullet_secrets::{MaskedStream, Masker};

use super::told::LastLines;
use crate::{LogSink, Stream};

/// The longest line that is passed on in one piece; the rest of it is the next line. As for steps' lines that are shown.
const LINE_BYTES: usize = 16 << 10;

/// How much of a service's lines waits for the step to end the line that it is writing.
const HELD_BYTES: usize = 4 << 10;

/// How much one service may print into the log of its step: an eighth of what the log of a step keeps, so that no service
/// takes the place of what the step says.
pub(super) const SERVICE_BYTES: usize = 8 << 20;

/// The most that a [`LogSink`] takes at once.
const CHUNK_BYTES: usize = 64 << 10;

/// The log of a step, for the step and its services.
#[derive(Clone)]
pub(super) struct SharedLog {
    merged: Arc<Mutex<Merged>>,
    /// Values are masked before lines of several programs stand between each other: then none is torn.
    masker: Arc<Masker>,
}

struct Merged {
    sink: Box<dyn LogSink>,
    /// Of the step's standard error.
    masked: MaskedStream,
    /// Whether the step is in the middle of a line.
    midline: bool,
    /// Whole lines of services that came meanwhile.
    held: Vec<u8>,
}

impl SharedLog {
    pub(super) fn new(sink: Box<dyn LogSink>, masker: Arc<Masker>) -> Self {
        let merged = Merged { sink, masked: MaskedStream::default(), midline: false, held: Vec::new() };
        Self { merged: Arc::new(Mutex::new(merged)), masker }
    }

    /// For one of the services, with what it said last.
    pub(super) fn of_service(&self, name: &str) -> (ServiceLog, Arc<Mutex<LastLines>>) {
        let (prefix, last) = (format!("{name} | ").into_bytes(), Arc::<Mutex<LastLines>>::default());
        let (log, left) = (self.clone(), Some(SERVICE_BYTES));
        let (masked, partial) = Default::default();
        (ServiceLog { log, prefix, masked, partial, left, last: Arc::clone(&last) }, last)
    }

    /// Passes on what still waits: nobody writes any more.
    pub(super) fn end(&self) {
        let (mut log, mut rest) = (self.lock(), Vec::new());
        log.masked.finish(&self.masker, &mut |bytes| rest.extend_from_slice(bytes));
        log.of_step(&rest);
        log.flush();
    }

    fn lock(&self) -> MutexGuard<'_, Merged> {
        self.merged.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The step's own part.
impl LogSink for SharedLog {
    fn write(&mut self, stream: Stream, bytes: &[u8]) {
        let mut log = self.lock();
        if stream == Stream::Stdout {
            return log.sink.write(stream, bytes);
        }
        let mut certain = Vec::new();
        log.masked.feed(&self.masker, bytes, &mut |bytes| certain.extend_from_slice(bytes));
        log.of_step(&certain);
    }
}

impl Merged {
    /// What the step wrote to its standard error.
    fn of_step(&mut self, bytes: &[u8]) {
        let mut rest = bytes;
        let line_end = bytes.iter().rposition(|byte| *byte == b'\n');
        if let Some(end) = line_end.filter(|_| !self.held.is_empty()) {
            self.write(&bytes[..=end]);
            self.midline = false;
            self.flush();
            rest = &bytes[end + 1..];
        }
        if !rest.is_empty() {
            self.write(rest);
            self.midline = rest.last() != Some(&b'\n');
        }
    }

    fn write(&mut self, bytes: &[u8]) {
        bytes.chunks(CHUNK_BYTES).for_each(|chunk| self.sink.write(Stream::Stderr, chunk));
    }

    fn add(&mut self, lines: &[u8]) {
        self.held.extend_from_slice(lines);
        if !self.midline || self.held.len() > HELD_BYTES {
            self.flush();
        }
    }

    fn flush(&mut self) {
        let held = std::mem::take(&mut self.held);
        if held.is_empty() {
            return;
        }
        if std::mem::take(&mut self.midline) {
            self.write(b"\n");
        }
        self.write(&held);
    }
}

/// One service's part.
pub(super) struct ServiceLog {
    log: SharedLog,
    /// In front of each line.
    prefix: Vec<u8>,
    /// Of standard output and of standard error.
    masked: [MaskedStream; 2],
    /// The beginning of a line of each.
    partial: [Vec<u8>; 2],
    /// How many bytes it may still print; none once that was too much.
    left: Option<usize>,
    last: Arc<Mutex<LastLines>>,
}

impl LogSink for ServiceLog {
    fn write(&mut self, stream: Stream, bytes: &[u8]) {
        let mut certain = Vec::new();
        let masked = &mut self.masked[usize::from(stream == Stream::Stderr)];
        masked.feed(&self.log.masker, bytes, &mut |bytes| certain.extend_from_slice(bytes));
        self.lines(stream, &certain);
    }
}

impl ServiceLog {
    /// What is certain of what it printed.
    fn lines(&mut self, stream: Stream, bytes: &[u8]) {
        self.last.lock().unwrap_or_else(PoisonError::into_inner).add(bytes);
        let mut lines = Vec::new();
        let mut partial = std::mem::take(&mut self.partial[usize::from(stream == Stream::Stderr)]);
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            let (text, whole) = piece.strip_suffix(b"\n").map_or((piece, false), |text| (text, true));
            let mut rest = text;
            while partial.len() + rest.len() > LINE_BYTES {
                let (now, later) = rest.split_at(LINE_BYTES - partial.len());
                partial.extend_from_slice(now);
                self.end_line(&mut partial, &mut lines);
                rest = later;
            }
            partial.extend_from_slice(rest);
            if whole {
                self.end_line(&mut partial, &mut lines);
            }
        }
        self.partial[usize::from(stream == Stream::Stderr)] = partial;
        self.pass_on(&lines);
    }

    /// What was printed without the end of a line, and how the service ended, if that is to be said.
    pub(super) fn end(&mut self, how: Option<&str>) {
        for (number, stream) in [Stream::Stdout, Stream::Stderr].into_iter().enumerate() {
            let mut rest = Vec::new();
            self.masked[number].finish(&self.log.masker, &mut |bytes| rest.extend_from_slice(bytes));
            self.lines(stream, &rest);
        }
        let mut lines = Vec::new();
        for mut partial in std::mem::take(&mut self.partial).into_iter().filter(|partial| !partial.is_empty())
        {
            self.end_line(&mut partial, &mut lines);
        }
        if let Some(how) = how {
            self.left = Some(self.left.unwrap_or(0).max(LINE_BYTES));
            self.end_line(&mut format!("cullet: the service {how}").into_bytes(), &mut lines);
        }
        self.pass_on(&lines);
    }

    fn end_line(&mut self, line: &mut Vec<u8>, lines: &mut Vec<u8>) {
        let Some(left) = self.left else { return line.clear() };
        lines.extend_from_slice(&self.prefix);
        self.left = left.checked_sub(line.len() + 1);
        if self.left.is_none() {
            *line = b"cullet: this service prints too much, nothing more of it is kept".to_vec();
        }
        lines.append(line);
        lines.push(b'\n');
    }

    fn pass_on(&self, lines: &[u8]) {
        if !lines.is_empty() {
            self.log.lock().add(lines);
        }
    }
}

#[cfg(test)]
mod tests;
