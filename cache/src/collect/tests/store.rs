//! A store in memory: as slow as a test wants it, and one that is cut off when a test says so.

use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use bytes::Bytes;
use cullet_digest::Digest;
use futures_util::StreamExt as _;
use futures_util::stream::{self, BoxStream};
use tokio::time::Instant;

use crate::collect::clock::Clock;
use crate::disk::record;
use crate::objects::{Collectable, Created, Guard, Kind, Listed, ObjectName, Seen};
use crate::packed::points::{self, Read};
use crate::{Area, Objects, RecordName, StoreError};

/// tokio's clock.
#[derive(Debug)]
pub(crate) struct Ticks;

impl Clock for Ticks {
    fn now(&self) -> Duration {
        static START: std::sync::OnceLock<std::time::Instant> = std::sync::OnceLock::new();
        let start = *START.get_or_init(std::time::Instant::now);
        // A clock that stands still begins when its runtime does.
        Instant::now().into_std().saturating_duration_since(start) + Duration::from_secs(1)
    }
}

/// A day in 2023, for a store whose clock has nothing to do with ours.
const BEGIN_S: u64 = 1_700_000_000;

#[derive(Debug)]
pub(crate) struct Store {
    all: Mutex<HashMap<ObjectName, (Bytes, SystemTime)>>,
    random: Mutex<fastrand::Rng>,
    /// The longest delay before and after a request is done.
    pub(crate) slow: Mutex<Duration>,
    start: Instant,
    /// Requests so far.
    pub(crate) requests: AtomicUsize,
    /// The request with this number is the last one that is done, and nobody hears of it; those after it fail.
    pub(crate) cut_at: AtomicUsize,
    /// Whether conditional writes do anything.
    pub(crate) is_conditional: bool,
    /// What was asked, and when.
    history: Mutex<Vec<(Duration, &'static str, ObjectName)>>,
}

impl Store {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            all: Mutex::default(),
            random: Mutex::new(fastrand::Rng::with_seed(seed)),
            slow: Mutex::default(),
            start: Instant::now(),
            requests: AtomicUsize::default(),
            cut_at: AtomicUsize::new(usize::MAX),
            is_conditional: true,
            history: Mutex::default(),
        }
    }

    /// Everything of a kind.
    pub(crate) fn names(&self, kind: Kind) -> Vec<ObjectName> {
        let is_meant = |name: &&ObjectName| match name {
            ObjectName::Data(_) => kind == Kind::Data,
            ObjectName::Record(name) => kind == Kind::Records(name.area),
        };
        self.all.lock().unwrap().keys().filter(is_meant).copied().collect()
    }

    /// How many results, trees, blobs and data there are.
    pub(crate) fn counts(&self) -> [usize; 4] {
        [Kind::Records(Area::Result), Kind::Records(Area::Tree), Kind::Records(Area::Blob), Kind::Data]
            .map(|kind| self.names(kind).len())
    }

    pub(crate) fn replace(&self, name: ObjectName, bytes: &'static [u8]) {
        self.all.lock().unwrap().insert(name, (Bytes::from_static(bytes), self.now()));
    }

    fn now(&self) -> SystemTime {
        // Whole seconds, as buckets have them.
        UNIX_EPOCH + Duration::from_secs(BEGIN_S + self.start.elapsed().as_secs())
    }

    /// What a record or data lacks of what it points to, one step away.
    fn lacks(&self, name: &ObjectName) -> Vec<String> {
        let all = self.all.lock().unwrap();
        let (ObjectName::Record(of), Some((bytes, _))) = (name, all.get(name)) else { return Vec::new() };
        let record = |area, about| ObjectName::Record(RecordName::new(area, about));
        let needs: Vec<ObjectName> = match of.area {
            Area::Result => {
                let Some(result) = record::decode(&of.about, bytes) else { return Vec::new() };
                let roots: Vec<Digest> = result.directories().collect();
                let area = |digest: &Digest| if roots.contains(digest) { Area::Tree } else { Area::Blob };
                result.digests().map(|digest| record(area(&digest), digest)).collect()
            }
            Area::Tree => match points::of_tree(of.about, bytes) {
                Read::Points(points) => {
                    let alone = points.blobs.into_iter().map(|blob| record(Area::Blob, blob));
                    alone.chain(points.data.into_iter().map(ObjectName::Data)).collect()
                }
                _ => return Vec::new(),
            },
            _ => return Vec::new(),
        };
        let lacking = needs.iter().filter(|needed| !all.contains_key(needed));
        lacking.map(|needed| format!("{name} lacks {needed}")).collect()
    }

    /// Checks that everything that is there has what it needs.
    pub(crate) fn check(&self) {
        let names: Vec<ObjectName> = self.all.lock().unwrap().keys().copied().collect();
        let lacking: Vec<String> = names.iter().flat_map(|name| self.lacks(name)).collect();
        if !lacking.is_empty() {
            let of_collector =
                |name: &ObjectName| matches!(name, ObjectName::Record(name) if name.area == Area::Gc);
            let history = self.history.lock().unwrap();
            let about = history.iter().filter(|(_, _, name)| {
                of_collector(name) || lacking.iter().any(|lack| lack.contains(&name.to_string()))
            });
            about.for_each(|(at, what, name)| println!("{at:?} {what} {name}"));
        }
        assert!(lacking.is_empty(), "at {:?}: {lacking:#?}", self.start.elapsed());
    }

    async fn pause(&self) {
        let slow = *self.slow.lock().unwrap();
        if slow.is_zero() {
            return;
        }
        let (often, share) = {
            let mut random = self.random.lock().unwrap();
            (random.u8(..) < 250, random.f64())
        };
        // Most are fast.
        let pause = if often { slow.mul_f64(share / 100.0) } else { slow.mul_f64(share) };
        tokio::time::sleep(pause).await;
    }

    /// Does something, between two pauses.
    async fn ask<T>(&self, work: impl FnOnce() -> Result<T, StoreError>) -> Result<T, StoreError> {
        self.pause().await;
        let number = self.requests.fetch_add(1, Ordering::Relaxed);
        let cut_at = self.cut_at.load(Ordering::Relaxed);
        if number > cut_at {
            return Err(cut());
        }
        let done = work();
        self.pause().await;
        if number == cut_at { Err(cut()) } else { done }
    }

    fn note(&self, what: &'static str, name: ObjectName) {
        self.history.lock().unwrap().push((self.start.elapsed(), what, name));
    }

    fn put(&self, name: ObjectName, bytes: Bytes) {
        self.note("put", name);
        self.all.lock().unwrap().insert(name, (bytes, self.now()));
    }

    fn get(&self, name: &ObjectName) -> Option<Bytes> {
        let found = self.all.lock().unwrap().get(name).map(|(bytes, _)| bytes.clone());
        self.note(if found.is_some() { "found" } else { "missed" }, *name);
        found
    }
}

fn cut() -> StoreError {
    StoreError::remote("reach", "memory", "it is cut off")
}

#[async_trait]
impl Objects for Store {
    fn place(&self) -> &str {
        "memory"
    }

    async fn record(&self, name: &RecordName) -> Result<Option<Bytes>, StoreError> {
        self.ask(|| Ok(self.get(&ObjectName::Record(*name)))).await
    }

    async fn has_record(&self, name: &RecordName) -> Result<bool, StoreError> {
        self.ask(|| Ok(self.get(&ObjectName::Record(*name)).is_some())).await
    }

    async fn put_record(&self, name: &RecordName, bytes: Bytes, _: &[Digest]) -> Result<(), StoreError> {
        self.ask(|| {
            self.put(ObjectName::Record(*name), bytes);
            Ok(())
        })
        .await
    }

    async fn remove_record(&self, name: &RecordName) -> Result<(), StoreError> {
        self.ask(|| {
            self.note("remove", ObjectName::Record(*name));
            self.all.lock().unwrap().remove(&ObjectName::Record(*name));
            Ok(())
        })
        .await
    }

    async fn data(&self, digest: &Digest) -> Result<Bytes, StoreError> {
        let found = self.ask(|| Ok(self.get(&ObjectName::Data(*digest)))).await?;
        found.ok_or(StoreError::NotFound { digest: *digest })
    }

    async fn has_data(&self, digest: &Digest) -> Result<bool, StoreError> {
        self.ask(|| Ok(self.get(&ObjectName::Data(*digest)).is_some())).await
    }

    async fn put_data(&self, digest: &Digest, bytes: Bytes) -> Result<(), StoreError> {
        self.ask(|| {
            self.put(ObjectName::Data(*digest), bytes);
            Ok(())
        })
        .await
    }

    async fn remove_data(&self, digest: &Digest) -> Result<(), StoreError> {
        self.ask(|| {
            self.all.lock().unwrap().remove(&ObjectName::Data(*digest));
            Ok(())
        })
        .await
    }
}

/// Names in one answer: few, so that there are pauses in between.
const PAGE: usize = 5;

#[async_trait]
impl Collectable for Store {
    fn list(&self, kind: Kind) -> BoxStream<'_, Result<Seen, StoreError>> {
        let page = move |after: Option<String>| async move {
            let page = self.ask(|| {
                let all = self.all.lock().unwrap();
                let is_meant = |name: &ObjectName| match name {
                    ObjectName::Data(_) => kind == Kind::Data,
                    ObjectName::Record(name) => kind == Kind::Records(name.area),
                };
                let mut found: Vec<(String, Listed)> = all
                    .iter()
                    .filter(|(name, _)| {
                        is_meant(name) && after.as_ref().is_none_or(|after| name.to_string() > *after)
                    })
                    .map(|(name, (bytes, modified))| {
                        let listed = Listed { name: *name, size: bytes.len() as u64, modified: *modified };
                        (name.to_string(), listed)
                    })
                    .collect();
                found.sort_by(|one, next| one.0.cmp(&next.0));
                found.truncate(PAGE);
                Ok(found)
            });
            let page = page.await?;
            let last = page.last().map(|(name, _)| name.clone());
            let lines: Vec<Result<Seen, StoreError>> =
                page.into_iter().map(|(_, listed)| Ok(Seen::Ours(listed))).collect();
            Ok::<_, StoreError>(last.map(|last| (stream::iter(lines), Some(last))))
        };
        use futures_util::TryStreamExt as _;
        stream::try_unfold(None, page).try_flatten().boxed()
    }

    async fn modified(&self, name: &RecordName) -> Result<Option<SystemTime>, StoreError> {
        self.ask(|| Ok(self.all.lock().unwrap().get(&ObjectName::Record(*name)).map(|(_, at)| *at))).await
    }

    async fn create(&self, name: &RecordName, bytes: Bytes) -> Result<Created, StoreError> {
        if !self.is_conditional {
            return Ok(Created::Unsupported);
        }
        self.ask(|| {
            let name = ObjectName::Record(*name);
            if self.get(&name).is_some() {
                return Ok(Created::Exists);
            }
            self.put(name, bytes);
            Ok(Created::Made)
        })
        .await
    }

    async fn put_guarded(&self, name: &RecordName, bytes: Bytes, guard: Guard<'_>) -> Result<(), StoreError> {
        self.pause().await;
        guard()?;
        self.put_record(name, bytes, &[]).await
    }

    async fn remove_guarded(&self, names: &[ObjectName], guard: Guard<'_>) -> Result<(), StoreError> {
        // One by one, so that some are gone when this is cut off.
        for name in names {
            self.pause().await;
            guard()?;
            self.ask(|| {
                self.note("collect", *name);
                self.all.lock().unwrap().remove(name);
                Ok(())
            })
            .await?;
            self.check();
        }
        Ok(())
    }
}
