//! An open directory: every entry is reached from here, never through a path that could be swapped meanwhile.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{AtFlags, Mode, OFlags, openat, statat};
use rustix::io::Errno;

use crate::stat::{FileStat, Kind};

const DIRECTORY: OFlags = OFlags::DIRECTORY.union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);
/// Without `NONBLOCK`, a FIFO that took the place of a file would block us for ever.
const FILE: OFlags = OFlags::RDONLY.union(OFlags::NOFOLLOW).union(OFlags::NONBLOCK).union(OFlags::CLOEXEC);

/// The kernel takes paths of up to 4095 bytes; a deeper directory is reached in several strides.
const STRIDE: usize = 4000;

/// A directory that can be listed and looked into.
#[derive(Debug)]
pub(crate) struct Opened(OwnedFd);

impl Opened {
    /// Opens the root of a source, following links.
    pub(crate) fn root(path: &Path) -> Result<Self, Errno> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        openat(rustix::fs::CWD, path, flags, Mode::empty()).map(Self)
    }

    /// Opens the directory `path` (segments separated by `/`, empty for this one) below this one, following no
    /// link on the way.
    pub(crate) fn below(&self, path: &[u8]) -> Result<Self, Errno> {
        let mut at: Option<OwnedFd> = None;
        let mut rest = path;
        while rest.len() > STRIDE {
            // A name has at most 255 bytes, so there is a slash.
            let slash = rest[..STRIDE].iter().rposition(|&byte| byte == b'/').ok_or(Errno::NAMETOOLONG)?;
            let from = at.as_ref().map_or(self.0.as_fd(), AsFd::as_fd);
            at = Some(open_beneath(from, &rest[..slash])?);
            rest = &rest[slash + 1..];
        }
        let from = at.as_ref().map_or(self.0.as_fd(), AsFd::as_fd);
        open_beneath(from, if rest.is_empty() { b"." } else { rest }).map(Self)
    }

    pub(crate) fn file(&self, name: &[u8]) -> Result<OwnedFd, Errno> {
        openat(&self.0, name, FILE, Mode::empty())
    }

    /// The status of an entry; of the link itself where it is one.
    pub(crate) fn stat(&self, name: &[u8]) -> Result<FileStat, Errno> {
        statat(&self.0, name, AtFlags::SYMLINK_NOFOLLOW).map(|stat| FileStat::new(&stat))
    }

    pub(crate) fn link_target(&self, name: &[u8]) -> Result<Vec<u8>, Errno> {
        rustix::fs::readlinkat(&self.0, name, Vec::new()).map(std::ffi::CString::into_bytes)
    }

    /// Replaces what is in `names` by the names in this directory, sorted, without `.`, `..` and `.git`.
    pub(crate) fn list(&self, names: &mut Names) -> Result<(), Errno> {
        names.clear();
        self.read_names(names)?;
        for at in 0..names.items.len() {
            if names.items[at].kind.is_none() {
                // Some file systems do not tell the kind while listing. What is gone by now was never here.
                let kind = match self.stat(names.name(at)) {
                    Ok(stat) => Some(stat.kind),
                    Err(Errno::NOENT) => None,
                    Err(error) => return Err(error),
                };
                names.items[at].kind = kind;
            }
        }
        names.items.retain(|item| item.kind.is_some());
        let bytes = &names.bytes;
        names.items.sort_unstable_by(|a, b| bytes[a.range()].cmp(&bytes[b.range()]));
        Ok(())
    }

    #[cfg(target_os = "linux")]
    fn read_names(&self, names: &mut Names) -> Result<(), Errno> {
        if names.buffer.capacity() == 0 {
            names.buffer.reserve(64 << 10);
        }
        let mut buffer = std::mem::take(&mut names.buffer);
        let mut dir = rustix::fs::RawDir::new(&self.0, buffer.spare_capacity_mut());
        while let Some(item) = dir.next() {
            let item = item?;
            names.push(item.file_name().to_bytes(), item.file_type());
        }
        names.buffer = buffer;
        Ok(())
    }

    #[cfg(not(target_os = "linux"))]
    fn read_names(&self, names: &mut Names) -> Result<(), Errno> {
        for item in rustix::fs::Dir::read_from(&self.0)? {
            let item = item?;
            names.push(item.file_name().to_bytes(), item.file_type());
        }
        Ok(())
    }
}

#[cfg(target_os = "linux")]
fn open_beneath(from: BorrowedFd<'_>, path: &[u8]) -> Result<OwnedFd, Errno> {
    use rustix::fs::{ResolveFlags, openat2};
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
    match openat2(from, path, OFlags::RDONLY | DIRECTORY, Mode::empty(), resolve) {
        // Kernels before 5.6, and seccomp filters that do not know the call.
        Err(Errno::NOSYS | Errno::PERM) => open_stepwise(from, path),
        opened => opened,
    }
}

#[cfg(not(target_os = "linux"))]
fn open_beneath(from: BorrowedFd<'_>, path: &[u8]) -> Result<OwnedFd, Errno> {
    open_stepwise(from, path)
}

/// One segment after the other, so that none of them can be a link.
fn open_stepwise(from: BorrowedFd<'_>, path: &[u8]) -> Result<OwnedFd, Errno> {
    let mut at: Option<OwnedFd> = None;
    for name in path.split(|&byte| byte == b'/') {
        let from = at.as_ref().map_or(from, AsFd::as_fd);
        at = Some(openat(from, name, OFlags::RDONLY | DIRECTORY, Mode::empty())?);
    }
    at.ok_or(Errno::INVAL)
}

/// The names in one directory. Kept from one directory to the next for its memory.
#[derive(Debug, Default)]
pub(crate) struct Names {
    bytes: Vec<u8>,
    items: Vec<Item>,
    buffer: Vec<u8>,
}

#[derive(Debug)]
struct Item {
    start: usize,
    len: usize,
    kind: Option<Kind>,
}

impl Item {
    const fn range(&self) -> std::ops::Range<usize> {
        self.start..self.start + self.len
    }
}

impl Names {
    fn clear(&mut self) {
        self.bytes.clear();
        self.items.clear();
    }

    fn push(&mut self, name: &[u8], file_type: rustix::fs::FileType) {
        // `.git` is no source in any of its forms: a directory, or a file in worktrees and submodules.
        if matches!(name, b"." | b".." | b".git") {
            return;
        }
        let kind = (file_type != rustix::fs::FileType::Unknown).then(|| Kind::of(file_type));
        self.items.push(Item { start: self.bytes.len(), len: name.len(), kind });
        self.bytes.extend_from_slice(name);
    }

    pub(crate) fn len(&self) -> usize {
        self.items.len()
    }

    pub(crate) fn name(&self, at: usize) -> &[u8] {
        &self.bytes[self.items[at].range()]
    }

    pub(crate) fn kind(&self, at: usize) -> Kind {
        // `Opened::list` leaves none without.
        self.items[at].kind.unwrap_or(Kind::Special("file of unknown kind"))
    }

    /// Whether a regular file of that name is there.
    pub(crate) fn has_file(&self, name: &[u8]) -> bool {
        let found = self.items.binary_search_by(|item| self.bytes[item.range()].cmp(name));
        found.is_ok_and(|at| self.items[at].kind == Some(Kind::File))
    }
}
