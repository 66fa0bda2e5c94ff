//! Archives that were tampered with, through other programs: in what is accepted here, they see the same entries.

mod others;

use tar::{EntryType, Header};

use super::pax::PaxRecord;
use super::{BLOCK, Kind, TarError, TarReader};
use crate::layer::Limits;

/// Name, type, size and target: what programs may not disagree about.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Seen {
    name: Vec<u8>,
    kind: String,
    size: u64,
    link: Vec<u8>,
}

impl Seen {
    /// Of directories, some programs cut slashes off, and some say `.` of a link to nothing, which no layer may have.
    fn new(mut name: Vec<u8>, kind: &str, size: u64, mut link: Vec<u8>) -> Self {
        while kind == "directory" && name.last() == Some(&b'/') {
            name.pop();
        }
        if link == b"." {
            link.clear();
        }
        Self { name, kind: kind.to_owned(), size, link }
    }
}

fn here(archive: &[u8]) -> Result<Vec<Seen>, TarError> {
    let mut reader = TarReader::new(archive, Limits::default());
    let mut seen = Vec::new();
    while let Some(entry) = reader.next()? {
        let (kind, has_target) = match entry.kind {
            Kind::File => ("file", false),
            Kind::Directory => ("directory", false),
            Kind::Symlink => ("symlink", true),
            Kind::HardLink => ("hard link", true),
            Kind::Device(_) => ("device", false),
        };
        let link = if has_target { entry.link } else { Vec::new() };
        seen.push(Seen::new(entry.path, kind, entry.size, link));
    }
    Ok(seen)
}

/// An archive, and where its headers are.
#[derive(Debug, Clone, Default)]
struct Archive {
    bytes: Vec<u8>,
    headers: Vec<usize>,
}

impl Archive {
    fn add(&mut self, mut header: Header, name: &str, kind: u8, body: &[u8]) {
        header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
        header.set_entry_type(EntryType::new(kind));
        header.set_size(body.len() as u64);
        for set in [Header::set_uid, Header::set_gid, Header::set_mtime] {
            set(&mut header, 7);
        }
        header.set_mode(0o644);
        self.headers.push(self.bytes.len());
        self.bytes.extend_from_slice(header.as_bytes());
        self.bytes.extend_from_slice(body);
        self.bytes.resize(self.bytes.len().next_multiple_of(BLOCK), 0);
    }

    /// Makes all checksums right, so that what was tampered with gets past them.
    fn seal(&mut self) {
        for at in &self.headers {
            let block = &mut self.bytes[*at..*at + BLOCK];
            block[148..156].fill(b' ');
            let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
            block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        }
    }
}

fn records(of: &[(&str, &str)]) -> Vec<u8> {
    let mut body = Vec::new();
    for (key, value) in of {
        PaxRecord { key: key.as_bytes(), value: value.as_bytes() }.write(&mut body);
    }
    body
}

/// Bytes that mean something somewhere in a header.
const MARKS: &[u8] = b"\0\0\0 /0127+-x\n=.\x80\xff\x81gLKS5";
/// Where fields of a header begin and end, with the bytes next to them.
const FIELDS: [usize; 13] = [0, 99, 100, 108, 116, 124, 135, 136, 156, 157, 257, 345, 500];

/// A few entries with what may stand before them, in any order, and a few bytes that no program put there.
fn tampered(random: &mut fastrand::Rng) -> Archive {
    let mut archive = Archive::default();
    let formats = [Header::new_ustar, Header::new_gnu, Header::new_old];
    let one_format = formats[random.usize(..3)];
    for at in 0..random.usize(1..6) {
        let format = if random.u8(..4) == 0 { formats[random.usize(..3)] } else { one_format };
        let name = format!("name{at}{}", ["", "/"][random.usize(..8) / 7]);
        let body = vec![b'b'; [0, 1, 512, 600, 1024][random.usize(..5)]];
        match random.u8(..12) {
            0 => archive.add(format(), "pax", b'x', &records(&[("path", "other"), ("mtime", "1.5")])),
            1 => archive.add(format(), "pax", b'x', &records(&[("size", &body.len().to_string())])),
            2 => archive.add(format(), "pax", b'x', &records(&[("linkpath", "to"), ("uid", "4000000")])),
            3 => archive.add(format(), "global", b'g', &records(&[("comment", "text")])),
            4 => archive.add(format(), "././@LongLink", b'L', b"long/name\0"),
            5 => archive.add(format(), "././@LongLink", b'K', b"long/target\0"),
            _ => (),
        }
        match random.u8(..8) {
            0 => archive.add(format(), &name, b'5', b""),
            1 | 2 => {
                archive.add(format(), &name, [b'1', b'2'][random.usize(..2)], b"");
                let at = archive.bytes.len() - BLOCK;
                archive.bytes[at + 157..at + 163].copy_from_slice(b"target");
            }
            3 => archive.add(format(), &name, b"0367"[random.usize(..4)], b""),
            _ => archive.add(format(), &name, [0, b'0', b'0'][random.usize(..3)], &body),
        }
    }
    archive.bytes.extend_from_slice(&[0; 2 * BLOCK]);
    for _ in 0..random.usize(..4) {
        let block = archive.headers[random.usize(..archive.headers.len())];
        let at = match random.u8(..4) {
            // In the body, or in the next header.
            0 => block + BLOCK + random.usize(..64),
            1 => block + random.usize(..BLOCK),
            _ => block + (FIELDS[random.usize(..FIELDS.len())] + random.usize(..4)).saturating_sub(1),
        };
        if at < archive.bytes.len() {
            archive.bytes[at] = MARKS[random.usize(..MARKS.len())];
        }
    }
    archive.seal();
    archive
}

/// Enough to find each of the differences that were found so far several times.
const ARCHIVES: usize = 2000;

#[test]
fn other_programs_see_the_same_entries() {
    let dir = tempfile::tempdir().unwrap();
    let mut random = fastrand::Rng::with_seed(1);
    let mut accepted = Vec::new();
    for at in 0..ARCHIVES {
        let archive = tampered(&mut random);
        if let Ok(seen) = here(&archive.bytes) {
            std::fs::write(dir.path().join(format!("{at:06}")), &archive.bytes).unwrap();
            accepted.push((at, seen));
        }
    }
    assert!(accepted.len() > ARCHIVES / 8, "{} accepted", accepted.len());
    for (program, list) in others::PROGRAMS {
        let Some(listed) = list(dir.path()) else { continue };
        assert_eq!(listed.len(), accepted.len(), "{program}");
        let mut wrong = Vec::new();
        for ((at, seen), other) in accepted.iter().zip(listed) {
            if other.as_ref() != Ok(seen) {
                wrong.push(format!("{at}: here {seen:?}, there {other:?}"));
            }
        }
        assert!(
            wrong.is_empty(),
            "{program}, {} archives:\n{}",
            wrong.len(),
            wrong[..wrong.len().min(20)].join("\n")
        );
    }
}
