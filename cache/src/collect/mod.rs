//! Garbage collection of a store that machines share, beside those who read and write it.
//!
//! **What lives.** Results, and records of what runs found, live as long as they are in use: for [`Policy::keep`] after they
//! were written, or found by a run or a cluster that writes such things down. If there is a bound of bytes, those used least
//! recently go before that. Everything that a result or a run points to lives as long as that is there. Trees and blobs that no
//! result ever had live for [`Policy::keep`] after they were stored: what clusters know of their runs. Those that an earlier record of
//! the same name had, as the one in its place [says](released()), go with the next announcement.
//!
//! **Nobody is asked, and no clocks are compared but the store's with itself.** A round looks through the store and writes
//! down what is not needed ([`state::Doomed`]): results that are over, and what nothing points to any more. At least a
//! grace later ([`Policy::grace`]) the next round looks through all of it again, and removes what was announced and is still
//! not needed. What a removed result alone had pointed to was needed until then, so it is announced after that, and goes
//! another grace later.
//!
//! - A **reader** needs nothing: what a result points to is there for at least a grace after the result was last there.
//! - A **writer** ([`Rescuing`]) that finds something there which it wants to point to, or writes something, looks once a
//!   minute whether that is announced. If so, it writes a marker and looks again. While it is still only announced, the
//!   collector will see the marker: it says that it begins to delete before it looks for markers. If it is deleting, the
//!   writer waits until that is over, and stores anew.
//! - What a writer found or stored is good for 20 minutes; after that it is looked for again before a record points to it.
//!   With the minute and what requests take, that is less than the shortest grace, so whatever was found before an announcement
//!   is seen by the second look, as what a record points to.
//! - The **second look** begins at all results, at all records that were not announced, and at those with markers: so a record
//!   that is there never lacks what it points to, whether a result needs it or not yet. Records go before that.
//!
//! **One at a time** collects: see [`lock`]. One that dies in the middle leaves a state from which another goes on.
//!
//! What cannot be read, or was written by a version that this one does not know, ends the round before it removes anything.

mod clock;
mod lock;
mod mark;
mod noting;
mod released;
mod rescue;
mod round;
mod state;
mod tombstones;
mod used;

#[cfg(test)]
pub(crate) mod tests;

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use self::clock::{BootTime, Clock};
use self::lock::Lock;
use self::round::Round;
use crate::StoreError;
use crate::object::{Location, ObjectOptions, ObjectRecords, Place};
use crate::objects::Collectable;

pub(crate) use self::noting::Noting;
pub use self::noting::UsedResults;
pub use self::released::{release, released};
pub use self::rescue::Rescuing;
pub(crate) use self::tombstones::evicted;

/// The shortest time between an announcement and the removal: what writers rely on is good for a third of it.
pub const LEAST_GRACE: Duration = Duration::from_secs(60 * 60);

/// What is to be kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    /// How long results are kept after they were used last.
    pub keep: Duration,
    /// The most bytes of what is kept, if there is a bound: of records as they are stored and of data. Beyond it the results go
    /// that were used least recently, a few hundred at a time; what is announced is on its way and not counted.
    pub max_bytes: Option<u64>,
    /// The time between announcement and removal, at least [`LEAST_GRACE`].
    pub grace: Duration,
}

impl Default for Policy {
    fn default() -> Self {
        let day = Duration::from_secs(24 * 60 * 60);
        Self { keep: 30 * day, max_bytes: None, grace: day }
    }
}

/// What came of a round.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Report {
    /// Objects that were removed, results among them.
    pub removed: usize,
    /// Their bytes.
    pub removed_bytes: u64,
    /// Results that were removed.
    pub results: usize,
    /// Objects that are announced now, to be removed after the grace.
    pub announced: usize,
    /// How long it is until what was announced may be removed, where that is why nothing was done.
    pub waits: Option<Duration>,
    /// The bytes of what is kept; 0 where they were not counted.
    pub kept_bytes: u64,
    /// Records that are damaged: they point to nothing.
    pub damaged: usize,
    /// Objects that are none of ours.
    pub strange: usize,
}

/// The store at a location, for [`collect`].
///
/// # Errors
/// Where garbage is not collected there, and as for [`crate::SharedCache::open`].
pub fn open(location: &str, options: &ObjectOptions) -> Result<Arc<dyn Collectable>, StoreError> {
    let refuse =
        |reason: &str| StoreError::Location { location: location.to_owned(), reason: reason.to_owned() };
    match location.parse()? {
        Location::Directory(_) => Err(refuse(
            "garbage is collected in buckets; in a directory, remove files that nobody has used for long",
        )),
        Location::Registry(_) => Err(refuse(
            "garbage is collected in buckets; a registry has retention rules and a collector of its own",
        )),
        bucket => Ok(Arc::new(ObjectRecords::new(&Place::open(&bucket, options)?))),
    }
}

/// Collects the garbage of a store: removes what was announced long enough ago, and announces what is not needed.
///
/// # Errors
/// Where another one collects, where the store cannot tell that, and where anything cannot be read or removed. Whoever comes
/// next goes on.
pub async fn collect(store: Arc<dyn Collectable>, policy: &Policy) -> Result<Report, StoreError> {
    let policy = Policy { grace: policy.grace.max(LEAST_GRACE), ..*policy };
    collect_by(store, &policy, Arc::new(BootTime)).await
}

async fn collect_by(
    store: Arc<dyn Collectable>,
    policy: &Policy,
    clock: Arc<dyn Clock>,
) -> Result<Report, StoreError> {
    let lock = Lock::take(Arc::clone(&store), clock).await?;
    let round = Round { store: &*store, lock: &lock, policy, report: Report::default() };
    let outcome = tokio::select! {
        outcome = round.go() => outcome,
        error = lock.stay() => Err(error),
    };
    lock.release(outcome.is_err()).await;
    outcome
}

fn seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
