//! One collector at a time, on storage that knows no locks but conditional writes.
//!
//! Locks are records with numbers, created where there was none: the highest number holds. Its holder shows each minute that
//! it is there. Where it has not for [`SILENCE`], by the clock of the store, another one creates the next number; and before
//! each change a holder looks whether there is a higher number than its own.
//!
//! A holder that was stopped between that look and its request, and goes on when another has taken over, could still do harm.
//! But a request that changes something is not even begun [`LOOK`] after the look, and it is signed when it is begun: a
//! bucket refuses it 15 minutes later, which is before anybody takes over.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use cullet_digest::{Digest, DigestFunction};
use futures_util::TryStreamExt as _;

use super::clock::Clock;
use super::state::record_of;
use crate::objects::{Collectable, Created, Kind, ObjectName, Seen};
use crate::{Area, RecordName, StoreError};

/// How long a holder is silent before another takes over.
pub(super) const SILENCE: Duration = Duration::from_secs(20 * 60);

/// How often a holder shows that it is there.
const ALIVE: Duration = Duration::from_secs(60);

/// How long what was seen of higher numbers is good for.
const LOOK: Duration = Duration::from_secs(10);

/// How old it may be when it is looked again before a change.
const LOOK_AGAIN: Duration = Duration::from_secs(5);

/// What a holder says that is done.
const RELEASED: &[u8] = b"released";

/// The right to collect.
#[derive(Debug)]
pub(super) struct Lock {
    store: Arc<dyn Collectable>,
    clock: Arc<dyn Clock>,
    number: u64,
    looked: Mutex<Duration>,
    /// Whether a change was begun.
    changes: AtomicBool,
}

/// Names that are removed between two looks: what takes a bucket that deletes one by one a few seconds.
const BATCH: usize = 500;

fn lock_name(number: u64) -> RecordName {
    let mut hash = [0; 32];
    hash[..8].copy_from_slice(&number.to_be_bytes());
    // The shortest name that a digest can have that is none of bytes.
    RecordName::new(Area::Lock, Digest::from_parts(DigestFunction::Blake3, hash, 1))
}

fn number_of(name: &RecordName) -> Option<u64> {
    let mut number = [0; 8];
    number.copy_from_slice(&name.about.hash()[..8]);
    let number = u64::from_be_bytes(number);
    (lock_name(number) == *name).then_some(number)
}

fn alive_name(number: u64) -> RecordName {
    record_of(Area::Lock, &format!("alive {number}"))
}

/// What time it is for the store.
pub(super) async fn store_now(store: &dyn Collectable) -> Result<SystemTime, StoreError> {
    let name = record_of(Area::Gc, "clock");
    store.put_record(&name, Bytes::from_static(b"1"), &[]).await?;
    let now = store.modified(&name).await?;
    now.ok_or_else(|| StoreError::remote("look into", store.place(), "what was just written is not there"))
}

/// All numbers that there are.
async fn numbers(store: &dyn Collectable) -> Result<Vec<u64>, StoreError> {
    let seen = store.list(Kind::Records(Area::Lock)).try_filter_map(|seen| async move {
        let Seen::Ours(listed) = seen else { return Ok(None) };
        let ObjectName::Record(name) = listed.name else { return Ok(None) };
        Ok(number_of(&name))
    });
    seen.try_collect().await
}

impl Lock {
    /// Takes the lock.
    ///
    /// # Errors
    /// Where another one has it, and where the store cannot tell.
    pub(super) async fn take(store: Arc<dyn Collectable>, clock: Arc<dyn Clock>) -> Result<Self, StoreError> {
        let looked = clock.now();
        let all = numbers(&*store).await?;
        let held = all.iter().copied().max().unwrap_or(0);
        if held > 0 && !is_free(&*store, held).await? {
            return Err(refuse(
                &*store,
                "another one collects there at present; if it was killed, its place is free 20 minutes later",
            ));
        }
        let number = held + 1;
        let token = format!("{:032x}", fastrand::u128(..));
        match store.create(&lock_name(number), token.into()).await? {
            Created::Made => {}
            Created::Exists => return Err(refuse(&*store, "another one just began to collect there")),
            Created::Unsupported => {
                let why = "it has no conditional writes (If-None-Match), which keep two collectors apart; let rules of \
                           the bucket remove what is old";
                return Err(refuse(&*store, why));
            }
        }
        let lock = Self { store, clock, number, looked: Mutex::new(looked), changes: AtomicBool::default() };
        // What it was before this lock says nothing of it.
        lock.look_now().await?;
        lock.forget(&all).await;
        Ok(lock)
    }

    /// Removes locks that are over.
    async fn forget(&self, numbers: &[u64]) {
        let old = numbers.iter().filter(|number| **number < self.number);
        let names: Vec<ObjectName> = old
            .flat_map(|number| [lock_name(*number), alive_name(*number)])
            .map(ObjectName::Record)
            .collect();
        if let Err(error) = self.store.remove_guarded(&names, &|| self.check()).await {
            tracing::debug!(%error, "old locks stay");
        }
    }

    /// Looks whether this is still the highest number, unless that was just done.
    async fn look(&self) -> Result<(), StoreError> {
        let since = self.clock.now();
        if since.saturating_sub(self.looked()) < LOOK_AGAIN {
            return Ok(());
        }
        self.look_now().await
    }

    async fn look_now(&self) -> Result<(), StoreError> {
        let since = self.clock.now();
        if numbers(&*self.store).await?.into_iter().max() != Some(self.number) {
            return Err(refuse(&*self.store, "another one has taken over"));
        }
        *self.looked.lock().unwrap_or_else(PoisonError::into_inner) = since;
        Ok(())
    }

    /// Whether a change may be begun now.
    fn check(&self) -> Result<(), StoreError> {
        if self.clock.now().saturating_sub(self.looked()) < LOOK {
            return Ok(());
        }
        Err(refuse(&*self.store, "it is not known whether another one has taken over"))
    }

    /// Stores a record.
    ///
    /// # Errors
    /// Where it cannot be stored, and where the lock is lost.
    pub(super) async fn put(&self, name: &RecordName, bytes: Bytes) -> Result<(), StoreError> {
        self.look().await?;
        self.changes.store(true, Ordering::Relaxed);
        self.store.put_guarded(name, bytes, &|| self.check()).await
    }

    /// Removes these.
    ///
    /// # Errors
    /// As for [`Lock::put`].
    pub(super) async fn remove(&self, names: &[ObjectName]) -> Result<(), StoreError> {
        for batch in names.chunks(BATCH) {
            self.look().await?;
            self.changes.store(true, Ordering::Relaxed);
            self.store.remove_guarded(batch, &|| self.check()).await?;
        }
        Ok(())
    }

    fn looked(&self) -> Duration {
        *self.looked.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Shows again and again that somebody is there. Ends with the first failure, after which this must not go on for long.
    pub(super) async fn stay(&self) -> StoreError {
        loop {
            let shown =
                self.store.put_record(&alive_name(self.number), Bytes::from_static(b"alive"), &[]).await;
            if let Err(error) = shown {
                return error;
            }
            tokio::time::sleep(ALIVE).await;
        }
    }

    /// Lets the next one begin at once. Not where a change has failed: it may be on its way, and happen later.
    pub(super) async fn release(self, failed: bool) {
        if failed && self.changes.load(Ordering::Relaxed) {
            return;
        }
        let said = self.store.put_record(&alive_name(self.number), Bytes::from_static(RELEASED), &[]).await;
        if let Err(error) = said {
            tracing::debug!(%error, "the lock of the collection is held until its time is over");
        }
    }
}

/// Whether the holder of this number has let go of it, or is gone.
async fn is_free(store: &dyn Collectable, number: u64) -> Result<bool, StoreError> {
    let said = store.record(&alive_name(number)).await?;
    if said.is_some_and(|said| said == RELEASED) {
        return Ok(true);
    }
    let (taken, alive) =
        (store.modified(&lock_name(number)).await?, store.modified(&alive_name(number)).await?);
    let Some(last) = taken.max(alive) else { return Ok(true) };
    let now = store_now(store).await?;
    Ok(now.duration_since(last).is_ok_and(|silent| silent > SILENCE))
}

fn refuse(store: &dyn Collectable, why: &str) -> StoreError {
    StoreError::remote("collect garbage in", store.place(), why)
}
