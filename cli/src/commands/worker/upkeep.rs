//! Looking after a worker's disk while it works.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use cullet_cache::LocalCache;
use cullet_worker::{Room, Volumes, space};
use tokio::task::spawn_blocking;
use tokio::time::{MissedTickBehavior, interval};

use crate::images::WorkerImages;

/// Between two looks at the free space: a worker whose disk others fill should fail few steps.
const LOOK: Duration = Duration::from_secs(1);

/// How many looks in a row find room before a worker that had none takes steps again: half a minute, in which whatever
/// filled the disk runs elsewhere.
const RECOVERY: u32 = 30;

/// Looks between two collections of a cache that has grown past its bound: one a minute.
const COLLECT: u32 = 60;

/// The cache, the images and the volumes of a worker. What steps use of the cache is kept there by them.
pub(super) struct Upkeep {
    cache: LocalCache,
    /// They may have as many bytes as the cache.
    images: Arc<WorkerImages>,
    /// Of the steps that it runs.
    volumes: Volumes,
    room: Room,
}

impl Upkeep {
    /// Of these; whether there is room is told.
    pub(super) const fn new(
        cache: LocalCache,
        images: Arc<WorkerImages>,
        volumes: Volumes,
        room: Room,
    ) -> Self {
        Self { cache, images, volumes, room }
    }

    /// Keeps the cache within its bound, for ever. A worker without space takes no steps: it would only fail what others
    /// can do.
    pub(super) async fn keep(self) {
        self.clean_images().await;
        let mut looks = interval(LOOK);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut with_room = 0;
        for look in 1_u32.. {
            looks.tick().await;
            with_room = if self.has_room().await { with_room + 1 } else { 0 };
            if with_room == 0 && self.room.set(false) {
                tracing::error!(
                    "the disk is full and nothing can be evicted: takes no more steps until there is room"
                );
            }
            if with_room >= RECOVERY && self.room.set(true) {
                tracing::info!("there is room again: takes steps");
            }
            if look.is_multiple_of(COLLECT) {
                self.collect().await;
                self.settle_images().await;
                self.settle_volumes().await;
            }
        }
    }

    /// Looks, and evicts where that might help.
    async fn has_room(&self) -> bool {
        let (cache, images, volumes) = (self.cache.clone(), Arc::clone(&self.images), self.volumes.clone());
        let looked = spawn_blocking(move || {
            let dir = cache.disk.dir();
            !space::is_full(dir)
                || give_up_volumes(&volumes, dir)
                || give_up(&images, dir)
                || make_room(&cache, dir)
        });
        looked.await.unwrap_or(true)
    }

    async fn collect(&self) {
        let cache = self.cache.clone();
        match spawn_blocking(move || cache.maybe_gc()).await {
            Ok(Ok(Some(report))) => tracing::debug!(?report, "collected the cache"),
            Ok(Err(error)) => tracing::warn!(%error, "the cache could not be brought below its bound"),
            Ok(Ok(None)) | Err(_) => {}
        }
    }

    /// What the worker before this one left half done: it may never run a step in an image again that would find it.
    async fn clean_images(&self) {
        let images = Arc::clone(&self.images);
        if let Ok(Err(error)) = spawn_blocking(move || images.clean()).await {
            tracing::warn!(%error, "what an ended worker left of images could not be removed");
        }
    }

    /// Images that no step runs in go, those that were not used for longest first.
    async fn settle_images(&self) {
        let (images, bound) = (Arc::clone(&self.images), self.cache.disk.bound());
        if let Ok(Err(error)) = spawn_blocking(move || images.evict(bound)).await {
            tracing::warn!(%error, "the images could not be brought below their bound");
        }
    }

    /// Volumes that steps have changed are to be there after a power cut.
    async fn settle_volumes(&self) {
        let volumes = self.volumes.clone();
        if let Ok(Err(error)) = spawn_blocking(move || volumes.settle(cullet_image::sync_when_quiet)).await {
            tracing::warn!(%error, "cache volumes could not be written to the disk");
        }
    }
}

/// Removes the volumes that no step has, which steps can do without; whether there is space then.
fn give_up_volumes(volumes: &Volumes, dir: &Path) -> bool {
    match volumes.evict(0) {
        Ok(evicted) if evicted.volumes > 0 => {
            tracing::warn!("the disk is full: removed the cache volumes that no step has");
            !space::is_full(dir)
        }
        Ok(_) => false,
        Err(error) => {
            tracing::debug!(%error, "the disk is full and cache volumes cannot be removed");
            false
        }
    }
}

/// Evicts the images that no step is in, which can be had again; whether there is space then.
fn give_up(images: &WorkerImages, dir: &Path) -> bool {
    match images.evict(0) {
        Ok(true) => {
            tracing::warn!("the disk is full: evicted the images that no step is in");
            !space::is_full(dir)
        }
        Ok(false) => false,
        Err(error) => {
            tracing::debug!(%error, "the disk is full and images cannot be removed");
            false
        }
    }
}

/// Evicts a tenth of the cache; whether there is space then.
fn make_room(cache: &LocalCache, dir: &Path) -> bool {
    let held = cache.gc(u64::MAX).map(|report| report.bytes_before);
    match held.and_then(|held| cache.gc(held - held / 10)) {
        Ok(report) if report.evicted_blobs > 0 => {
            tracing::warn!(blobs = report.evicted_blobs, "the disk is full: evicted from the cache");
            !space::is_full(dir)
        }
        Ok(_) => false,
        Err(error) => {
            tracing::debug!(%error, "the disk is full and the cache cannot be collected");
            false
        }
    }
}
