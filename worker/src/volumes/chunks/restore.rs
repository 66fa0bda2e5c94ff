//! From a store, and from what is here already, to a directory.

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use cullet_digest::Digest;
use futures_util::future::try_join_all;
use rustix::fs::{AtFlags, Gid, Mode, OFlags, Uid};

use super::manifest::{Attributes, Chunk, Manifest, What};
use super::scan::{Found, open, read_at, split, walk};
use super::{AT_ONCE, ChunkError, MOST_PACK, Way, check};
use crate::layers::{Workspace, open_dir};
use crate::volumes::tidy::open_root;

/// An earlier version on this machine.
#[derive(Debug)]
pub(crate) struct Local {
    merged: Workspace,
    /// Files, by their paths: in which layer they are, and what they are.
    files: HashMap<Vec<u8>, (usize, Attributes, Vec<Chunk>)>,
    /// Where a chunk is: in which file, and where in it.
    places: HashMap<[u8; 32], (Vec<u8>, u64)>,
}

impl Local {
    /// What layers show, uppermost first, of which the manifest says what is in them.
    pub(crate) fn open(layers: &[PathBuf], manifest: &Manifest) -> Result<Self, ChunkError> {
        let merged = open(layers)?;
        let mut found: HashMap<Vec<u8>, usize> = HashMap::new();
        walk(&merged, |path, _, what| {
            if let Found::File(_, layer) = what {
                found.insert(path, layer);
            }
            Ok(())
        })?;
        let chunks = manifest.chunks();
        let (mut files, mut places) = (HashMap::new(), HashMap::new());
        for entry in &manifest.entries {
            let What::File(attributes, named) = &entry.what else { continue };
            let Some(&layer) = found.get(&entry.path) else { continue };
            let named: Vec<Chunk> = named.iter().map(|&number| chunks[number as usize]).collect();
            let mut offset = 0;
            for chunk in &named {
                places.entry(chunk.hash).or_insert_with(|| (entry.path.clone(), offset));
                offset += u64::from(chunk.bytes);
            }
            files.insert(entry.path.clone(), (layer, *attributes, named));
        }
        Ok(Self { merged, files, places })
    }

    /// Gives the file at this path a name in another directory, if it is one with these bytes. Nobody writes to it any more.
    fn link(&self, path: &[u8], (attributes, chunks): (Attributes, &[Chunk]), to: &OwnedFd) -> bool {
        let Some((layer, own, named)) = self.files.get(path) else { return false };
        let (parent, name) = split(path);
        *own == attributes
            && named == chunks
            && self
                .merged
                .open_dir(*layer, parent)
                .is_ok_and(|dir| rustix::fs::linkat(&dir, name, to, name, AtFlags::empty()).is_ok())
    }

    /// The bytes of a chunk, if they are here and right.
    fn chunk(&self, chunk: &Chunk) -> Option<Vec<u8>> {
        let (path, offset) = self.places.get(&chunk.hash)?;
        let (layer, ..) = self.files.get(path)?;
        let mut bytes = vec![0; chunk.bytes as usize];
        read_at(&self.merged, (path, *layer), *offset, &mut bytes).ok()?;
        (Chunk::of(&bytes) == *chunk).then_some(bytes)
    }
}

/// Makes what a version has in `target`, which is not there yet, and says how many bytes came from the store. After an error
/// whatever was made is still there: the caller removes it. Every chunk is checked. Blocks.
///
/// # Errors
/// Something is missing or not what it should be, it is more than `most` bytes, or it takes too long.
pub(crate) fn restore(
    manifest: &Manifest,
    local: Option<&Local>,
    way: &Way<'_>,
    target: &Path,
    (owner, most): (Option<(u32, u32)>, u64),
) -> Result<u64, ChunkError> {
    if manifest.bytes() > most {
        return Err(ChunkError::TooLarge(most));
    }
    rustix::fs::mkdir(target, Mode::RWXU).map_err(ChunkError::io("make", b""))?;
    let root =
        open_root(target).map_err(|error| ChunkError::io("open", b"")(std::io::Error::other(error)))?;
    let mut restoring = Restoring {
        manifest,
        chunks: Numbered::of(manifest),
        local,
        root,
        owner,
        wanted: BTreeMap::new(),
        made: Vec::new(),
    };
    for (index, entry) in manifest.entries.iter().enumerate() {
        restoring.entry(index, &entry.path, &entry.what)?;
    }
    let fetched = restoring.fetch(way)?;
    restoring.finish()?;
    Ok(fetched)
}

/// Chunks by their numbers, and where they are.
struct Numbered {
    chunks: Vec<Chunk>,
    /// The number of the pack of each, and where in it.
    places: Vec<(usize, usize)>,
}

impl Numbered {
    fn of(manifest: &Manifest) -> Self {
        let mut places = Vec::new();
        for (index, pack) in manifest.packs.iter().enumerate() {
            let mut offset = 0;
            for chunk in &pack.chunks {
                places.push((index, offset));
                offset += chunk.bytes as usize;
            }
        }
        Self { chunks: manifest.chunks(), places }
    }
}

/// A part of a pack that belongs to a file.
struct Wanted {
    chunk: usize,
    entry: usize,
    offset: u64,
}

struct Restoring<'a> {
    manifest: &'a Manifest,
    chunks: Numbered,
    local: Option<&'a Local>,
    root: OwnedFd,
    owner: Option<(u32, u32)>,
    /// What is to be fetched, by packs.
    wanted: BTreeMap<usize, Vec<Wanted>>,
    /// Files that have no attributes yet.
    made: Vec<usize>,
}

impl Restoring<'_> {
    fn entry(&mut self, index: usize, path: &[u8], what: &What) -> Result<(), ChunkError> {
        if path.is_empty() {
            return Ok(());
        }
        let (parent, name) = split(path);
        // Through no link, whatever the manifest says.
        let parent = open_dir(self.root.as_fd(), parent).map_err(ChunkError::io("open", parent))?;
        match what {
            What::Directory(_) => {
                rustix::fs::mkdirat(&parent, name, Mode::RWXU).map_err(ChunkError::io("make", path))
            }
            What::File(attributes, named) => {
                let chunks: Vec<Chunk> =
                    named.iter().map(|&number| self.chunks.chunks[number as usize]).collect();
                if self.local.is_some_and(|local| local.link(path, (*attributes, &chunks), &parent)) {
                    return Ok(());
                }
                self.file((&parent, name, path), index, named)
            }
            What::Symlink(to) => {
                rustix::fs::symlinkat(&**to, &parent, name).map_err(ChunkError::io("make", path))?;
                let Some((uid, gid)) = self.owner else { return Ok(()) };
                let (uid, gid) = (Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)));
                rustix::fs::chownat(&parent, name, uid, gid, AtFlags::SYMLINK_NOFOLLOW)
                    .map_err(ChunkError::io("give away", path))
            }
        }
    }

    /// Makes a file with those chunks that are here.
    fn file(
        &mut self,
        (parent, name, path): (&OwnedFd, &[u8], &[u8]),
        entry: usize,
        named: &[u32],
    ) -> Result<(), ChunkError> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let made = rustix::fs::openat(parent, name, flags, Mode::RUSR | Mode::WUSR);
        let file = File::from(made.map_err(ChunkError::io("make", path))?);
        self.made.push(entry);
        let mut offset = 0;
        for chunk in named.iter().map(|&number| number as usize) {
            let of = self.chunks.chunks[chunk];
            match self.local.and_then(|local| local.chunk(&of)) {
                Some(bytes) => {
                    file.write_all_at(&bytes, offset).map_err(ChunkError::io("write", path))?;
                }
                None => {
                    let wanted = self.wanted.entry(self.chunks.places[chunk].0).or_default();
                    wanted.push(Wanted { chunk, entry, offset });
                }
            }
            offset += u64::from(of.bytes);
        }
        Ok(())
    }

    /// Fetches what is not here.
    fn fetch(&self, way: &Way<'_>) -> Result<u64, ChunkError> {
        let packs: Vec<(Digest, &Vec<Wanted>)> =
            self.wanted.iter().map(|(&pack, wanted)| (self.manifest.packs[pack].digest(), wanted)).collect();
        let all = packs.iter().map(|(pack, _)| pack.size()).sum();
        let mut fetched = 0;
        for batch in packs.chunks(AT_ONCE) {
            let gets = batch.iter().map(|(pack, _)| way.get(pack, MOST_PACK));
            let arrived = way.runtime.block_on(try_join_all(gets))?;
            for ((_, wanted), bytes) in batch.iter().zip(arrived) {
                fetched += bytes.len() as u64;
                wanted.iter().try_for_each(|part| self.write(part, &bytes))?;
            }
            way.is_hopeful(fetched, all)?;
        }
        Ok(fetched)
    }

    fn write(&self, part: &Wanted, pack: &[u8]) -> Result<(), ChunkError> {
        let (chunk, (_, start)) = (self.chunks.chunks[part.chunk], self.chunks.places[part.chunk]);
        let bytes = &pack[start..start + chunk.bytes as usize];
        check(&chunk.digest(), bytes)?;
        let path = &self.manifest.entries[part.entry].path;
        let file = self.open(path, OFlags::WRONLY)?;
        file.write_all_at(bytes, part.offset).map_err(ChunkError::io("write", path))
    }

    fn open(&self, path: &[u8], access: OFlags) -> Result<File, ChunkError> {
        let (parent, name) = split(path);
        let parent = open_dir(self.root.as_fd(), parent).map_err(ChunkError::io("open", parent))?;
        let flags = access | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let opened = rustix::fs::openat(&parent, name, flags, Mode::empty());
        Ok(File::from(opened.map_err(ChunkError::io("open", path))?))
    }

    /// Gives everything its attributes. Times of directories change as long as something is made in them, and modes may keep
    /// even us out.
    fn finish(&self) -> Result<(), ChunkError> {
        for &entry in &self.made {
            let entry = &self.manifest.entries[entry];
            if let What::File(attributes, _) = &entry.what {
                self.attributes(&self.open(&entry.path, OFlags::WRONLY)?, &entry.path, *attributes)?;
            }
        }
        for entry in self.manifest.entries.iter().rev() {
            if let What::Directory(attributes) = entry.what {
                let dir = open_dir(self.root.as_fd(), &entry.path);
                let dir = dir.map_err(ChunkError::io("open", &entry.path))?;
                self.attributes(&dir, &entry.path, attributes)?;
            }
        }
        Ok(())
    }

    fn attributes(&self, made: impl AsFd, path: &[u8], attributes: Attributes) -> Result<(), ChunkError> {
        let failed = || ChunkError::io("finish", path);
        if let Some((uid, gid)) = self.owner {
            let (uid, gid) = (Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)));
            rustix::fs::fchown(&made, uid, gid).map_err(failed())?;
        }
        rustix::fs::fchmod(&made, attributes.mode()).map_err(failed())?;
        rustix::fs::futimens(&made, &attributes.times()).map_err(failed())
    }
}
