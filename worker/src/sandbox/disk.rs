//! How much a step has on the disk. Where the filesystem has quotas of projects, the kernel keeps it within its limit
//! (`quota`); elsewhere it is looked at again and again while the step runs.
//!
//! Counted then is what lies in the layers that the step writes, its caches and its services included. It can hide things from an ordinary user, below directories
//! that it makes unreadable, or in files that have no name any more; a single file is bounded by the kernel
//! (`RLIMIT_FSIZE`).

use std::collections::HashSet;
use std::fs::File;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, ResolveFlags, openat2, statat};

use super::quota::Quota;

/// How often at most. Within this time a fast disk takes some hundreds of megabytes.
const INTERVAL: Duration = Duration::from_millis(250);

/// A look at many files takes a while: so much longer is the pause until the next one.
const PAUSE_FACTOR: u32 = 20;

/// The unit of `st_blocks`.
const BLOCK: u64 = 512;

/// What a step writes: the upper layers of its workspace and root, or a plain step's workspace.
const WRITTEN: [&str; 3] = ["upper", "root/upper", "workspace"];

/// Where each service has the like.
const SERVICES: &str = "services";

/// What a step changes of a cache, in the draft of that.
const CHANGED: &str = "upper";

/// The watch over one step.
#[derive(Debug)]
pub(crate) struct DiskWatch {
    /// Of the kernel, which makes looking unnecessary.
    quota: Option<Quota>,
    scratch: PathBuf,
    /// Drafts of its caches.
    drafts: Vec<PathBuf>,
    /// Bytes, with what was there before.
    limit: u64,
    before: u64,
    due: Instant,
}

impl DiskWatch {
    /// `limit` is in bytes; 0 is none. What is in `scratch` by now is not the step's. `is_held` says whether the kernel holds
    /// the step to a quota, as it does everybody but root; the drafts of its caches lie elsewhere, and are looked at. So is what
    /// services have: they run already, and could not rename the links that they have into what belongs to a project.
    pub(crate) fn new(scratch: &Path, drafts: Vec<PathBuf>, limit: u64, is_held: bool) -> Option<Self> {
        (limit > 0).then(|| {
            let before = taken(scratch, &drafts, u64::MAX);
            let is_held = is_held && drafts.is_empty() && !scratch.join(SERVICES).exists();
            let quota = is_held.then(|| Quota::set(scratch, limit)).flatten();
            let limit = limit.saturating_add(before);
            Self { quota, scratch: scratch.to_owned(), drafts, limit, before, due: Instant::now() + INTERVAL }
        })
    }

    /// How long there is nothing to do.
    pub(crate) fn patience(&self, now: Instant) -> Duration {
        if self.quota.is_some() { Duration::MAX } else { self.due.saturating_duration_since(now) }
    }

    /// At the step's end, which is the end of its quota as well: the bytes that it takes, where they are too many, or where
    /// they are all that it may have and it has failed.
    pub(crate) fn end(self, failed: bool) -> Option<u64> {
        match &self.quota {
            Some(quota) if failed => quota.used_up(),
            Some(_) => None,
            None => self.exceeded(),
        }
    }

    /// Looks, if it is time to. The bytes that it takes, where they are too many.
    pub(crate) fn look(&mut self, now: Instant) -> Option<u64> {
        if now < self.due || self.quota.is_some() {
            return None;
        }
        let found = self.exceeded();
        self.due = Instant::now() + INTERVAL.max(now.elapsed() * PAUSE_FACTOR);
        found
    }

    /// The bytes that it takes, where they are too many. Counted on only until that is certain.
    fn exceeded(&self) -> Option<u64> {
        let found = taken(&self.scratch, &self.drafts, self.limit);
        (found > self.limit).then(|| found - self.before)
    }
}

/// Bytes on the disk below these directories; not much more than `enough`.
fn taken(scratch: &Path, drafts: &[PathBuf], enough: u64) -> u64 {
    let mut count = Count { enough, ..Count::default() };
    let services = std::fs::read_dir(scratch.join(SERVICES)).into_iter().flatten();
    let owners = services.flatten().map(|service| service.path()).chain([scratch.to_owned()]);
    let written = owners.flat_map(|owner| WRITTEN.map(|name| owner.join(name)));
    for place in written.chain(drafts.iter().map(|draft| draft.join(CHANGED))) {
        if let Ok(root) = File::open(place) {
            count.below(&root);
        }
    }
    count.bytes
}

#[derive(Default)]
struct Count {
    bytes: u64,
    enough: u64,
    /// Files with several names.
    linked: HashSet<(u64, u64)>,
}

impl Count {
    /// The step may change everything meanwhile: no link is followed, and what is gone is gone.
    fn below(&mut self, root: &File) {
        let within = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_XDEV;
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mut pending = vec![PathBuf::from(".")];
        while let Some(path) = pending.pop() {
            let opened = openat2(root, &path, flags, Mode::empty(), within);
            let Ok(dir) = opened.and_then(Dir::new) else { continue };
            self.entries(dir, &path, &mut pending);
            if self.bytes > self.enough {
                return;
            }
        }
    }

    fn entries(&mut self, mut dir: Dir, path: &Path, pending: &mut Vec<PathBuf>) {
        while let Some(Ok(entry)) = dir.read() {
            let name = entry.file_name();
            if name == c"." || name == c".." {
                continue;
            }
            let Ok(found) = dir.fd().and_then(|dir| statat(dir, name, AtFlags::SYMLINK_NOFOLLOW)) else {
                continue;
            };
            let is_dir = FileType::from_raw_mode(found.st_mode) == FileType::Directory;
            if !is_dir && found.st_nlink > 1 && !self.linked.insert((found.st_dev, found.st_ino)) {
                continue;
            }
            self.bytes += u64::try_from(found.st_blocks).unwrap_or(0) * BLOCK;
            if is_dir {
                pending.push(path.join(std::ffi::OsStr::from_bytes(name.to_bytes())));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn what_is_written_is_counted_once_and_links_are_not_followed() {
        let (dir, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let write = |path: &Path| fs::write(path, vec![1; 1 << 20]).unwrap();
        write(&outside.path().join("large"));
        let draft = tempfile::tempdir().unwrap();
        let upper = dir.path().join("upper");
        fs::create_dir_all(upper.join("a/b")).unwrap();
        write(&upper.join("before"));
        let limit = 3 << 20;
        let mut watch = DiskWatch::new(dir.path(), vec![draft.path().to_owned()], limit, false).unwrap();
        assert!(DiskWatch::new(dir.path(), Vec::new(), 0, false).is_none());
        write(&upper.join("a/b/1"));
        write(&upper.join("a/2"));
        for index in 0..10 {
            fs::hard_link(upper.join("a/2"), upper.join(format!("link-{index}"))).unwrap();
        }
        std::os::unix::fs::symlink(outside.path(), upper.join("outside")).unwrap();
        // A hole is not on the disk.
        File::create(upper.join("sparse")).unwrap().set_len(1 << 30).unwrap();
        assert_eq!((watch.exceeded(), watch.look(Instant::now())), (None, None));
        // Of the root, a service and a cache, each of which is needed for too much.
        let service = dir.path().join("services/0/root/upper");
        for more in [dir.path().join("root/upper"), service, draft.path().join("upper")] {
            assert_eq!(watch.exceeded(), None);
            fs::create_dir_all(&more).unwrap();
            fs::write(more.join("3"), vec![1; 400 << 10]).unwrap();
        }
        let found = watch.exceeded().unwrap();
        assert!((limit..limit + (2 << 20)).contains(&found), "{found}");
        assert_eq!(watch.look(Instant::now()), None, "it is not time yet");
        assert!(watch.look(Instant::now() + INTERVAL).is_some());
    }
}
