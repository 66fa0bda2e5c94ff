//! Mistakes that the simulation has to find in coordinators. Without the feature `planted-bugs` none is ever made, and asking
//! for one costs nothing.

#[cfg(feature = "planted-bugs")]
use std::sync::atomic::{AtomicU8, Ordering};

/// A mistake.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Bug {
    /// Reports of attempts that are not valid any more are passed on to the core.
    IgnoreEpoch,
    /// Reads do not ask whether this coordinator still leads.
    SkipBarrier,
    /// A restarted leader goes on in its term.
    RestoreLeader,
    /// Dead connections are not noticed.
    NoKeepalive,
    /// Followers leave out an entry now and then.
    SkipEntry,
    /// A snapshot that another coordinator sent is taken for installed.
    StaleSnapshot,
    /// What may have been done is said not to have been.
    DenyUnknown,
    /// Submissions are answered before they are committed.
    AckEarly,
    /// A new leader does not ask what nobody has answered.
    ForgetOutstanding,
    /// A leader that nobody answers goes on leading.
    LeadNobody,
    /// A leader begins while what it proposed before is still on its way.
    LeadEarly,
    /// Reports of workers are acknowledged and not recorded.
    DropReport,
    /// A new leader takes workers for lost that have not come yet.
    LoseWorkers,
    /// Cancellations are answered and not proposed.
    DropCancel,
    /// A coordinator that was replaced keeps its vote.
    KeepReplaced,
    /// A leader that was taken out goes on changing members.
    ChangeWhenOut,
    /// A request that comes again is another run.
    ForgetRequests,
}

/// One more than the number of the mistake that is made; 0 for none.
#[cfg(feature = "planted-bugs")]
static PLANTED: AtomicU8 = AtomicU8::new(0);

/// From here on this mistake is made, everywhere in this process.
#[cfg(feature = "planted-bugs")]
pub fn plant(bug: Bug) {
    PLANTED.store(bug as u8 + 1, Ordering::Relaxed);
}

/// Whether this mistake is to be made.
#[cfg(feature = "planted-bugs")]
pub(crate) fn is(bug: Bug) -> bool {
    PLANTED.load(Ordering::Relaxed) == bug as u8 + 1
}

/// Whether this mistake is to be made: never.
#[cfg(not(feature = "planted-bugs"))]
pub(crate) const fn is(_: Bug) -> bool {
    false
}
