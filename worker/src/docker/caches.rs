//! The cache volumes of a step in a container: copies that go in and come out as archives, as inputs do. What differs
//! afterwards becomes the draft of a version, as the sandbox's overlay would have left it, so that both share volumes.
//! Nothing that is wrong with one fails the step.

use std::path::PathBuf;

use tokio_util::sync::CancellationToken;

use super::Engine;
use super::changed::Changed;
use super::container::Container;
use super::spec::Spec;
use crate::attempt::chain;
use crate::sandbox::runner::setup;
use crate::{ExecuteError, Launch, VolumeMount};

/// Volumes that the step has, each with a directory of what it was given.
pub(super) struct Caches {
    given: Vec<(VolumeMount, PathBuf)>,
}

impl Caches {
    /// Puts layers together. What cannot be read is left out, and said by whoever made the draft.
    pub(super) async fn prepare(launch: &Launch) -> Result<Self, ExecuteError> {
        if launch.caches.is_empty() {
            return Ok(Self { given: Vec::new() });
        }
        let launch = launch.clone();
        let merged = tokio::task::spawn_blocking(move || Self::merged(&launch)).await;
        merged.map_err(|error| setup("put together the caches", std::io::Error::other(error)))
    }

    fn merged(launch: &Launch) -> Self {
        let mut given = Vec::new();
        for volume in &launch.caches {
            match volume.merged() {
                Ok(merged) => given.push((volume.clone(), merged)),
                Err(error) => say(volume, VolumeMount::FAILED, &chain(&error)),
            }
        }
        Self { given }
    }

    /// A container that has them; without those that it cannot have. When this is cancelled, they may be empty.
    pub(super) async fn container(
        &mut self,
        engine: &Engine,
        spec: Spec,
        owner: (u32, u32),
        cancel: &CancellationToken,
    ) -> Result<Container, ExecuteError> {
        // As often as there are volumes, and once more.
        loop {
            let container = Container::make(engine, spec.clone().with_volumes(self.paths())).await?;
            match self.put(&container, owner, cancel).await {
                Ok(()) => return Ok(container),
                Err(number) => drop(self.given.remove(number)),
            }
            container.remove().await?;
        }
    }

    /// Where they are in the container.
    fn paths(&self) -> Vec<String> {
        self.given.iter().map(|(volume, _)| volume.path.clone()).collect()
    }

    /// Those that are where steps work, relative to that.
    pub(super) fn in_workspace(&self) -> Vec<Vec<u8>> {
        let below = |(volume, _): &(VolumeMount, PathBuf)| {
            Some(volume.path.strip_prefix("/workspace/")?.as_bytes().to_vec())
        };
        self.given.iter().filter_map(below).collect()
    }

    /// Fills the places of a container that has nothing in them yet; which one it could not be given, or not all of it.
    async fn put(
        &self,
        container: &Container,
        owner: (u32, u32),
        cancel: &CancellationToken,
    ) -> Result<(), usize> {
        for (number, (volume, merged)) in self.given.iter().enumerate() {
            let place = volume.path.trim_matches('/').as_bytes().to_vec();
            let put = tokio::select! {
                biased;
                () = cancel.cancelled() => return Ok(()),
                put = container.put(merged.clone(), (place, Vec::new()), owner) => put,
            };
            if let Err(error) = put {
                say(volume, VolumeMount::FAILED, &chain(&error));
                return Err(number);
            }
        }
        Ok(())
    }

    /// Writes what the step changed to the drafts.
    pub(super) async fn take(&self, container: &Container) {
        for (volume, merged) in &self.given {
            let changed = Changed {
                before: merged.clone(),
                upper: volume.draft.join("upper"),
                most: volume.most_bytes,
            };
            let taken = container.take_with(&volume.path, move |archive| changed.take(archive)).await;
            if let Err(error) = taken {
                say(volume, VolumeMount::LOST, &chain(&error));
            }
        }
    }
}

/// Whoever made the draft looks there. Where even that cannot be written, nothing of it can be kept either.
fn say(volume: &VolumeMount, name: &str, why: &str) {
    if let Err(error) = std::fs::write(volume.draft.join(name), why) {
        tracing::warn!(path = volume.path, why, %error, "the cache of a step is not kept");
        drop(std::fs::remove_dir_all(volume.draft.join("upper")));
    }
}
