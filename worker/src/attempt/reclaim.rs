//! What steps in images give to users that an ordinary user only has in a namespace of its own (sub-ids): before it is
//! collected, kept or removed, it is taken back.

use std::fmt;
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, Dir, FileType, Gid, Mode, OFlags, Uid, chownat, openat, statat};

/// Whoever can give files of sub-ids back.
pub trait Reclaim: fmt::Debug + Send + Sync {
    /// Gives a directory and all that is below it to whoever runs this. Blocks.
    ///
    /// # Errors
    /// The first thing that goes wrong.
    fn take_over(&self, dir: &Path) -> io::Result<()>;
}

/// Takes back what lies in these directories, if anything there belongs to somebody else. Blocks.
pub(super) fn reclaim(who: Option<&dyn Reclaim>, dirs: &[PathBuf]) -> io::Result<()> {
    let Some(who) = who else { return Ok(()) };
    for dir in dirs {
        if is_foreign(dir) {
            who.take_over(dir)?;
        }
    }
    Ok(())
}

/// Removes something, after taking it back where that is what keeps it.
pub(super) fn removed(
    who: Option<&dyn Reclaim>,
    path: &Path,
    remove: impl Fn() -> io::Result<()>,
) -> io::Result<()> {
    match (remove(), who) {
        (Err(error), Some(who)) if error.kind() == io::ErrorKind::PermissionDenied => {
            who.take_over(path)?;
            remove()
        }
        (removed, _) => removed,
    }
}

/// Whether anything there may belong to another user or group than this process has. What cannot be looked at may.
fn is_foreign(dir: &Path) -> bool {
    let own = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
    let mut found = false;
    let walked = walk(dir, &mut |_, _, stat_uid, stat_gid| {
        found |= (stat_uid, stat_gid) != own;
        Ok(!found)
    });
    found || walked.is_err()
}

/// Gives a directory and all that is below it to the user and group of this process, which has to be allowed to do that.
/// Follows no link. Blocks.
///
/// # Errors
/// The first thing that goes wrong.
pub fn give_to_this_user(dir: &Path) -> io::Result<()> {
    let (uid, gid) = (rustix::process::geteuid(), rustix::process::getegid());
    let own = |at: &OwnedFd, name: &[u8]| -> io::Result<()> {
        let ids = (Some(Uid::from_raw(uid.as_raw())), Some(Gid::from_raw(gid.as_raw())));
        Ok(chownat(at, name, ids.0, ids.1, AtFlags::SYMLINK_NOFOLLOW)?)
    };
    let (Some(parent), Some(name)) = (dir.parent(), dir.file_name()) else {
        return Err(io::ErrorKind::InvalidInput.into());
    };
    own(&File::open(parent)?.into(), name.as_encoded_bytes())?;
    walk(dir, &mut |at, name, stat_uid, stat_gid| {
        if (stat_uid, stat_gid) != (uid.as_raw(), gid.as_raw()) {
            own(at, name)?;
        }
        Ok(true)
    })
}

type Visit<'a> = dyn FnMut(&OwnedFd, &[u8], u32, u32) -> io::Result<bool> + 'a;

const DIRECTORY: OFlags =
    OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// Every entry below `dir` with its owner, a directory before what is in it, until `visit` says that it is enough. Of a deep
/// tree, one directory is open for each level: no deeper than a process can have files open.
fn walk(dir: &Path, visit: &mut Visit<'_>) -> io::Result<()> {
    let root: OwnedFd = openat(rustix::fs::CWD, dir, DIRECTORY, Mode::empty())?;
    let mut open = vec![(Dir::read_from(&root)?, root)];
    while let Some((entries, here)) = open.last_mut() {
        let Some(entry) = entries.read().transpose()? else {
            open.pop();
            continue;
        };
        let name = entry.file_name().to_bytes();
        if name == b"." || name == b".." {
            continue;
        }
        let stat = statat(&*here, name, AtFlags::SYMLINK_NOFOLLOW)?;
        if !visit(here, name, stat.st_uid, stat.st_gid)? {
            return Ok(());
        }
        if FileType::from_raw_mode(stat.st_mode) == FileType::Directory {
            let below = openat(&*here, name, DIRECTORY, Mode::empty())?;
            open.push((Dir::read_from(&below)?, below));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{MetadataExt as _, lchown, symlink};
    use std::sync::Mutex;

    use super::*;

    #[derive(Debug, Default)]
    struct Asked(Mutex<Vec<PathBuf>>);

    impl Reclaim for Asked {
        fn take_over(&self, dir: &Path) -> io::Result<()> {
            self.0.lock().unwrap().push(dir.to_owned());
            give_to_this_user(dir)
        }
    }

    #[test]
    fn what_is_foreign_is_taken_back_and_links_are_not_followed() {
        let dir = tempfile::tempdir().unwrap();
        let [own, foreign, outside] = ["own", "foreign", "outside"].map(|name| dir.path().join(name));
        for tree in [&own, &foreign, &outside] {
            fs::create_dir_all(tree.join("a/b")).unwrap();
            fs::write(tree.join("a/b/file"), "x").unwrap();
        }
        symlink(&outside, foreign.join("link")).unwrap();
        let who = Asked::default();
        reclaim(Some(&who), &[own.clone(), foreign.clone()]).unwrap();
        assert!(who.0.lock().unwrap().is_empty(), "nothing is foreign");
        if !rustix::process::geteuid().is_root() {
            return;
        }
        for path in ["a/b/file", "a/b", "link"] {
            lchown(foreign.join(path), Some(12_345), Some(12_346)).unwrap();
        }
        lchown(outside.join("a"), Some(12_345), None).unwrap();
        reclaim(Some(&who), &[own, foreign.clone()]).unwrap();
        assert_eq!(who.0.lock().unwrap().as_slice(), std::slice::from_ref(&foreign));
        for path in ["a/b/file", "a/b", "link"] {
            let stat = fs::symlink_metadata(foreign.join(path)).unwrap();
            assert_eq!((stat.uid(), stat.gid()), (0, 0), "{path}");
        }
        assert_eq!(fs::metadata(outside.join("a")).unwrap().uid(), 12_345);
    }
}
