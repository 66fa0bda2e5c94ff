//! The bytes of a [`Snapshot`].
//!
//! Fixed-width little-endian fields behind a header with a checksum: 100,000 files are 12 MB and are read in
//! milliseconds. A file that is not exactly what this version writes is no snapshot; it is only a cache.

use std::ops::Range;

use cullet_digest::DigestFunction;

use crate::node::{Content, Entry, Span};
use crate::snapshot::{Record, Snapshot};
use crate::stat::StatKey;

/// The format. The number at its end rises with every change of the layout.
const MAGIC: &[u8; 16] = b"cullet source 1\n";
const HEADER: usize = MAGIC.len() + 32;

/// Writes `snapshot` of the source at `root`. None when a list is too long for the format.
pub(crate) fn encode(snapshot: &Snapshot, root: &[u8]) -> Option<Vec<u8>> {
    let guess = snapshot.text.len() + snapshot.entries.len() * 89 + snapshot.dirs.len() * 100;
    let mut out = Writer(Vec::with_capacity(HEADER + guess + root.len() + 64));
    out.0.extend_from_slice(MAGIC);
    out.0.extend_from_slice(&[0; 32]);
    out.0.push(snapshot.function as u8);
    out.len(root.len())?;
    out.0.extend_from_slice(root);
    out.len(snapshot.text.len())?;
    out.0.extend_from_slice(snapshot.text.as_bytes());
    out.len(snapshot.subdirs.len())?;
    snapshot.subdirs.iter().for_each(|&span| out.span(span));
    out.len(snapshot.entries.len())?;
    snapshot.entries.iter().for_each(|entry| out.entry(entry));
    out.len(snapshot.dirs.len())?;
    snapshot.dirs.iter().for_each(|record| out.record(record));
    let sum = checksum(&out.0[HEADER..]);
    out.0[MAGIC.len()..HEADER].copy_from_slice(&sum);
    Some(out.0)
}

/// Reads what [`encode`] wrote for the same root and function. None for anything else.
pub(crate) fn decode(bytes: &[u8], root: &[u8], function: DigestFunction) -> Option<Snapshot> {
    let (header, body) = bytes.split_at_checked(HEADER)?;
    let (magic, sum) = header.split_at(MAGIC.len());
    if magic != MAGIC || sum != checksum(body) {
        return None;
    }
    let mut input = Reader(body);
    if input.array::<1>()? != [function as u8] || input.bytes()? != root {
        return None;
    }
    let text = String::from_utf8(input.bytes()?.to_vec()).ok()?;
    let subdirs = input.list(8, |input| input.span(&text))?;
    let entries = input.list(57, |input| input.entry(&text))?;
    let (subdir_count, entry_count) = (subdirs.len(), entries.len());
    let dirs = input.list(76, |input| input.record(subdir_count, entry_count))?;
    (input.0.is_empty() && !dirs.is_empty()).then_some(Snapshot { function, text, subdirs, entries, dirs })
}

fn checksum(bytes: &[u8]) -> [u8; 32] {
    *DigestFunction::Blake3.digest(bytes).hash()
}

const FILE: u8 = 0;
const PROGRAM: u8 = 1;
const SYMLINK: u8 = 2;

struct Writer(Vec<u8>);

impl Writer {
    fn len(&mut self, len: usize) -> Option<()> {
        self.0.extend_from_slice(&u32::try_from(len).ok()?.to_le_bytes());
        Some(())
    }

    fn span(&mut self, span: Span) {
        self.0.extend_from_slice(&span.start.to_le_bytes());
        self.0.extend_from_slice(&span.len.to_le_bytes());
    }

    fn range(&mut self, range: &Range<u32>) {
        self.0.extend_from_slice(&range.start.to_le_bytes());
        self.0.extend_from_slice(&range.end.to_le_bytes());
    }

    fn entry(&mut self, entry: &Entry) {
        self.span(entry.name);
        let StatKey { size, modified_ns, changed_ns, inode, device } = entry.stat;
        for field in [size, modified_ns as u64, changed_ns as u64, inode, device] {
            self.0.extend_from_slice(&field.to_le_bytes());
        }
        match entry.content {
            Content::File { hash, size, executable } => {
                self.0.push(if executable { PROGRAM } else { FILE });
                self.0.extend_from_slice(&size.to_le_bytes());
                self.0.extend_from_slice(&hash);
            }
            Content::Symlink { target } => {
                self.0.push(SYMLINK);
                self.span(target);
            }
        }
    }

    fn record(&mut self, record: &Record) {
        self.range(&record.subdirs);
        self.range(&record.entries);
        self.0.extend_from_slice(&record.first_child.to_le_bytes());
        self.0.extend_from_slice(&record.rules);
        self.0.extend_from_slice(&record.hash);
        self.0.extend_from_slice(&record.size.to_le_bytes());
    }
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (array, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*array)
    }

    fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }

    fn bytes(&mut self) -> Option<&'a [u8]> {
        let len = self.u32()? as usize;
        let (bytes, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(bytes)
    }

    /// Reads a list whose items take at least `least` bytes, which bounds what a wrong length can allocate.
    fn list<T>(&mut self, least: usize, mut item: impl FnMut(&mut Self) -> Option<T>) -> Option<Vec<T>> {
        let len = self.u32()? as usize;
        let mut list = Vec::with_capacity(len.min(self.0.len() / least));
        for _ in 0..len {
            list.push(item(self)?);
        }
        Some(list)
    }

    fn span(&mut self, text: &str) -> Option<Span> {
        let span = Span { start: self.u32()?, len: self.u32()? };
        text.get(span.range()).map(|_| span)
    }

    fn range(&mut self, bound: usize) -> Option<Range<u32>> {
        let range = self.u32()?..self.u32()?;
        (range.start <= range.end && range.end as usize <= bound).then_some(range)
    }

    fn entry(&mut self, text: &str) -> Option<Entry> {
        let name = self.span(text)?;
        let stat = StatKey {
            size: self.u64()?,
            modified_ns: self.u64()? as i64,
            changed_ns: self.u64()? as i64,
            inode: self.u64()?,
            device: self.u64()?,
        };
        let content = match self.array::<1>()? {
            [SYMLINK] => Content::Symlink { target: self.span(text)? },
            [kind @ (FILE | PROGRAM)] => {
                let size = self.u64()?;
                Content::File { hash: self.array()?, size, executable: kind == PROGRAM }
            }
            _ => return None,
        };
        Some(Entry { name, content, stat })
    }

    fn record(&mut self, subdirs: usize, entries: usize) -> Option<Record> {
        Some(Record {
            subdirs: self.range(subdirs)?,
            entries: self.range(entries)?,
            first_child: self.u32()?,
            rules: self.array()?,
            hash: self.array()?,
            size: self.u64()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FUNCTION: DigestFunction = DigestFunction::Blake3;

    fn sample() -> Snapshot {
        let stat = StatKey { size: 1, modified_ns: -2, changed_ns: 3, inode: 4, device: 5 };
        let span = |start, len| Span { start, len };
        let file = Content::File { hash: [9; 32], size: 1, executable: true };
        Snapshot {
            function: FUNCTION,
            text: "abé".into(),
            subdirs: vec![span(0, 1)],
            entries: vec![
                Entry { name: span(1, 1), content: file, stat },
                Entry { name: span(2, 2), content: Content::Symlink { target: span(0, 2) }, stat },
            ],
            dirs: vec![Record {
                subdirs: 0..1,
                entries: 0..2,
                first_child: 1,
                rules: [1; 16],
                hash: [6; 32],
                size: 7,
            }],
        }
    }

    #[test]
    fn what_is_written_is_read() {
        let sample = sample();
        let bytes = encode(&sample, b"/root").unwrap();
        let read = decode(&bytes, b"/root", FUNCTION).unwrap();
        assert_eq!(read.text, sample.text);
        assert_eq!(read.subdirs, sample.subdirs);
        assert_eq!(read.entries, sample.entries);
        assert_eq!(read.dirs, sample.dirs);
    }

    #[test]
    fn another_root_function_or_version_is_no_snapshot() {
        let bytes = encode(&sample(), b"/root").unwrap();
        assert!(decode(&bytes, b"/other", FUNCTION).is_none());
        assert!(decode(&bytes, b"/root", DigestFunction::Sha256).is_none());
        let mut newer = bytes;
        newer[14] = b'2';
        assert!(decode(&newer, b"/root", FUNCTION).is_none());
    }

    #[test]
    fn every_flipped_bit_and_every_cut_is_noticed() {
        let bytes = encode(&sample(), b"/root").unwrap();
        for at in 0..bytes.len() {
            let mut flipped = bytes.clone();
            flipped[at] ^= 1 << (at % 8);
            assert!(decode(&flipped, b"/root", FUNCTION).is_none(), "byte {at}");
            assert!(decode(&bytes[..at], b"/root", FUNCTION).is_none(), "cut at {at}");
        }
    }

    #[test]
    fn a_span_outside_the_text_is_refused_even_with_a_good_checksum() {
        let mut sample = sample();
        sample.subdirs[0] = Span { start: 3, len: 1 };
        assert!(decode(&encode(&sample, b"/").unwrap(), b"/", FUNCTION).is_none(), "inside a character");
        sample.subdirs[0] = Span { start: 4, len: u32::MAX };
        assert!(decode(&encode(&sample, b"/").unwrap(), b"/", FUNCTION).is_none());
    }
}
