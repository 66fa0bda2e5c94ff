//! What a writer does so that nothing that it relies on is removed.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use cullet_digest::Digest;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use quick_cache::sync::Cache;

use super::clock::{BootTime, Clock};
use super::state::{self, Doomed, Phase, State, rescue_name};
use crate::objects::{NameId, ObjectName};
use crate::{Objects, RecordName, StoreError};

/// How long what is known of the collection is good for.
pub(super) const VIEW: Duration = Duration::from_secs(60);

/// How long what was found or stored is good for: then it is looked for again before a record points to it. With [`VIEW`] and
/// what a request takes, this must be less than the shortest time between an announcement and the removal.
pub(super) const RELIED: Duration = Duration::from_secs(20 * 60);

/// How long a writer waits for the removal of what it wants to write.
const PATIENCE: Duration = Duration::from_secs(60);

/// How long it waits before it looks again.
const PAUSE: Duration = Duration::from_secs(1);

/// How often it is looked at a state whose list is gone, before that is an error.
const LOOKS: usize = 3;

/// Names of which is remembered that they were found or stored: about 10 MiB.
const REMEMBERED: usize = 200_000;

/// Names that are rescued in one epoch and not rescued again.
const MOST_RESCUED: usize = 100_000;

/// Names that are looked for at the same time.
const CHECKS: usize = 32;

/// Storage as a writer sees it; see [`crate::collect`]. Readers need none of this.
#[derive(Debug)]
pub struct Rescuing {
    inner: Arc<dyn Objects>,
    clock: Arc<dyn Clock>,
    view: Mutex<Option<View>>,
    /// One at a time looks how far the collection is.
    looking: tokio::sync::Mutex<()>,
    rescued: Mutex<(u64, HashSet<NameId>)>,
    /// When names were found or stored last.
    relied: Cache<NameId, Duration>,
}

/// The state of the collection as it was after this time.
#[derive(Debug, Clone)]
struct View {
    since: Duration,
    state: State,
    doomed: Arc<Doomed>,
}

/// What became of a name while a writer asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stands {
    /// As it was.
    Still,
    /// It may have been removed.
    Perhaps,
}

impl Rescuing {
    /// `objects`, of which some may be collected.
    pub fn new(objects: Arc<dyn Objects>) -> Self {
        Self::with_clock(objects, Arc::new(BootTime))
    }

    pub(super) fn with_clock(inner: Arc<dyn Objects>, clock: Arc<dyn Clock>) -> Self {
        let (view, looking, rescued) = Default::default();
        Self { inner, clock, view, looking, rescued, relied: Cache::new(REMEMBERED) }
    }

    /// Sees to it that this is not removed: it is needed, or about to be written.
    async fn keep(&self, name: &ObjectName) -> Result<Stands, StoreError> {
        let (id, until) = (name.id(), tokio::time::Instant::now() + PATIENCE);
        let mut stands = Stands::Still;
        let mut view = self.view(VIEW).await?;
        loop {
            let State { epoch, phase } = view.state;
            if !view.doomed.has(&id) {
                return Ok(stands);
            }
            match phase {
                Phase::Idle => return Ok(stands),
                Phase::Announced if self.is_rescued(epoch, &id) => return Ok(stands),
                Phase::Announced => {
                    self.inner.put_record(&rescue_name(epoch, name), Bytes::from_static(b"1"), &[]).await?;
                    // The collector says that it deletes before it looks for markers: if it has not said so by now, it will
                    // find this one.
                    view = self.view(Duration::ZERO).await?;
                    if view.state == (State { epoch, phase }) {
                        self.remember_rescued(epoch, id);
                        return Ok(stands);
                    }
                    stands = Stands::Perhaps;
                }
                Phase::Deleting { .. } => {
                    stands = Stands::Perhaps;
                    if tokio::time::Instant::now() >= until {
                        return Err(self.busy());
                    }
                    tokio::time::sleep(PAUSE).await;
                    view = self.view(PAUSE).await?;
                }
            }
        }
    }

    fn busy(&self) -> StoreError {
        let why = "what is to be stored is being removed by its garbage collection; it is stored later, and where that was \
                   stopped `cullet cache gc --shared-cache` goes on with it";
        StoreError::remote("store in", self.inner.place(), why)
    }

    /// How far the collection is, or was so long ago at most.
    async fn view(&self, age: Duration) -> Result<View, StoreError> {
        let wanted = self.clock.now();
        let known = |view: &View| view.since >= wanted || wanted.saturating_sub(view.since) < age;
        let fresh = || lock(&self.view).clone().filter(known);
        if let Some(view) = fresh() {
            return Ok(view);
        }
        let _turn = self.looking.lock().await;
        if let Some(view) = fresh() {
            return Ok(view);
        }
        for _ in 0..LOOKS {
            let since = self.clock.now();
            let state = state::read(&*self.inner).await?;
            if let Some(doomed) = self.doomed(state).await? {
                let view = View { since, state, doomed };
                *lock(&self.view) = Some(view.clone());
                return Ok(view);
            }
        }
        let why = "its garbage collection has no list of what it removes";
        Err(StoreError::remote("store in", self.inner.place(), why))
    }

    /// What is on the list; none where the list is gone, as it is when the round is over.
    async fn doomed(&self, state: State) -> Result<Option<Arc<Doomed>>, StoreError> {
        if state.phase == Phase::Idle {
            return Ok(Some(Arc::default()));
        }
        let last = lock(&self.view).clone();
        // The list of an epoch never changes; but nobody reads it while that is idle.
        if let Some(last) =
            last.filter(|last| last.state.epoch == state.epoch && last.state.phase != Phase::Idle)
        {
            return Ok(Some(last.doomed));
        }
        Ok(state::read_list(&*self.inner, state.epoch).await?.map(Arc::new))
    }

    fn is_rescued(&self, epoch: u64, id: &NameId) -> bool {
        let rescued = lock(&self.rescued);
        rescued.0 == epoch && rescued.1.contains(id)
    }

    fn remember_rescued(&self, epoch: u64, id: NameId) {
        let mut rescued = lock(&self.rescued);
        if rescued.0 != epoch {
            *rescued = (epoch, HashSet::new());
        }
        if rescued.1.len() < MOST_RESCUED {
            rescued.1.insert(id);
        }
    }

    /// Whether something is there and stays, if it is.
    async fn found(&self, name: &ObjectName) -> Result<bool, StoreError> {
        loop {
            let since = self.clock.now();
            let before = self.view(VIEW).await?.state;
            if !self.is_there(name).await? {
                return Ok(false);
            }
            let stands = self.keep(name).await?;
            // The answer may have taken as long as the removal: then nothing is being removed any more, and it is gone.
            let after = self.view(VIEW).await?.state;
            if stands == Stands::Still && !after.may_have_removed_since(before) {
                self.relied.insert(name.id(), since);
                return Ok(true);
            }
        }
    }

    async fn is_there(&self, name: &ObjectName) -> Result<bool, StoreError> {
        match name {
            ObjectName::Record(name) => self.inner.has_record(name).await,
            ObjectName::Data(digest) => self.inner.has_data(digest).await,
        }
    }

    fn was_just_there(&self, name: &ObjectName) -> bool {
        let since = self.relied.get(&name.id());
        since.is_some_and(|since| self.clock.now().saturating_sub(since) < RELIED)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Every change is whole by itself.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl Objects for Rescuing {
    fn place(&self) -> &str {
        self.inner.place()
    }

    async fn record(&self, name: &RecordName) -> Result<Option<Bytes>, StoreError> {
        self.inner.record(name).await
    }

    async fn has_record(&self, name: &RecordName) -> Result<bool, StoreError> {
        self.found(&ObjectName::Record(*name)).await
    }

    async fn put_record(&self, name: &RecordName, bytes: Bytes, needs: &[Digest]) -> Result<(), StoreError> {
        let of = ObjectName::Record(*name);
        let since = self.clock.now();
        self.keep(&of).await?;
        self.inner.put_record(name, bytes, needs).await?;
        self.relied.insert(of.id(), since);
        Ok(())
    }

    async fn remove_record(&self, name: &RecordName) -> Result<(), StoreError> {
        self.relied.remove(&ObjectName::Record(*name).id());
        self.inner.remove_record(name).await
    }

    async fn data(&self, digest: &Digest) -> Result<Bytes, StoreError> {
        self.inner.data(digest).await
    }

    async fn has_data(&self, digest: &Digest) -> Result<bool, StoreError> {
        self.found(&ObjectName::Data(*digest)).await
    }

    async fn put_data(&self, digest: &Digest, bytes: Bytes) -> Result<(), StoreError> {
        let of = ObjectName::Data(*digest);
        let since = self.clock.now();
        self.keep(&of).await?;
        self.inner.put_data(digest, bytes).await?;
        self.relied.insert(of.id(), since);
        Ok(())
    }

    async fn remove_data(&self, digest: &Digest) -> Result<(), StoreError> {
        self.relied.remove(&ObjectName::Data(*digest).id());
        self.inner.remove_data(digest).await
    }

    async fn gone(&self, names: &[ObjectName]) -> Result<Vec<ObjectName>, StoreError> {
        let old: Vec<ObjectName> = names.iter().copied().filter(|name| !self.was_just_there(name)).collect();
        let checks =
            old.into_iter().map(|name| async move { Ok((!self.found(&name).await?).then_some(name)) });
        let checks = stream::iter(checks).buffer_unordered(CHECKS);
        checks.try_filter_map(|gone| async move { Ok(gone) }).try_collect().await
    }
}
