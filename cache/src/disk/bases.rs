//! Open directories that entries are named relative to.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use cullet_digest::DigestFunction;
use rustix::fs::{Mode, OFlags};

/// Blobs or results.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Area {
    Cas,
    Ac,
}

impl Area {
    pub(super) const ALL: [Self; 2] = [Self::Cas, Self::Ac];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Cas => "cas",
            Self::Ac => "ac",
        }
    }
}

/// One descriptor per kind and function. Shards below are reached by path: 1,024 more descriptors would be the
/// whole default limit of a process, and the kernel's name cache makes the second segment nearly free.
#[derive(Debug)]
pub(super) struct Bases {
    fds: [Option<OwnedFd>; 4],
}

impl Bases {
    /// Opens what there is; a read-only cache may lack some.
    pub(super) fn open(root: &Path) -> Self {
        let mut fds = [const { None }; 4];
        for (area, function) in all() {
            let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
            fds[index(area, function)] =
                rustix::fs::open(directory(root, area, function), flags, Mode::empty()).ok();
        }
        Self { fds }
    }

    pub(super) fn get(&self, area: Area, function: DigestFunction) -> Option<BorrowedFd<'_>> {
        self.fds[index(area, function)].as_ref().map(AsFd::as_fd)
    }
}

/// Every kind and function.
pub(super) fn all() -> impl Iterator<Item = (Area, DigestFunction)> {
    Area::ALL
        .into_iter()
        .flat_map(|area| DigestFunction::ALL.into_iter().map(move |function| (area, function)))
}

/// The directory itself.
pub(super) fn directory(root: &Path, area: Area, function: DigestFunction) -> PathBuf {
    root.join(area.name()).join(function.name())
}

const fn index(area: Area, function: DigestFunction) -> usize {
    let area = match area {
        Area::Cas => 0,
        Area::Ac => 2,
    };
    area + match function {
        DigestFunction::Blake3 => 0,
        DigestFunction::Sha256 => 1,
    }
}
