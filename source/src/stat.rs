//! What tells whether a file is still the one that was hashed.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::fs::{FileType, Stat};

/// The part of a file's status that changes when its content does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct StatKey {
    /// Bytes.
    pub(crate) size: u64,
    /// Nanoseconds since 1970.
    pub(crate) modified_ns: i64,
    /// Nanoseconds since 1970. Programs cannot set it, so it betrays a write whose mtime was put back.
    pub(crate) changed_ns: i64,
    pub(crate) inode: u64,
    /// Of the file, not of its directory: an overlay may show files of several devices in one directory.
    pub(crate) device: u64,
}

impl StatKey {
    /// Equal to the key of no file, so that what is stored with it is looked at again.
    pub(crate) const UNTRUSTED: Self =
        Self { size: u64::MAX, modified_ns: i64::MIN, changed_ns: i64::MIN, inode: 0, device: 0 };

    /// This key if a later change to the file is bound to give another one, else [`Self::UNTRUSTED`].
    ///
    /// `read_at` is the time before the content was read. A file that was written just before could be written
    /// again within the same tick of the file system's clock and look unchanged (git calls such an entry
    /// racy), so it has to have been at rest for longer than a tick.
    pub(crate) fn if_settled(self, read_at: SystemTime) -> Self {
        let read_at = nanoseconds(read_at);
        // A modification time in the future says nothing: the change time then speaks alone.
        let latest =
            if self.modified_ns > read_at { self.changed_ns } else { self.changed_ns.max(self.modified_ns) };
        // The coarsest tick of a Linux kernel is 10 ms; file systems without nanoseconds have up to 2 s.
        let fine = self.changed_ns % 1_000_000_000 != 0;
        let tick = if fine { Duration::from_millis(20) } else { Duration::from_millis(2_100) };
        let settled = latest.saturating_add(tick.as_nanos() as i64) < read_at;
        if settled { self } else { Self::UNTRUSTED }
    }
}

fn nanoseconds(time: SystemTime) -> i64 {
    match time.duration_since(UNIX_EPOCH) {
        Ok(since) => i64::try_from(since.as_nanos()).unwrap_or(i64::MAX),
        Err(_) => i64::MIN,
    }
}

/// What an entry of a directory is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    File,
    Symlink,
    Directory,
    Special(&'static str),
}

impl Kind {
    pub(crate) const fn of(file_type: FileType) -> Self {
        match file_type {
            FileType::RegularFile => Self::File,
            FileType::Symlink => Self::Symlink,
            FileType::Directory => Self::Directory,
            FileType::Fifo => Self::Special("FIFO"),
            FileType::Socket => Self::Special("socket"),
            FileType::CharacterDevice => Self::Special("character device"),
            FileType::BlockDevice => Self::Special("block device"),
            _ => Self::Special("file of unknown kind"),
        }
    }
}

/// What is read of a file's status.
#[derive(Debug, Clone, Copy)]
pub(crate) struct FileStat {
    pub(crate) kind: Kind,
    pub(crate) key: StatKey,
    /// The owner's execute bit: the same for everyone who looks, and what git keeps.
    pub(crate) executable: bool,
}

impl FileStat {
    #[allow(
        clippy::unnecessary_cast,
        clippy::useless_conversion,
        reason = "the types of the fields differ between platforms"
    )]
    pub(crate) fn new(stat: &Stat) -> Self {
        let time =
            |seconds: i64, nanoseconds: i64| seconds.wrapping_mul(1_000_000_000).wrapping_add(nanoseconds);
        Self {
            kind: Kind::of(FileType::from_raw_mode(stat.st_mode)),
            key: StatKey {
                size: stat.st_size as u64,
                modified_ns: time(stat.st_mtime as i64, stat.st_mtime_nsec as i64),
                changed_ns: time(stat.st_ctime as i64, stat.st_ctime_nsec as i64),
                inode: stat.st_ino as u64,
                device: stat.st_dev as u64,
            },
            executable: stat.st_mode & 0o100 != 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: i64 = 1_000_000_000;

    fn key(modified_ns: i64, changed_ns: i64) -> StatKey {
        StatKey { size: 1, modified_ns, changed_ns, inode: 7, device: 1 }
    }

    fn at(ns: i64) -> SystemTime {
        UNIX_EPOCH + Duration::from_nanos(ns as u64)
    }

    #[test]
    fn a_file_at_rest_is_trusted() {
        let old = key(5 * SECOND + 1, 5 * SECOND + 1);
        assert_eq!(old.if_settled(at(6 * SECOND)), old);
    }

    #[test]
    fn a_file_written_within_the_tick_is_not() {
        let fresh = key(5 * SECOND + 1, 5 * SECOND + 1);
        assert_eq!(fresh.if_settled(at(5 * SECOND + 10_000_000)), StatKey::UNTRUSTED);
        let coarse = key(5 * SECOND, 5 * SECOND);
        assert_eq!(coarse.if_settled(at(7 * SECOND)), StatKey::UNTRUSTED);
        assert_eq!(coarse.if_settled(at(8 * SECOND)), coarse);
    }

    #[test]
    fn times_in_the_future() {
        let touched = key(900 * SECOND, 5 * SECOND + 1);
        assert_eq!(touched.if_settled(at(6 * SECOND)), touched, "only the mtime, which anyone can set");
        let clock_went_back = key(5 * SECOND, 900 * SECOND + 1);
        assert_eq!(clock_went_back.if_settled(at(6 * SECOND)), StatKey::UNTRUSTED);
    }
}
