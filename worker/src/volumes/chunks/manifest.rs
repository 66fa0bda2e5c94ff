//! What is in a version of a volume.

use cullet_digest::Digest;
use rustix::fs::{Stat, Timespec, Timestamps};
use serde::{Deserialize, Serialize};

use super::{ChunkError, FUNCTION};

/// The form of manifests.
const VERSION: u32 = 1;

/// Everything that is in a volume, directories before what is in them.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Manifest {
    version: u32,
    pub(super) entries: Vec<Entry>,
}

/// A name in a volume.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Entry {
    /// Relative to the volume; empty for the volume itself.
    pub(super) path: Vec<u8>,
    pub(super) what: What,
}

#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum What {
    Directory(Attributes),
    File(Attributes, Vec<Chunk>),
    Symlink(Vec<u8>),
}

/// What of an inode counts: build tools compare times.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Attributes {
    mode: u32,
    seconds: i64,
    nanoseconds: u32,
}

/// A part of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Chunk {
    hash: [u8; 32],
    bytes: u32,
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
    pub(super) fn of(digest: &Digest) -> Self {
        Self { hash: *digest.hash(), bytes: u32::try_from(digest.size()).unwrap_or(u32::MAX) }
    }

    pub(super) fn digest(self) -> Digest {
        Digest::from_parts(FUNCTION, self.hash, self.bytes.into())
    }
}

impl Manifest {
    pub(super) fn new(entries: Vec<Entry>) -> Self {
        Self { version: VERSION, entries }
    }

    pub(super) fn encode(&self) -> Result<Vec<u8>, ChunkError> {
        postcard::to_stdvec(self)
            .map_err(|error| ChunkError::io("describe", b"")(std::io::Error::other(error)))
    }

    /// None of its paths leads out of the volume.
    pub(super) fn decode(digest: &Digest, bytes: &[u8]) -> Result<Self, ChunkError> {
        let manifest: Self = postcard::from_bytes(bytes).map_err(|_| ChunkError::Manifest(*digest))?;
        let is_inside = |path: &[u8]| {
            path.is_empty()
                || path.split(|&byte| byte == b'/').all(|name| !matches!(name, b"" | b"." | b".."))
        };
        let fits = manifest.version == VERSION && manifest.entries.iter().all(|entry| is_inside(&entry.path));
        if fits { Ok(manifest) } else { Err(ChunkError::Manifest(*digest)) }
    }
}
