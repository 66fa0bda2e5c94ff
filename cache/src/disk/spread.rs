//! Asking the filesystem to keep things apart.

use std::os::fd::AsFd;

/// Asks for directories made in `dir` to be placed far from it and from each other, and with each what is made
/// below it.
///
/// For directories in which files come and go by the thousand. ext4 without a journal does not give out an inode
/// again within minutes of its removal, and searches past all of these, in the block group of the directory, for
/// each new one: a millisecond in the company of some thousand. The price is a look at every block group for each
/// directory in `dir` itself, so it should get few. Only ext4 and its ancestors know this hint (`chattr +T`); it
/// is dropped where it is refused.
pub fn spread(dir: impl AsFd) {
    #[cfg(target_os = "linux")]
    {
        use rustix::fs::{IFlags, ioctl_getflags, ioctl_setflags};
        let dir = dir.as_fd();
        let _ = ioctl_getflags(dir).and_then(|flags| ioctl_setflags(dir, flags | IFlags::TOPDIR));
    }
    #[cfg(not(target_os = "linux"))]
    let _ = dir;
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;
    use rustix::fs::{IFlags, ioctl_getflags};
    use std::fs::{self, File};

    #[test]
    fn only_the_hint_is_added_and_nothing_inherits_it() {
        let dir = tempfile::tempdir().unwrap();
        let open = || File::open(dir.path()).unwrap();
        let before = ioctl_getflags(open());
        spread(open());
        spread(open());
        let below = dir.path().join("below");
        fs::create_dir(&below).unwrap();
        // Most filesystems refuse it, and some have no such flags.
        let Ok(before) = before else { return };
        assert_eq!(ioctl_getflags(open()).unwrap() - IFlags::TOPDIR, before);
        assert!(!ioctl_getflags(File::open(below).unwrap()).unwrap().contains(IFlags::TOPDIR));
    }
}
