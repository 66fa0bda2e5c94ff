//! What is in a version of a volume.

use bytes::Bytes;
use cullet_digest::Digest;
use rustix::fs::{Stat, Timespec, Timestamps};
use serde::{Deserialize, Serialize};

use super::{ChunkError, FUNCTION, MOST_CHUNK, MOST_MANIFEST, MOST_PACK};
use crate::volumes::tidy::LEAST_BYTES;

/// The form of manifests. In the first, each chunk was a blob.
const VERSION: u32 = 2;

/// Everything that is in a volume, directories before what is in them, and where the bytes of its files are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Manifest {
    version: u32,
    pub(super) entries: Vec<Entry>,
    pub(super) packs: Vec<Pack>,
}

/// A name in a volume.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Entry {
    /// Relative to the volume; empty for the volume itself.
    pub(super) path: Vec<u8>,
    pub(super) what: What,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum What {
    Directory(Attributes),
    /// Chunks by their numbers: those of all packs, one after the other.
    File(Attributes, Vec<u32>),
    Symlink(Vec<u8>),
}

/// What of an inode counts: build tools compare times.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Attributes {
    mode: u32,
    seconds: i64,
    nanoseconds: u32,
}

/// Chunks that are one blob, some of which this version may have no use for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Pack {
    hash: [u8; 32],
    /// In the order in which they lie one behind the other.
    pub(super) chunks: Vec<Chunk>,
}

/// A part of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Chunk {
    pub(super) hash: [u8; 32],
    pub(super) bytes: u32,
}

impl Attributes {
    #[allow(clippy::useless_conversion, reason = "the widths in struct stat differ between architectures")]
    pub(super) fn of(stat: &Stat) -> Self {
        Self {
            mode: stat.st_mode & 0o1777,
            seconds: stat.st_mtime.into(),
            nanoseconds: u32::try_from(stat.st_mtime_nsec).unwrap_or_default(),
        }
    }

    pub(super) fn mode(self) -> rustix::fs::Mode {
        rustix::fs::Mode::from_raw_mode(self.mode & 0o1777)
    }

    pub(super) fn times(self) -> Timestamps {
        let modified = Timespec { tv_sec: self.seconds, tv_nsec: self.nanoseconds.into() };
        Timestamps { last_access: modified, last_modification: modified }
    }
}

impl Chunk {
    pub(super) fn of(bytes: &[u8]) -> Self {
        let digest = FUNCTION.digest(bytes);
        Self { hash: *digest.hash(), bytes: u32::try_from(digest.size()).unwrap_or(u32::MAX) }
    }

    pub(super) fn digest(&self) -> Digest {
        Digest::from_parts(FUNCTION, self.hash, self.bytes.into())
    }
}

impl Pack {
    /// Of chunks that lie one behind the other in `bytes`.
    pub(super) fn of(bytes: &[u8], chunks: Vec<Chunk>) -> Self {
        Self { hash: *FUNCTION.digest(bytes).hash(), chunks }
    }

    pub(super) fn bytes(&self) -> u64 {
        self.chunks.iter().map(|chunk| u64::from(chunk.bytes)).sum()
    }

    /// The name of the blob.
    pub(super) fn digest(&self) -> Digest {
        Digest::from_parts(FUNCTION, self.hash, self.bytes())
    }

    fn is_possible(&self) -> bool {
        let is_possible = |chunk: &Chunk| (1..=MOST_CHUNK as u64).contains(&u64::from(chunk.bytes));
        !self.chunks.is_empty() && self.chunks.iter().all(is_possible) && self.bytes() <= MOST_PACK
    }
}

impl Manifest {
    pub(super) fn new(entries: Vec<Entry>, packs: Vec<Pack>) -> Self {
        Self { version: VERSION, entries, packs }
    }

    /// Its blob.
    pub(crate) fn encode(&self) -> Result<(Digest, Bytes), ChunkError> {
        let bytes = postcard::to_stdvec(self)
            .map_err(|error| ChunkError::io("describe", b"")(std::io::Error::other(error)))?;
        if bytes.len() as u64 > MOST_MANIFEST {
            return Err(ChunkError::TooMany);
        }
        Ok((FUNCTION.digest(&bytes), bytes.into()))
    }

    /// None of its paths leads out of the volume, and it names only chunks that it has.
    pub(crate) fn decode(digest: &Digest, bytes: &[u8]) -> Result<Self, ChunkError> {
        let no_manifest = || ChunkError::Manifest(*digest);
        let manifest: Self = postcard::from_bytes(bytes).map_err(|_| no_manifest())?;
        let is_inside = |path: &[u8]| {
            path.is_empty()
                || path.split(|&byte| byte == b'/').all(|name| !matches!(name, b"" | b"." | b".."))
        };
        let chunks = manifest.packs.iter().map(|pack| pack.chunks.len()).sum::<usize>();
        let has = |what: &What| match what {
            What::File(_, named) => named.iter().all(|&number| (number as usize) < chunks),
            What::Directory(_) | What::Symlink(_) => true,
        };
        let fits = manifest.version == VERSION
            && manifest.packs.iter().all(Pack::is_possible)
            && manifest.entries.iter().all(|entry| is_inside(&entry.path) && has(&entry.what));
        if fits { Ok(manifest) } else { Err(no_manifest()) }
    }

    /// All chunks, by their numbers.
    pub(super) fn chunks(&self) -> Vec<Chunk> {
        self.packs.iter().flat_map(|pack| pack.chunks.iter().copied()).collect()
    }

    /// The blobs that its chunks are in.
    pub(crate) fn packs(&self) -> impl Iterator<Item = Digest> {
        self.packs.iter().map(Pack::digest)
    }

    /// What it takes of the disk, at least 4 KiB for each name.
    pub(crate) fn bytes(&self) -> u64 {
        let chunks = self.chunks();
        let of = |entry: &Entry| match &entry.what {
            What::File(_, named) => {
                named.iter().map(|&number| u64::from(chunks[number as usize].bytes)).sum()
            }
            What::Directory(_) | What::Symlink(_) => 0,
        };
        self.entries.iter().map(|entry| LEAST_BYTES.saturating_add(of(entry))).fold(0, u64::saturating_add)
    }
}
