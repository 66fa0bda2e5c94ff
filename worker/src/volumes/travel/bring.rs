//! Before a step: the store's version, if that is to be had and better than what is here.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use cullet_cache::ActionResult;
use cullet_digest::Digest;
use tokio::runtime::Handle;
use tokio::task::spawn_blocking;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

use super::name::{Version, key};
use super::state::{Same, tells_use};
use super::{AGAIN, FETCHING, LOOKUP, Looked, Trouble, VolumeStore};
use crate::attempt::sentence;
use crate::volumes::chunks::{ChunkError, Local, Manifest, Way, read, restore};
use crate::volumes::copy::Copy;
use crate::volumes::place::{About, Place};
use crate::volumes::record::{Layer, Record, boot};
use crate::volumes::store::Inner;
use crate::volumes::{VolumeError, VolumeUse};

/// A volume that a step wants.
type Wanted<'a> = (&'a Place, &'a About, &'a VolumeUse);

impl Inner {
    /// Sees to it that the volume is the store's, where it should be. Of several steps one fetches, and the others wait for it.
    pub(in crate::volumes) async fn bring(
        self: &Arc<Self>,
        step: &str,
        wanted: Wanted<'_>,
        cancel: &CancellationToken,
    ) {
        let (place, _, VolumeUse { volume, travels, .. }) = wanted;
        let Some(travels) = travels else { return };
        let store = match self.travel.stores.get() {
            Some(Ok(stores)) => stores.of(&travels.scope),
            Some(Err(why)) => {
                if self.is_news(&Place::at(PathBuf::new()), "stays") {
                    let text =
                        format!("has the cache '{volume}' of this machine, although it is shared: {why}");
                    self.config.events.tell(step, false, text);
                }
                return;
            }
            None => return,
        };
        let looked = self.travel.looked(place);
        let brought = async {
            let mut looked = looked.lock().await;
            if looked.at.is_some_and(|at| at.elapsed() < AGAIN) {
                return Ok(None);
            }
            looked.at = Some(Instant::now());
            self.look(wanted, &store, &mut looked).await
        };
        tokio::select! {
            () = cancel.cancelled() => {}
            brought = brought => match brought {
                Ok(Some(bytes)) => {
                    let text = format!("has the cache '{volume}' from the shared cache: {bytes} bytes came from there");
                    self.config.events.tell(step, false, text);
                }
                Ok(None) => {}
                Err(error) if self.is_news(place, "comes") => {
                    let text = format!("does not have the cache '{volume}' from the shared cache: {}", sentence(&error));
                    self.config.events.tell(step, true, text);
                }
                Err(_) => {}
            }
        }
    }

    /// How many bytes were fetched, if there was something better than what is here.
    async fn look(
        self: &Arc<Self>,
        (place, about, wanted): Wanted<'_>,
        store: &VolumeStore,
        looked: &mut Looked,
    ) -> Result<Option<u64>, Trouble> {
        let Some(travels) = &wanted.travels else { return Ok(None) };
        let key = key(travels, &about.volume, &about.arch);
        let found = timeout(LOOKUP, store.versions.get(&key)).await;
        let found = found.map_err(|_| ChunkError::TooSlow(LOOKUP.as_secs()))?;
        let Some(result) = found.map_err(ChunkError::from)? else { return Ok(None) };
        let Some(version) = Version::of(&result) else { return Ok(None) };
        if looked.given_up == Some(version.manifest) {
            return Ok(None);
        }
        looked.given_up = Some(version.manifest);
        let (inner, store_of) = (Arc::clone(self), store.clone());
        let (place_of, about, runtime) = (place.clone(), about.clone(), Handle::current());
        let fetched =
            spawn_blocking(move || inner.fetch((&place_of, &about), &version, &store_of, &runtime)).await??;
        looked.given_up = None;
        if store.own.is_some() && tells_use(place) {
            tokio::spawn(keep(store.clone(), key, result));
        }
        Ok(fetched)
    }

    /// Blocks.
    fn fetch(
        &self,
        (place, about): (&Place, &About),
        version: &Version,
        store: &VolumeStore,
        runtime: &Handle,
    ) -> Result<Option<u64>, Trouble> {
        let mut copy = self.copy(place, about)?;
        let same = Same::of(place, copy.base.as_ref());
        let wants = match (&copy.base, &same) {
            (None, _) => true,
            (Some(_), Some(same)) => same.is_older_than(version),
            // Steps of this machine have changed it.
            (Some(_), None) => false,
        };
        if !wants {
            return Ok(None);
        }
        let way = Way::new(&*store.blobs, runtime, FETCHING);
        let manifest = read(&way, &version.manifest)?;
        let layers: Vec<_> = copy.layers().into_iter().rev().collect();
        let local = same.and_then(|same| Local::open(&layers, &same.manifest(place)?).ok());
        let flat = copy.draft.path().join("flat");
        let limits = (self.config.owner, self.config.volume_bytes);
        let fetched = restore(&manifest, local.as_ref(), &way, &flat, limits)?;
        drop(local);
        let fetched = fetched + version.manifest.size();
        self.travel.downloaded.fetch_add(fetched, Ordering::Relaxed);
        let kept = self.adopt(&mut copy, &flat, version, &manifest)?;
        Ok(kept.then_some(fetched))
    }

    /// Makes what was fetched the volume, unless a step has changed that meanwhile.
    fn adopt(
        &self,
        copy: &mut Copy,
        flat: &std::path::Path,
        version: &Version,
        manifest: &Manifest,
    ) -> Result<bool, VolumeError> {
        let layers = vec![Layer { name: self.fresh_name(), bytes: manifest.bytes() }];
        let record = Record { layers, boot: boot(), synced: false };
        let place = copy.place.clone();
        let write = || Same::write(&place, &record, version, manifest);
        if !self.replace_unchanged(copy, flat, &record, write)? {
            return Ok(false);
        }
        self.is_unsettled.store(true, Ordering::Relaxed);
        self.evict(self.config.total_bytes)?;
        Ok(true)
    }
}

/// Tells a store that a volume is used, by writing what is there once more. That of others is left to them.
async fn keep(store: VolumeStore, key: Digest, found: ActionResult) {
    let Some(own) = store.own else { return };
    let kept = async {
        if own.get(&key).await?.as_ref() == Some(&found) { own.put(&key, &found).await } else { Ok(()) }
    };
    if let Err(error) = kept.await {
        tracing::debug!(%error, "the shared store was not told that a volume is used");
    }
}
