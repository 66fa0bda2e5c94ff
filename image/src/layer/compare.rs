//! What two layers differ in, entry by entry.

use std::cmp::Ordering;
use std::io::{BufReader, Read};
use std::ops::ControlFlow;

use super::path::{OPAQUE, WHITEOUT};
use super::{Limits, TarError};
use crate::tarball::{Entry, Kind, TarReader, Xattrs};

/// An entry that is not the same in two layers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EntryDifference {
    /// In the root directory, without a slash in front; of a whiteout, what it hides.
    pub path: Vec<u8>,
    /// As the first layer has it; none where it does not.
    pub first: Option<EntryFacts>,
    /// As the second one has it.
    pub second: Option<EntryFacts>,
    /// The bytes of two files.
    pub contents: Contents,
}

/// What a layer says of an entry, its bytes aside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EntryFacts {
    /// What it is.
    pub kind: EntryKind,
    /// Permission bits.
    pub mode: u32,
    /// User and group.
    pub owner: (u32, u32),
    /// Of the last change: seconds since 1970, and nanoseconds beyond them.
    pub time: (i64, u32),
    /// Target of a link, otherwise empty.
    pub link: Vec<u8>,
    /// Extended attributes.
    pub attributes: Xattrs,
}

/// What an entry of a layer is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EntryKind {
    /// A file.
    File,
    /// A directory.
    Directory,
    /// A symbolic link.
    Symlink,
    /// A further name of a file.
    HardLink,
    /// Something else, in words.
    Other(&'static str),
    /// A whiteout: what lower layers have there is gone.
    Removed,
    /// The same of all that lower layers have in the directory.
    Emptied,
}

/// What of the bytes of two files is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Contents {
    /// They are the same, or one of the two is no file.
    Same,
    /// They differ, and at least one is too large to be kept; their lengths.
    Differ(u64, u64),
    /// They differ, and are these.
    Are(Vec<u8>, Vec<u8>),
}

/// Compares two archives that are sorted as [`super::write_layer`] and captures sort them, in one pass and in memory that
/// does not grow with them. What differs is told in that order, until whoever is told breaks off; with the bytes of files
/// up to `most_kept` each. Blocks.
///
/// # Errors
/// What is wrong with one of the archives.
pub fn compare_layers<R: Read>(
    (first, second): (R, R),
    limits: Limits,
    most_kept: u64,
    tell: &mut dyn FnMut(EntryDifference) -> ControlFlow<()>,
) -> Result<(), TarError> {
    let (mut one, mut other) = (Side::begin(first, limits)?, Side::begin(second, limits)?);
    loop {
        let order = match (&one.at, &other.at) {
            (None, None) => return Ok(()),
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some(one), Some(other)) => place(&one.path).cmp(place(&other.path)),
        };
        let (of_first, of_second) = (order != Ordering::Greater, order != Ordering::Less);
        let (first, second) = (one.at.take_if(|_| of_first), other.at.take_if(|_| of_second));
        let path = first.as_ref().or(second.as_ref()).map(|entry| hidden(&entry.path)).unwrap_or_default();
        let sizes = first.as_ref().zip(second.as_ref()).map(|(first, second)| (first.size, second.size));
        let (first, second) = (first.map(EntryFacts::of), second.map(EntryFacts::of));
        let is_file = |facts: &Option<EntryFacts>| facts.as_ref().is_some_and(EntryFacts::is_file);
        let contents = match sizes {
            Some(sizes) if is_file(&first) && is_file(&second) => {
                contents((&mut one.reader, &mut other.reader), sizes, most_kept)?
            }
            _ => Contents::Same,
        };
        if (first != second || contents != Contents::Same)
            && tell(EntryDifference { path, first, second, contents }).is_break()
        {
            return Ok(());
        }
        if of_first {
            one.at = one.reader.next()?;
        }
        if of_second {
            other.at = other.reader.next()?;
        }
    }
}

/// One of the two archives.
struct Side<R> {
    reader: TarReader<BufReader<R>>,
    /// The entry at hand; none at the end.
    at: Option<Entry>,
}

const CHUNK: usize = 128 << 10;

impl<R: Read> Side<R> {
    fn begin(archive: R, limits: Limits) -> Result<Self, TarError> {
        let mut reader = TarReader::new(BufReader::with_capacity(CHUNK, archive), limits);
        let at = reader.next()?;
        Ok(Self { reader, at })
    }
}

/// Where an entry is in the order of a layer: every directory before what is in it, names sorted as bytes, a whiteout where
/// that would be which it hides, and what empties a directory before all that is in it.
fn place(path: &[u8]) -> impl Iterator<Item = &[u8]> {
    let path = path.strip_suffix(b"/").unwrap_or(path);
    path.split(|byte| *byte == b'/').map(|name| match name.strip_prefix(WHITEOUT) {
        _ if name == OPAQUE => b"",
        Some(hidden) => hidden,
        None => name,
    })
}

fn hidden(path: &[u8]) -> Vec<u8> {
    place(path).collect::<Vec<_>>().join(&b'/')
}

impl EntryFacts {
    fn of(entry: Entry) -> Self {
        let Entry { path, link, kind, size: _, mode, uid, gid, mtime, xattrs } = entry;
        let name = path.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
        let kind = match kind {
            Kind::File if name == OPAQUE => EntryKind::Emptied,
            Kind::File if name.starts_with(WHITEOUT) => EntryKind::Removed,
            Kind::File => EntryKind::File,
            Kind::Directory => EntryKind::Directory,
            Kind::Symlink => EntryKind::Symlink,
            Kind::HardLink => EntryKind::HardLink,
            Kind::Device(what) => EntryKind::Other(what),
        };
        let (owner, time) = ((uid, gid), (mtime.seconds, mtime.nanos));
        Self { kind, mode, owner, time, link, attributes: xattrs }
    }

    fn is_file(&self) -> bool {
        self.kind == EntryKind::File
    }
}

/// Compares the bytes of the entries that two archives are at.
fn contents<R: Read>(
    (one, other): (&mut TarReader<R>, &mut TarReader<R>),
    (size, other_size): (u64, u64),
    most_kept: u64,
) -> Result<Contents, TarError> {
    if size.max(other_size) <= most_kept {
        let (first, second) = (whole(one)?, whole(other)?);
        return Ok(if first == second { Contents::Same } else { Contents::Are(first, second) });
    }
    let differ = Contents::Differ(size, other_size);
    if size != other_size {
        return Ok(differ);
    }
    let mut buffers = [vec![0; CHUNK], vec![0; CHUNK]];
    loop {
        let [first, second] = &mut buffers;
        let (count, other_count) = (filled(one, first)?, filled(other, second)?);
        if first[..count] != second[..other_count] {
            return Ok(differ);
        }
        if count == 0 {
            return Ok(Contents::Same);
        }
    }
}

fn whole<R: Read>(reader: &mut TarReader<R>) -> Result<Vec<u8>, TarError> {
    let (mut bytes, mut length) = (Vec::new(), 0);
    loop {
        // What a header announces is not trusted for the allocation.
        bytes.resize(length + CHUNK, 0);
        let count = filled(reader, &mut bytes[length..])?;
        length += count;
        if count < CHUNK {
            bytes.truncate(length);
            return Ok(bytes);
        }
    }
}

fn filled<R: Read>(reader: &mut TarReader<R>, buffer: &mut [u8]) -> Result<usize, TarError> {
    let mut length = 0;
    loop {
        match reader.read(&mut buffer[length..])? {
            0 => return Ok(length),
            count => length += count,
        }
    }
}
