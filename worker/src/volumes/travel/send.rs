//! After steps: what they changed, on its way to the store.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::task::spawn_blocking;
use tokio::time::Instant;

use super::name::{Version, key};
use super::state::{Same, now_ms};
use super::{Travels, Trouble, VolumeStore};
use crate::attempt::sentence;
use crate::volumes::chunks::{Manifest, Way, plan, read, scan};
use crate::volumes::place::{About, Place};
use crate::volumes::record::{self, Record};
use crate::volumes::store::Inner;
use crate::volumes::{VolumeUse, Volumes};

/// How long a version stands before a small change makes another: steps that change a little do so every time.
const EVERY: Duration = Duration::from_secs(10 * 60);

/// One part in so many is no small change.
const PART: u64 = 10;

/// A volume that a step may have changed.
#[derive(Debug, Clone)]
pub(super) struct Changed {
    about: About,
    travels: Travels,
    /// The last one that had it.
    step: String,
    /// Not before this.
    due: Instant,
}

/// What came of one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sent {
    /// There is nothing to send.
    Nothing,
    /// Not before so long.
    Later(Duration),
    /// So many bytes.
    Bytes(u64),
}

impl Inner {
    /// A step that has succeeded had this volume.
    pub(in crate::volumes) fn has_changed(&self, step: &str, place: &Place, wanted: &VolumeUse) {
        let (Some(travels), Some(Ok(stores))) = (&wanted.travels, self.travel.stores.get()) else { return };
        if stores.of(&travels.scope).own.is_none() {
            return;
        }
        let about = About::of(wanted, self.config.owner);
        let due = self.travel.changed().get(place).map_or_else(Instant::now, |before| before.due);
        let changed = Changed { about, travels: travels.clone(), step: step.to_owned(), due };
        self.travel.changed().insert(place.clone(), changed);
    }
}

impl Volumes {
    /// Sends what steps have changed to the shared store, as far as that is worth it by now and takes no longer than this.
    pub async fn publish(&self, patience: Duration) {
        let until = Instant::now() + patience;
        loop {
            let now = Instant::now();
            let next = {
                let mut all = self.0.travel.changed();
                let due = all.iter().find(|(_, changed)| changed.due <= now).map(|(place, _)| place.clone());
                due.and_then(|place| all.remove_entry(&place))
            };
            let Some((place, changed)) = next.filter(|_| now < until) else { return };
            self.publish_one(place, changed, until - now).await;
        }
    }

    /// Volumes that there may be something of to send now.
    pub fn unpublished(&self) -> usize {
        let now = Instant::now();
        self.0.travel.changed().values().filter(|changed| changed.due <= now).count()
    }

    async fn publish_one(&self, place: Place, changed: Changed, patience: Duration) {
        let Some(Ok(stores)) = self.0.travel.stores.get() else { return };
        let store = stores.of(&changed.travels.scope);
        let (inner, runtime) = (Arc::clone(&self.0), Handle::current());
        let (at, what) = (place.clone(), changed.clone());
        let sent = spawn_blocking(move || inner.send((&at, &what), &store, (&runtime, patience))).await;
        match sent.map_err(Trouble::from).flatten() {
            Ok(Sent::Nothing) => {}
            Ok(Sent::Bytes(bytes)) => {
                self.0.travel.uploaded.fetch_add(bytes, Ordering::Relaxed);
                tracing::debug!(volume = changed.about.volume, bytes, "a cache volume was shared");
            }
            Ok(Sent::Later(after)) => {
                let due = Instant::now() + after;
                self.0.travel.changed().entry(place).or_insert(Changed { due, ..changed });
            }
            // The next step that has it tries again.
            Err(error) if self.0.is_news(&place, "goes") => {
                let volume = &changed.about.volume;
                let text = format!(
                    "what it wrote to the cache '{volume}' is not in the shared cache: {}",
                    sentence(&error)
                );
                self.0.config.events.tell(&changed.step, true, text);
            }
            Err(_) => {}
        }
    }
}

impl Inner {
    /// Blocks.
    fn send(
        &self,
        (place, changed): (&Place, &Changed),
        store: &VolumeStore,
        (runtime, patience): (&Handle, Duration),
    ) -> Result<Sent, Trouble> {
        let copy = self.copy(place, &changed.about)?;
        let Some(base) = &copy.base else { return Ok(Sent::Nothing) };
        if Same::of(place, Some(base)).is_some() {
            return Ok(Sent::Nothing);
        }
        let way = Way::new(&*store.blobs, runtime, patience);
        let key = key(&changed.travels, &changed.about.volume, &changed.about.arch);
        let found = runtime.block_on(way.ask(store.versions.get(&key)))?;
        let found = found.as_ref().and_then(Version::of);
        // One that cannot be read is none: this one takes its place.
        let earlier = found.clone().and_then(|found| Some((read(&way, &found.manifest).ok()?, found)));
        let layers: Vec<_> = copy.layers().into_iter().rev().collect();
        let scanned = scan(&layers, self.config.volume_bytes, &way)?;
        let Some(storing) = plan(&scanned, earlier.as_ref().map(|(manifest, _)| manifest)) else {
            if let Some((manifest, version)) = &earlier {
                remember(place, base, version, manifest)?;
            }
            return Ok(Sent::Nothing);
        };
        let share = (storing.fresh_bytes(), scanned.bytes());
        if let Some(after) = waits(earlier.as_ref().map(|(_, found)| found.at_ms), now_ms(), share) {
            return Ok(Sent::Later(after));
        }
        let (digest, manifest, sent) = storing.send(&way)?;
        let packs = manifest.packs().collect();
        let version = Version::after(found.as_ref(), digest, packs, now_ms());
        runtime.block_on(way.ask(store.versions.put(&key, &version.to_result())))?;
        remember(place, base, &version, &manifest)?;
        Ok(Sent::Bytes(sent))
    }
}

/// How long a version is not sent, if it changes so many of so many bytes and the one before was made then.
fn waits(before_ms: Option<u64>, now_ms: u64, (fresh, all): (u64, u64)) -> Option<Duration> {
    // A time to come is that of a clock that is wrong.
    let since = Duration::from_millis(now_ms.checked_sub(before_ms?)?);
    (since < EVERY && fresh.saturating_mul(PART) < all).then(|| EVERY - since)
}

/// Writes down that the volume is this version, if it still has these layers.
fn remember(place: &Place, base: &Record, version: &Version, manifest: &Manifest) -> Result<(), Trouble> {
    let _lock = place.lock(true)?;
    let current: Option<Record> = record::read(&place.current())?;
    if current.is_some_and(|current| current.layers == base.layers) {
        Same::write(place, base, version, manifest)?;
    }
    Ok(())
}

#[cfg(test)]
mod unit {
    use super::*;

    #[test]
    fn a_small_change_waits_and_a_large_one_does_not() {
        let minute = Duration::from_secs(60);
        let now = 1_000_000_000;
        let ago = |minutes: u64| Some(now - minutes * 60_000);
        for (before, share, expected) in [
            (None, (1, 1000), None),
            (ago(1), (1, 1000), Some(9 * minute)),
            (ago(1), (99, 1000), Some(9 * minute)),
            (ago(1), (100, 1000), None),
            (ago(10), (1, 1000), None),
            (Some(now + 1), (1, 1000), None),
            (ago(0), (0, 0), None),
        ] {
            assert_eq!(waits(before, now, share), expected, "{before:?} {share:?}");
        }
    }
}
