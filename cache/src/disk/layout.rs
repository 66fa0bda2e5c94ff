//! The cache directory as a whole: made, recognised, opened.

use std::fs;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use cullet_digest::DigestFunction;
use rustix::fs::{Mode, OFlags};

use super::bases::{self, Area, Bases};
use super::name::EntryName;
use super::scratch::Scratch;
use crate::StoreError;

/// The newest layout this version knows.
pub(super) const VERSION: u32 = 1;

/// An opened cache directory.
#[derive(Debug)]
pub(super) struct Layout {
    root: PathBuf,
    bases: Bases,
    trash: Option<OwnedFd>,
    scratch: Option<Scratch>,
}

impl Layout {
    /// Opens the directory, and makes it where it is not there. One that cannot be written is opened for
    /// reading.
    pub(super) fn open(root: &Path) -> Result<Self, StoreError> {
        check_version(root)?;
        let scratch = match prepare(root) {
            Ok(scratch) => Some(scratch),
            Err(error) if is_denied(&error) && root.is_dir() => None,
            Err(error) => return Err(StoreError::io("prepare the cache directory", root, error)),
        };
        // Again: it may have been made meanwhile, by a newer version.
        check_version(root)?;
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let trash = rustix::fs::open(root.join("gc/trash"), flags, Mode::empty()).ok();
        Ok(Self { root: root.to_owned(), bases: Bases::open(root), trash, scratch })
    }

    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    pub(super) fn bases(&self) -> &Bases {
        &self.bases
    }

    /// Where files are made; an error in a read-only cache.
    pub(super) fn scratch(&self) -> Result<&Scratch, StoreError> {
        self.scratch.as_ref().ok_or_else(|| StoreError::ReadOnly { path: self.root.clone() })
    }

    /// Where the collector puts what it is deciding about; a read-only cache may lack it.
    pub(super) fn trash(&self) -> Option<BorrowedFd<'_>> {
        self.trash.as_ref().map(AsFd::as_fd)
    }

    pub(super) fn is_read_only(&self) -> bool {
        self.scratch.is_none()
    }

    /// The full path of an entry, for messages and for what wants a path.
    pub(super) fn path(&self, area: Area, function: DigestFunction, name: &EntryName) -> PathBuf {
        bases::directory(&self.root, area, function).join(name.to_string())
    }

    pub(super) fn leases(&self) -> PathBuf {
        self.root.join("leases")
    }

    pub(super) fn gc(&self, name: &str) -> PathBuf {
        self.root.join("gc").join(name)
    }
}

/// Makes what is missing.
fn prepare(root: &Path) -> io::Result<Scratch> {
    let tmp = root.join("tmp");
    let own = ["tmp", "leases", "gc/trash"].into_iter().map(|name| root.join(name));
    let shared = bases::all().map(|(area, function)| bases::directory(root, area, function));
    for dir in own.chain(shared) {
        // Most openings find everything made.
        if !dir.is_dir() {
            fs::create_dir_all(dir)?;
        }
    }
    let scratch = Scratch::create(&tmp)?;
    Scratch::sweep(&tmp);
    write_version(root, &scratch)?;
    Ok(scratch)
}

fn write_version(root: &Path, scratch: &Scratch) -> io::Result<()> {
    let path = root.join("VERSION");
    if path.exists() {
        return Ok(());
    }
    let made = scratch.path().join(scratch.fresh());
    fs::write(&made, format!("{VERSION}\n"))?;
    fs::rename(made, path)
}

fn check_version(root: &Path) -> Result<(), StoreError> {
    let path = root.join("VERSION");
    let text = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(StoreError::io("read", path, error)),
    };
    let Ok(found) = text.trim().parse::<u32>() else {
        let error = io::Error::new(io::ErrorKind::InvalidData, "it does not hold a number");
        return Err(StoreError::io("understand the cache version in", path, error));
    };
    if found > VERSION {
        return Err(StoreError::FutureVersion { path: root.to_owned(), found, known: VERSION });
    }
    Ok(())
}

/// Whether it is refused to write here, as opposed to having failed.
fn is_denied(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem)
}
