//! What one stream of a step printed: in memory while it is short, then in a file, up to a limit.

use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::PathBuf;

use bytes::Bytes;

/// Up to this many bytes stand in the action result itself: most steps print less, and then cost no blob.
pub(crate) const INLINE_BYTES: usize = 4 << 10;
/// Bytes gathered before they are written to the file: the size of a pipe, so one write for each full read.
const BUFFER_BYTES: usize = 64 << 10;
/// How much of a log that could not be stored whole is still shown: enough for the message at its end.
const SALVAGE_BYTES: u64 = 32 << 10;

/// One stream while it is written.
#[derive(Debug)]
pub(crate) struct StreamLog {
    path: PathBuf,
    limit: u64,
    stored: u64,
    dropped: u64,
    /// What is not in the file yet; everything while there is no file.
    buffer: Vec<u8>,
    file: Option<File>,
    trouble: Option<io::Error>,
}

/// One stream for those who read it when it is complete.
#[derive(Debug)]
pub(super) enum Kept {
    /// Short, or the end of what could not be stored.
    Bytes(Bytes),
    /// In a file that may be nowhere any more, and its length.
    File(File, u64),
}

/// One stream when it is complete.
#[derive(Debug)]
pub(crate) enum Captured {
    /// Short.
    Inline(Vec<u8>),
    /// In this file, to be adopted or thrown away with its directory.
    File(PathBuf),
    /// The file could not be written; this is the end of what there was.
    Salvaged {
        /// Its last bytes.
        tail: Vec<u8>,
        /// What went wrong.
        trouble: io::Error,
    },
}

impl StreamLog {
    /// Nothing is created before `path` is needed. `limit` is in bytes.
    pub(crate) fn new(path: PathBuf, limit: u64) -> Self {
        let (buffer, file, trouble) = (Vec::new(), None, None);
        Self { path, limit, stored: 0, dropped: 0, buffer, file, trouble }
    }

    /// Takes more output and says how many of the bytes are kept.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> usize {
        let room = self.limit.saturating_sub(self.stored);
        let kept = if self.trouble.is_some() { 0 } else { room.min(bytes.len() as u64) as usize };
        self.dropped += (bytes.len() - kept) as u64;
        self.append(&bytes[..kept]);
        kept
    }

    /// Ends the stream. The note about what was dropped, where there is one, is counted in the second value.
    pub(crate) fn finish(mut self) -> (Captured, usize) {
        let mut note = String::new();
        if self.dropped > 0 && self.trouble.is_none() {
            let line_end = if self.buffer.last() == Some(&b'\n') { "" } else { "\n" };
            note = format!("{line_end}log limit reached: {} bytes dropped\n", self.dropped);
            self.append(note.as_bytes());
        }
        if self.file.is_some() {
            self.flush();
        }
        (self.captured(), note.len())
    }

    /// How many bytes there are, so far.
    pub(super) fn stored(&self) -> u64 {
        self.stored
    }

    /// How many of them are in the file.
    pub(super) fn flushed(&self) -> u64 {
        self.stored - self.buffer.len() as u64
    }

    /// The rest.
    pub(super) fn buffered(&self) -> &[u8] {
        &self.buffer
    }

    /// The file once more, where there is one.
    pub(super) fn reopen(&self) -> Option<io::Result<File>> {
        self.file.as_ref().map(File::try_clone)
    }

    fn append(&mut self, bytes: &[u8]) {
        self.stored += bytes.len() as u64;
        self.buffer.extend_from_slice(bytes);
        let bound = if self.file.is_some() { BUFFER_BYTES } else { INLINE_BYTES };
        if self.buffer.len() > bound {
            self.flush();
        }
    }

    fn flush(&mut self) {
        if let Err(error) = self.try_flush() {
            self.trouble = Some(error);
        }
    }

    fn try_flush(&mut self) -> io::Result<()> {
        let file = match &mut self.file {
            Some(file) => file,
            none => {
                let file = File::options().read(true).write(true).create_new(true).open(&self.path)?;
                none.insert(file)
            }
        };
        // The last byte stays behind, so that `finish` knows how the log ends.
        let written = self.buffer.len().saturating_sub(1);
        file.write_all(&self.buffer[..written])?;
        self.buffer.drain(..written);
        Ok(())
    }

    fn captured(self) -> Captured {
        let Some(mut file) = self.file else {
            return match self.trouble {
                Some(trouble) => Captured::Salvaged { tail: self.buffer, trouble },
                None => Captured::Inline(self.buffer),
            };
        };
        let outcome = match self.trouble {
            Some(trouble) => Err(trouble),
            None => file.write_all(&self.buffer),
        };
        match outcome {
            Ok(()) => Captured::File(self.path),
            Err(trouble) => {
                let tail = read_tail(&mut file).unwrap_or_default();
                Captured::Salvaged { tail, trouble }
            }
        }
    }
}

impl Kept {
    /// How many bytes there are.
    pub(super) fn len(&self) -> u64 {
        match self {
            Self::Bytes(bytes) => bytes.len() as u64,
            Self::File(_, len) => *len,
        }
    }

    /// All of a file that nobody writes to any more.
    pub(super) fn of_file(file: File) -> Self {
        match file.metadata() {
            Ok(metadata) => Self::File(file, metadata.len()),
            Err(_) => Self::default(),
        }
    }
}

impl Default for Kept {
    fn default() -> Self {
        Self::Bytes(Bytes::new())
    }
}

/// The end of a log that cannot be stored whole.
pub(crate) fn read_tail(file: &mut File) -> io::Result<Vec<u8>> {
    let start = file.metadata()?.len().saturating_sub(SALVAGE_BYTES);
    file.seek(SeekFrom::Start(start))?;
    let mut tail = Vec::new();
    file.take(SALVAGE_BYTES).read_to_end(&mut tail)?;
    Ok(tail)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stream(dir: &tempfile::TempDir, limit: u64) -> StreamLog {
        StreamLog::new(dir.path().join("log"), limit)
    }

    fn contents(captured: Captured) -> Vec<u8> {
        match captured {
            Captured::Inline(bytes) => bytes,
            Captured::File(path) => std::fs::read(path).unwrap(),
            Captured::Salvaged { trouble, .. } => panic!("{trouble}"),
        }
    }

    #[test]
    fn a_short_log_touches_no_disk() {
        let dir = tempfile::tempdir().unwrap();
        let mut log = stream(&dir, 1 << 20);
        log.write(&[b'x'; INLINE_BYTES]);
        let (captured, _) = log.finish();
        assert!(matches!(&captured, Captured::Inline(bytes) if bytes.len() == INLINE_BYTES));
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_long_log_is_in_its_file_whole() {
        let dir = tempfile::tempdir().unwrap();
        let mut log = stream(&dir, u64::MAX);
        let mut expected = Vec::new();
        for size in [1, 4096, 70_000, 3, 65_536, 12] {
            let chunk: Vec<u8> = (0..size).map(|at| (at % 251) as u8).collect();
            assert_eq!(log.write(&chunk), size);
            expected.extend_from_slice(&chunk);
        }
        let (captured, note) = log.finish();
        assert_eq!((contents(captured), note), (expected, 0));
    }

    #[test]
    fn beyond_the_limit_is_dropped_counted_and_said_once() {
        let dir = tempfile::tempdir().unwrap();
        let mut log = stream(&dir, 10_000);
        let kept: usize = (0..100).map(|_| log.write(&[b'y'; 1000])).sum();
        assert_eq!(kept, 10_000);
        assert!(log.buffer.capacity() <= 2 * BUFFER_BYTES);
        let (captured, note) = log.finish();
        let bytes = contents(captured);
        assert_eq!(&bytes[10_000..], b"\nlog limit reached: 90000 bytes dropped\n");
        assert_eq!(note, bytes.len() - 10_000);
    }

    #[test]
    fn what_cannot_be_written_ends_in_its_last_words() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("missing").join("log");
        let mut log = StreamLog::new(path, 1 << 20);
        log.write(&[b'z'; 5000]);
        assert_eq!(log.write(b"more"), 0);
        let (captured, _) = log.finish();
        assert!(matches!(captured, Captured::Salvaged { tail, .. } if tail == [b'z'; 5000]));
    }
}
