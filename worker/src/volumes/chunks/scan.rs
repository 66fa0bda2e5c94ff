//! What layers show, cut into chunks.

use std::collections::HashMap;
use std::fs::File;
use std::io::Read as _;
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use fastcdc::v2020::StreamCDC;
use rustix::fs::{Mode, OFlags, fstat};

use super::manifest::{Attributes, Chunk, Entry, What};
use super::{ChunkError, LEAST_CHUNK, MEAN_CHUNK, MOST_CHUNK, Way};
use crate::layers::{Entry as Merged, Workspace, join};

/// A volume, read once.
#[derive(Debug)]
pub(crate) struct Scanned {
    merged: Workspace,
    /// As in a manifest, but for the numbers of chunks, which are those in `chunks`.
    pub(super) entries: Vec<Entry>,
    /// All different ones, in the order in which they come.
    pub(super) chunks: Vec<Chunk>,
    places: Vec<Place>,
}

/// Where a chunk is found.
#[derive(Debug, Clone, Copy)]
struct Place {
    entry: usize,
    layer: usize,
    offset: u64,
}

/// What stands at a name.
pub(super) enum Found<'a> {
    Directory(Attributes),
    Symlink(Vec<u8>),
    /// In a directory of a layer.
    File(&'a OwnedFd, usize),
}

/// Looks at everything that the layers show, the uppermost first, directories before what is in them. Nobody writes to them
/// meanwhile.
pub(super) fn walk(
    merged: &Workspace,
    mut each: impl FnMut(Vec<u8>, &[u8], Found<'_>) -> Result<(), ChunkError>,
) -> Result<(), ChunkError> {
    let mut pending = vec![(Vec::new(), merged.root())];
    while let Some((path, set)) = pending.pop() {
        let failed = || ChunkError::io("read", &path);
        let parts: Vec<(usize, OwnedFd)> = set
            .iter()
            .map(|layer| Ok((layer, merged.open_dir(layer, &path)?)))
            .collect::<std::io::Result<_>>()
            .map_err(failed())?;
        let Some((_, top)) = parts.first() else { continue };
        let attributes = Attributes::of(&fstat(top).map_err(ChunkError::io("read", &path))?);
        each(path.clone(), b"", Found::Directory(attributes))?;
        for (name, entry) in merged.list(&path, set, u64::MAX).map_err(failed())?.unwrap_or_default() {
            let below = join(&path, &name);
            match entry {
                Merged::Directory(set) => pending.push((below, set)),
                Merged::Symlink(target) => each(below, &name, Found::Symlink(target))?,
                Merged::Special(_) => {}
                Merged::File(file) => {
                    if let Some((layer, part)) = parts.iter().find(|(layer, _)| *layer == file.layer) {
                        each(below, &name, Found::File(part, *layer))?;
                    }
                }
            }
        }
    }
    Ok(())
}

pub(super) fn open(layers: &[PathBuf]) -> Result<Workspace, ChunkError> {
    Workspace::open(layers, Path::new("")).map_err(ChunkError::io("open", b""))
}

pub(super) fn open_file(dir: &OwnedFd, name: &[u8], path: &[u8]) -> Result<File, ChunkError> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let opened = rustix::fs::openat(dir, name, flags, Mode::empty());
    Ok(File::from(opened.map_err(ChunkError::io("open", path))?))
}

/// Reads what the layers show, uppermost first, unless that is more than `most` bytes or there is no time for it on the way to
/// the store. Blocks.
pub(crate) fn scan(layers: &[PathBuf], most: u64, way: &Way<'_>) -> Result<Scanned, ChunkError> {
    let merged = open(layers)?;
    let (numbers, chunks, places) = Default::default();
    let mut scanning = Scanning { numbers, chunks, places, most, way };
    let mut entries: Vec<Entry> = Vec::new();
    walk(&merged, |path, name, found| {
        let what = match found {
            Found::Directory(attributes) => What::Directory(attributes),
            Found::Symlink(target) => What::Symlink(target),
            Found::File(dir, layer) => {
                scanning.file(open_file(dir, name, &path)?, &path, (entries.len(), layer))?
            }
        };
        entries.push(Entry { path, what });
        Ok(())
    })?;
    let Scanning { chunks, places, .. } = scanning;
    Ok(Scanned { merged, entries, chunks, places })
}

struct Scanning<'a> {
    numbers: HashMap<[u8; 32], u32>,
    chunks: Vec<Chunk>,
    places: Vec<Place>,
    /// Bytes that there may still be.
    most: u64,
    way: &'a Way<'a>,
}

impl Scanning<'_> {
    fn file(&mut self, mut file: File, path: &[u8], at: (usize, usize)) -> Result<What, ChunkError> {
        let stat = fstat(&file).map_err(ChunkError::io("read", path))?;
        let bytes = u64::try_from(stat.st_size).unwrap_or(0);
        // Holes are read as what they stand for, so it is this that bounds how long it takes.
        self.most = self.most.checked_sub(bytes).ok_or(ChunkError::TooLarge(self.most))?;
        let (mut named, mut offset) = (Vec::new(), 0);
        if bytes <= LEAST_CHUNK as u64 {
            let mut bytes = Vec::new();
            let mut most = file.by_ref().take(LEAST_CHUNK as u64);
            most.read_to_end(&mut bytes).map_err(ChunkError::io("read", path))?;
            if !bytes.is_empty() {
                named.push(self.chunk(&bytes, at, 0)?);
            }
            return Ok(What::File(Attributes::of(&stat), named));
        }
        for chunk in StreamCDC::new(file, LEAST_CHUNK, MEAN_CHUNK, MOST_CHUNK) {
            let chunk = chunk.map_err(|error| ChunkError::io("read", path)(std::io::Error::other(error)))?;
            named.push(self.chunk(&chunk.data, at, offset)?);
            offset += chunk.data.len() as u64;
        }
        Ok(What::File(Attributes::of(&stat), named))
    }

    fn chunk(
        &mut self,
        bytes: &[u8],
        (entry, layer): (usize, usize),
        offset: u64,
    ) -> Result<u32, ChunkError> {
        self.way.is_in_time()?;
        let chunk = Chunk::of(bytes);
        if let Some(&number) = self.numbers.get(&chunk.hash) {
            return Ok(number);
        }
        let number = u32::try_from(self.chunks.len()).map_err(|_| ChunkError::TooMany)?;
        self.numbers.insert(chunk.hash, number);
        self.chunks.push(chunk);
        self.places.push(Place { entry, layer, offset });
        Ok(number)
    }
}

impl Scanned {
    /// The bytes of all different chunks.
    pub(crate) fn bytes(&self) -> u64 {
        self.chunks.iter().map(|chunk| u64::from(chunk.bytes)).sum()
    }

    /// Reads chunks again, one behind the other.
    pub(super) fn read(&self, numbers: &[usize]) -> Result<Vec<u8>, ChunkError> {
        let mut bytes = Vec::new();
        for &number in numbers {
            let (chunk, Place { entry, layer, offset }) = (&self.chunks[number], self.places[number]);
            let path = &self.entries[entry].path;
            let start = bytes.len();
            bytes.resize(start + chunk.bytes as usize, 0);
            read_at(&self.merged, (path, layer), offset, &mut bytes[start..])?;
            if Chunk::of(&bytes[start..]) != *chunk {
                return Err(ChunkError::Changed(String::from_utf8_lossy(path).into_owned()));
            }
        }
        Ok(bytes)
    }
}

/// Reads a part of a file of a layer.
pub(super) fn read_at(
    merged: &Workspace,
    (path, layer): (&[u8], usize),
    offset: u64,
    bytes: &mut [u8],
) -> Result<(), ChunkError> {
    let (parent, name) = split(path);
    let dir = merged.open_dir(layer, parent).map_err(ChunkError::io("open", parent))?;
    let file = open_file(&dir, name, path)?;
    file.read_exact_at(bytes, offset).map_err(ChunkError::io("read", path))
}

/// The directory that something is in, and its name there.
pub(super) fn split(path: &[u8]) -> (&[u8], &[u8]) {
    match path.iter().rposition(|&byte| byte == b'/') {
        Some(end) => (&path[..end], &path[end + 1..]),
        None => (b"", path),
    }
}
