//! How a blob is written into a log: a header that names it, then its bytes. The digest is the checksum.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;

use bytes::Bytes;
use cullet_digest::{Digest, DigestFunction};

use crate::blob::is_small;

/// Bytes of a header: what every record begins with, the function, the hash, and the size, least byte first.
pub(super) const HEADER: usize = MAGIC.len() + 1 + 32 + 8;

/// The last byte is the version.
const MAGIC: [u8; 7] = *b"cullet\x01";

/// What comes before the bytes of a blob.
pub(super) fn header(digest: &Digest) -> [u8; HEADER] {
    let mut header = [0; HEADER];
    header[..7].copy_from_slice(&MAGIC);
    // The numbers that REAPI has for them.
    header[7] = match digest.function() {
        DigestFunction::Sha256 => 1,
        DigestFunction::Blake3 => 9,
    };
    header[8..40].copy_from_slice(digest.hash());
    header[40..].copy_from_slice(&digest.size().to_le_bytes());
    header
}

/// The blob that a header names; none for what is no header, or that of a blob that does not belong into a log.
fn named(header: &[u8; HEADER]) -> Option<Digest> {
    if header[..7] != MAGIC {
        return None;
    }
    let function = match header[7] {
        1 => DigestFunction::Sha256,
        9 => DigestFunction::Blake3,
        _ => return None,
    };
    let hash = header[8..40].try_into().ok()?;
    let size = u64::from_le_bytes(header[40..].try_into().ok()?);
    Some(Digest::from_parts(function, hash, size)).filter(is_small)
}

/// The records of a log, one after the other, up to its end or to what is no whole record.
pub(super) struct Scan<'a> {
    file: &'a File,
    at: u64,
    end: u64,
}

impl<'a> Scan<'a> {
    /// Those that begin at `at` or later and end at `end` or earlier.
    pub(super) fn new(file: &'a File, at: u64, end: u64) -> Self {
        Self { file, at, end }
    }

    /// Where the next record begins, or would begin.
    pub(super) fn at(&self) -> u64 {
        self.at
    }

    /// The next blob and where its bytes begin. What it reads may be what a power cut left: nothing is promised of the bytes.
    pub(super) fn next(&mut self) -> io::Result<Option<(Digest, u64)>> {
        let bytes_at = self.at + HEADER as u64;
        if bytes_at > self.end {
            return Ok(None);
        }
        let mut header = [0; HEADER];
        match self.file.read_exact_at(&mut header, self.at) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
            read => read?,
        }
        let Some(digest) = named(&header) else { return Ok(None) };
        let next = bytes_at + digest.size();
        if next > self.end {
            return Ok(None);
        }
        self.at = next;
        Ok(Some((digest, bytes_at)))
    }
}

/// The bytes of a blob that begin there.
pub(super) fn bytes_of(file: &File, digest: &Digest, at: u64) -> io::Result<Bytes> {
    // No header that is believed names more than fits into memory.
    let mut bytes = vec![0; digest.size() as usize];
    file.read_exact_at(&mut bytes, at)?;
    Ok(bytes.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::blob::SMALL;

    fn log(blobs: &[&[u8]]) -> (File, Vec<Digest>, Vec<u8>) {
        let mut bytes = Vec::new();
        let functions = DigestFunction::ALL.into_iter().cycle();
        let digests: Vec<Digest> = blobs.iter().zip(functions).map(|(blob, of)| of.digest(blob)).collect();
        for (digest, blob) in digests.iter().zip(blobs) {
            bytes.extend_from_slice(&header(digest));
            bytes.extend_from_slice(blob);
        }
        (holding(&bytes), digests, bytes)
    }

    fn holding(bytes: &[u8]) -> File {
        let file = tempfile::tempfile().unwrap();
        file.write_all_at(bytes, 0).unwrap();
        file
    }

    fn scanned(file: &File) -> (Vec<Digest>, u64) {
        let mut scan = Scan::new(file, 0, file.metadata().unwrap().len());
        let found = std::iter::from_fn(|| scan.next().unwrap()).map(|(digest, _)| digest).collect();
        (found, scan.at())
    }

    #[test]
    fn a_log_is_read_as_it_was_written_and_a_torn_one_up_to_its_last_whole_record() {
        let (first, third) = ([7; 300], vec![9; SMALL as usize]);
        let (file, digests, bytes) = log(&[&first, b"second", &third, b"x"]);
        let mut scan = Scan::new(&file, 0, bytes.len() as u64);
        while let Some((digest, at)) = scan.next().unwrap() {
            assert_eq!(digest.function().digest(&bytes_of(&file, &digest, at).unwrap()), digest);
        }
        let header = HEADER as u64;
        let mut ends = vec![0];
        ends.extend(digests.iter().scan(0, |end, digest| {
            *end += header + digest.size();
            Some(*end)
        }));
        let near = |len: &u64| ends.iter().any(|end| len.abs_diff(*end) < 60) || len.is_multiple_of(997);
        for len in (0..=bytes.len() as u64).filter(near).collect::<Vec<_>>().into_iter().rev() {
            file.set_len(len).unwrap();
            let whole = ends.iter().filter(|end| **end <= len).count() - 1;
            assert_eq!(scanned(&file), (digests[..whole].to_vec(), ends[whole]), "{len}");
            // What is not there any more is the end, whatever was announced.
            let mut scan = Scan::new(&file, 0, bytes.len() as u64);
            let found = std::iter::from_fn(|| scan.next().unwrap()).count();
            assert!(found <= whole + 1, "{len}");
        }
    }

    #[test]
    fn whatever_is_changed_is_no_record_or_another_one() {
        let (_, digests, bytes) = log(&[b"first", b"second"]);
        for index in 0..HEADER {
            for bit in 0..8 {
                let mut changed = bytes.clone();
                changed[index] ^= 1 << bit;
                let file = holding(&changed);
                let mut scan = Scan::new(&file, 0, changed.len() as u64);
                if let Some((digest, at)) = scan.next().unwrap() {
                    assert_ne!(digest, digests[0], "{index}");
                    let bytes = bytes_of(&file, &digest, at).unwrap();
                    assert_ne!(digest.function().digest(&bytes), digest, "{index}");
                }
            }
        }
        let zeros = holding(&[0; 4096]);
        assert_eq!(scanned(&zeros), (vec![], 0));
        let large = Digest::from_parts(DigestFunction::Blake3, [1; 32], SMALL + 1);
        let mut bytes = header(&large).to_vec();
        bytes.resize(bytes.len() + SMALL as usize + 1, 0);
        assert_eq!(scanned(&holding(&bytes)), (vec![], 0));
    }
}
