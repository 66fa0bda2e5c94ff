//! Finding an entry, even while the collector holds it in its hand.
//!
//! The collector takes an entry away before it decides about it (see [`super::gc`]). For that instant the entry
//! has no name in its place but one in `gc/trash/`, so who finds nothing looks there before saying so.

use std::os::fd::BorrowedFd;
use std::time::Duration;

use cullet_digest::DigestFunction;
use rustix::fs::{AtFlags, Stat};
use rustix::io::Errno;

use super::attributes;
use super::bases::Area;
use super::name::EntryName;
use super::recency;
use super::store::Disk;
use crate::StoreError;

/// The collector decides in two system calls and a look at the leases.
const PAUSE: Duration = Duration::from_micros(50);

/// Ten milliseconds in all. A collector that needs longer was killed or stopped in that very instant; the entry
/// then counts as absent until the next collector puts it back.
const PAUSES: u32 = 200;

/// A hundred times as long as anybody waits for a decision.
const STILL_S: u64 = 2;

impl Disk {
    /// The entry, if there is one; marks it as used.
    pub(super) fn find(
        &self,
        area: Area,
        function: DigestFunction,
        name: &EntryName,
    ) -> Result<Option<Stat>, StoreError> {
        self.at(area, function, name, |base| {
            let stat = rustix::fs::statat(base, name.path(), AtFlags::SYMLINK_NOFOLLOW)?;
            self.mark(base, name, &stat)?;
            Ok(stat)
        })
    }

    /// Runs an operation on an entry by its name; none where there is no such entry.
    pub(super) fn at<T>(
        &self,
        area: Area,
        function: DigestFunction,
        name: &EntryName,
        operation: impl Fn(BorrowedFd<'_>) -> rustix::io::Result<T>,
    ) -> Result<Option<T>, StoreError> {
        let Some(base) = self.layout.bases().get(area, function) else { return Ok(None) };
        let mut last = false;
        for _ in 0..PAUSES {
            match operation(base) {
                Ok(found) => return Ok(Some(found)),
                Err(Errno::NOENT) if last || self.is_trash_still() => return Ok(None),
                Err(Errno::NOENT) if self.is_in_trash(area, function, name) => std::thread::sleep(PAUSE),
                // Once more: it may have been put back just before the trash was looked at.
                Err(Errno::NOENT) => last = true,
                Err(error) => return Err(self.failed("use", area, function, name, error)),
            }
        }
        Ok(None)
    }

    /// Makes the recency of an entry protect it, if it does not yet.
    ///
    /// By name, not through an open file: success proves that the collector has not taken it away, and it looks
    /// at the atime again after taking one away.
    ///
    /// # Errors
    /// `NOENT` where it has just gone.
    pub(super) fn mark(&self, base: BorrowedFd<'_>, name: &EntryName, stat: &Stat) -> rustix::io::Result<()> {
        let Some(atime) = self.recency.due(stat) else { return Ok(()) };
        let times = attributes::atime_only(atime);
        match rustix::fs::utimensat(base, name.path(), &times, AtFlags::SYMLINK_NOFOLLOW) {
            Err(Errno::NOENT) => Err(Errno::NOENT),
            // A read-only or foreign cache: usable, though nothing keeps the entry from its owner's collector.
            Ok(()) | Err(_) => Ok(()),
        }
    }

    /// Whether nothing was put into or taken out of the trash lately, so that nothing can be waited for. Most
    /// misses are answered by this: it costs a fraction of a second look.
    #[allow(clippy::unnecessary_cast, reason = "the fields of stat differ in type between platforms")]
    fn is_trash_still(&self) -> bool {
        let Some(stat) = self.layout.trash().and_then(|trash| rustix::fs::fstat(trash).ok()) else {
            return true;
        };
        let changed_s = stat.st_mtime as i64;
        // Both sides of the present: a clock that was set back must not make the trash look untouched.
        (recency::wall_clock_ns() / 1_000_000_000).abs_diff(changed_s) > STILL_S
    }

    fn is_in_trash(&self, area: Area, function: DigestFunction, name: &EntryName) -> bool {
        let Some(trash) = self.layout.trash() else { return false };
        rustix::fs::statat(trash, trash_name(area, function, name), AtFlags::SYMLINK_NOFOLLOW).is_ok()
    }
}

/// What an entry is called in the trash.
pub(super) fn trash_name(area: Area, function: DigestFunction, name: &EntryName) -> String {
    format!("{}-{}-{}", area.name(), function.name(), name.file_name())
}
