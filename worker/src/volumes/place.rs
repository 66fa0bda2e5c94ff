//! The directory of one volume, and the lock on it.

use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use super::record::{self, hash_of};
use super::{VolumeError, VolumeUse};

/// How long somebody waits for whoever reads or replaces a list of layers, which takes milliseconds.
const LOCK_PATIENCE: Duration = Duration::from_secs(10);
const LOCK_PAUSE: Duration = Duration::from_millis(2);

/// Whose a volume is. Two that differ in any of it are two volumes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct About {
    pub(super) scope: String,
    pub(super) volume: String,
    /// The machine's architecture: programs in it are of no use elsewhere.
    pub(super) arch: String,
    /// Who owns the files in it, where that is not the user of this process.
    pub(super) owner: Option<u32>,
}

impl About {
    pub(super) fn of(wanted: &VolumeUse, owner: Option<(u32, u32)>) -> Self {
        Self {
            scope: wanted.scope.clone(),
            volume: wanted.volume.clone(),
            arch: std::env::consts::ARCH.to_owned(),
            owner: owner.map(|(uid, _)| uid),
        }
    }
}

/// Where a volume is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    dir: PathBuf,
}

/// A lock that is held. It goes with this, or with the process.
#[derive(Debug)]
pub(super) struct Held {
    _file: File,
}

impl Place {
    /// Among the volumes in `root`.
    pub(super) fn of(root: &Path, about: &About) -> Self {
        let identity = [&*about.scope, &about.volume, &about.arch, &format!("{:?}", about.owner)].join("\0");
        let hash = &hash_of(identity.as_bytes())[..16];
        // For people; whatever a coordinator says is one name here.
        let plain = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '_' | '-') { c } else { '_' };
        let name: String = about.volume.chars().take(100).map(plain).collect();
        Self { dir: root.join(format!("{name}-{hash}")) }
    }

    pub(super) fn at(dir: PathBuf) -> Self {
        Self { dir }
    }

    pub(super) fn dir(&self) -> &Path {
        &self.dir
    }

    pub(super) fn current(&self) -> PathBuf {
        self.dir.join("current")
    }

    pub(super) fn about(&self) -> PathBuf {
        self.dir.join("about")
    }

    /// Which version of a store it is.
    pub(super) fn same(&self) -> PathBuf {
        self.dir.join("same")
    }

    /// What is in that version.
    pub(super) fn manifest(&self) -> PathBuf {
        self.dir.join("manifest")
    }

    /// When a store was told last that the volume is used.
    pub(super) fn told(&self) -> PathBuf {
        self.dir.join("told")
    }

    pub(super) fn turn(&self) -> PathBuf {
        self.dir.join("turn")
    }

    pub(super) fn layers(&self) -> PathBuf {
        self.dir.join("layers")
    }

    pub(super) fn drafts(&self) -> PathBuf {
        self.dir.join("drafts")
    }

    /// Makes the directory if it is not there, and says whose it is.
    pub(super) fn make(&self, about: &About) -> Result<(), VolumeError> {
        for dir in [self.layers(), self.drafts()] {
            // Others may pass through, because a step may run as another user, but not look around.
            let made = DirBuilder::new().recursive(true).mode(0o711).create(&dir);
            made.map_err(VolumeError::io("create", &dir))?;
        }
        if self.is_of(about)? {
            return Ok(());
        }
        // One of several that come first.
        let _lock = self.lock(true)?;
        if self.is_of(about)? { Ok(()) } else { record::write(&self.about(), about) }
    }

    /// Whether it says whose it is.
    fn is_of(&self, about: &About) -> Result<bool, VolumeError> {
        match record::read::<About>(&self.about()) {
            Ok(Some(found)) if found == *about => Ok(true),
            Ok(Some(_)) => Err(VolumeError::Damaged(self.about())),
            Ok(None) | Err(VolumeError::Damaged(_)) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Locks the list of layers.
    pub(super) fn lock(&self, exclusive: bool) -> Result<Held, VolumeError> {
        let began = Instant::now();
        loop {
            if let Some(held) = self.try_lock(exclusive)? {
                return Ok(held);
            }
            if began.elapsed() > LOCK_PATIENCE {
                return Err(VolumeError::Busy(LOCK_PATIENCE.as_secs()));
            }
            std::thread::sleep(LOCK_PAUSE);
        }
    }

    /// As [`Place::lock`], if that can be had now.
    pub(super) fn try_lock(&self, exclusive: bool) -> Result<Option<Held>, VolumeError> {
        try_lock_file(&self.dir.join("lock"), exclusive)
    }
}

/// Locks a file, which is made if it is not there. None where others have it, or where it was removed meanwhile.
pub(super) fn try_lock_file(path: &Path, exclusive: bool) -> Result<Option<Held>, VolumeError> {
    let mut options = File::options();
    let file = options.write(true).create(true).truncate(false).open(path);
    let file = file.map_err(VolumeError::io("open", path))?;
    let taken = try_flock(&file, exclusive).map_err(VolumeError::io("lock", path))?;
    Ok((taken && is_still_at(&file, path)).then_some(Held { _file: file }))
}

/// Locks a directory for as long as this lives; none where that would have to wait.
pub(super) fn try_hold(path: &Path, exclusive: bool) -> io::Result<Option<Held>> {
    let file = File::open(path)?;
    Ok(try_flock(&file, exclusive)?.then_some(Held { _file: file }))
}

fn try_flock(file: &File, exclusive: bool) -> io::Result<bool> {
    let operation = match exclusive {
        true => FlockOperation::NonBlockingLockExclusive,
        false => FlockOperation::NonBlockingLockShared,
    };
    loop {
        match flock(file, operation) {
            Ok(()) => return Ok(true),
            Err(Errno::WOULDBLOCK) => return Ok(false),
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

fn is_still_at(file: &File, path: &Path) -> bool {
    let here = fs::symlink_metadata(path).map(|found| (found.dev(), found.ino())).ok();
    here.is_some() && here == file.metadata().map(|held| (held.dev(), held.ino())).ok()
}
