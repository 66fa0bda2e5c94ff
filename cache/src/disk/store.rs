//! The store itself: opening it, and asking whether and where an entry is.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use cullet_digest::{Digest, DigestFunction};
use rustix::fs::Stat;
use rustix::io::Errno;

use super::attributes::Attributes;
use super::bases::Area;
use super::collect::Collecting;
use super::layout::Layout;
use super::lease::OwnLeases;
use super::memo::Memo;
use super::name::EntryName;
use super::recency::Recency;
use super::usage::Usage;
use crate::StoreError;

/// How to open a cache directory.
#[derive(Debug, Clone)]
pub struct OpenOptions {
    /// Where it is; made where it is not there.
    pub dir: PathBuf,
    /// The most bytes it shall hold; see [`default_bound`].
    pub bound: u64,
    /// User and group that own the blobs, if this process is root: the unprivileged user that steps run as.
    pub owner: Option<(u32, u32)>,
}

impl OpenOptions {
    /// The directory with the usual bound, owned by whoever this process is.
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        let dir = dir.into();
        Self { bound: default_bound(&dir), dir, owner: None }
    }
}

/// Blobs in a cache directory; see the [module](super). Clones share everything.
#[derive(Debug, Clone)]
pub struct DiskStore {
    pub(super) disk: Arc<Disk>,
}

/// What stores and caches of one directory share within a process.
#[derive(Debug)]
pub(super) struct Disk {
    pub(super) layout: Layout,
    pub(super) attributes: Attributes,
    pub(super) recency: Recency,
    pub(super) memo: Memo,
    pub(super) usage: Usage,
    pub(super) collecting: Collecting,
    pub(super) own_leases: OwnLeases,
    pub(super) bound: u64,
}

/// 20 GiB, or a tenth of the filesystem that holds `path` (or its nearest existing ancestor) if that is less:
/// enough for weeks of one project, and not what fills the disk.
pub fn default_bound(path: &Path) -> u64 {
    const MOST: u64 = 20 << 30;
    path.ancestors()
        .find_map(|path| {
            rustix::fs::statvfs(if path.as_os_str().is_empty() { Path::new(".") } else { path }).ok()
        })
        .map_or(MOST, |fs| (fs.f_blocks.saturating_mul(fs.f_frsize) / 10).min(MOST))
}

impl DiskStore {
    /// Opens the cache in a directory.
    ///
    /// # Errors
    /// [`StoreError::FutureVersion`] for a layout this version does not know. A directory that cannot be written
    /// is no error: reading works, and writing says [`StoreError::ReadOnly`].
    pub fn open(options: &OpenOptions) -> Result<Self, StoreError> {
        let layout = Layout::open(&options.dir)?;
        let usage = Usage::new(layout.gc("size"), options.bound);
        let disk = Disk {
            layout,
            attributes: Attributes::new(options.owner),
            recency: Recency::new(),
            memo: Memo::default(),
            usage,
            collecting: Collecting::default(),
            own_leases: OwnLeases::default(),
            bound: options.bound,
        };
        Ok(Self { disk: Arc::new(disk) })
    }

    /// The cache directory.
    pub fn dir(&self) -> &Path {
        self.disk.layout.root()
    }

    /// Whether nothing can be stored.
    pub fn is_read_only(&self) -> bool {
        self.disk.layout.is_read_only()
    }

    /// The most bytes it shall hold.
    pub fn bound(&self) -> u64 {
        self.disk.bound
    }

    /// Whether the blob is there with its full length, which it then stays while a [`super::LiveRun`] lives.
    pub fn has(&self, digest: &Digest) -> Result<bool, StoreError> {
        if is_the_empty_blob(digest) {
            return Ok(true);
        }
        let stat = self.disk.find(Area::Cas, digest.function(), &EntryName::new(digest))?;
        Ok(stat.is_some_and(|stat| size(&stat) == digest.size()))
    }
}

impl Disk {
    /// An error about an entry.
    pub(super) fn failed(
        &self,
        action: &'static str,
        area: Area,
        function: DigestFunction,
        name: &EntryName,
        error: Errno,
    ) -> StoreError {
        self.error(action, self.layout.path(area, function, name), error.into())
    }

    /// An error about a path; the whole cache is meant where it is full or read-only.
    pub(super) fn error(&self, action: &'static str, path: PathBuf, error: std::io::Error) -> StoreError {
        match StoreError::io(action, path, error) {
            StoreError::NoSpace { .. } => self.no_space(),
            StoreError::ReadOnly { .. } => StoreError::ReadOnly { path: self.layout.root().to_owned() },
            error => error,
        }
    }

    pub(super) fn over_bound(&self) -> StoreError {
        StoreError::OverBound { path: self.layout.root().to_owned(), bound: self.bound }
    }

    pub(super) fn no_space(&self) -> StoreError {
        StoreError::NoSpace { path: self.layout.root().to_owned() }
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        self.usage.flush();
    }
}

/// Every store has it; nothing need be stored. A digest of size 0 with another hash names nothing.
pub(super) fn is_the_empty_blob(digest: &Digest) -> bool {
    digest.is_empty() && *digest == digest.function().digest(b"")
}

/// The length of a file; never negative.
pub(super) fn size(stat: &Stat) -> u64 {
    u64::try_from(stat.st_size).unwrap_or(0)
}
