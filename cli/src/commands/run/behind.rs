//! The cache that others share, behind that of this machine, during a run.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::{Arc, mpsc};
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use cullet_bundle::Bundle;
use cullet_cache::disk::DiskStore;
use cullet_cache::{
    Access, Backing, BlobStore, LocalCache, Location, ObjectOptions, PublicKey, Scope, Settled, SharedCache,
    StoreError,
};
use cullet_coordinator::event::{Event, EventSink as _, Note, SharedUse};
use cullet_coordinator::resolve::describe;
use cullet_coordinator::session::StoreBehind;
use cullet_digest::{Digest, DigestFunction, TreeRef};
use cullet_worker::{LocalFiles, SourceFiles as _, Volumes};
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

use super::shared_volumes;
use super::sources::Sources;
use super::watchers::Watchers;
use crate::config::{Config, RegistrySettings, SharedCacheConfig};
use crate::error::CliError;
use crate::shared_store;
use crate::ui::clean;

/// A shared cache before it is known what is in front of it.
#[derive(Debug)]
pub(crate) struct Opened {
    place: String,
    access: Access,
    scope: Scope,
    shared: Result<SharedCache, StoreError>,
}

/// How long it may take to open one. A bucket is not asked; a directory may be on a server that is away.
const OPENING: Duration = Duration::from_secs(3);

/// How often a request to a bucket is sent again.
const RETRIES: u32 = 2;

/// Opens it. One that is away is opened all the same, and never asked.
///
/// # Errors
/// It cannot be reached in the way that the environment says.
pub(crate) fn open(
    config: &SharedCacheConfig,
    cache_dir: &Path,
    registries: &RegistrySettings,
) -> Result<Opened, CliError> {
    let SharedCacheConfig { location, mode, variables, trust } = config.clone();
    let trust = trust.options()?;
    let scope = trust.scope.clone();
    let access = Access::from(mode);
    let options = ObjectOptions {
        variables,
        retries: RETRIES,
        read_only: access == Access::Read,
        ..ObjectOptions::new(cache_dir.join("spool"))
    };
    let (sender, opened) = mpsc::sync_channel(1);
    let (place, registries) = (location.clone(), registries.clone());
    std::thread::spawn(move || {
        let shared =
            is_there(&location, access).and_then(|()| shared_store::open(&location, &options, &registries));
        // Nobody listens any more where it took too long.
        let _ = sender.send(shared);
    });
    let late = |_| {
        let after_ms = OPENING.as_millis() as u64;
        Err(StoreError::Deadline { place: place.clone(), after_ms })
    };
    match opened.recv_timeout(OPENING).unwrap_or_else(late) {
        Err(error @ StoreError::Location { .. }) => {
            Err(CliError::usage(error.to_string())
                .hint("variables AWS_*, GOOGLE_* or AZURE_* reach a bucket"))
        }
        shared => Ok(Opened { place, access, scope, shared: shared.map(|shared| shared.trusting(&trust)) }),
    }
}

/// A bundle in place of a shared cache.
pub(super) fn of_bundle(bundle: &Arc<Bundle>, cache_dir: &Path) -> Opened {
    let shared = shared_store::of_bundle(bundle, cache_dir);
    let (place, scope) = (bundle.path().display().to_string(), Scope::Protected);
    Opened { place, access: Access::Read, scope, shared }
}

/// Who only reads does not make a directory.
fn is_there(location: &str, access: Access) -> Result<(), StoreError> {
    match location.parse::<Location>()? {
        Location::Directory(dir) if access == Access::Read => {
            let listed = std::fs::read_dir(&dir);
            listed.map(drop).map_err(|error| StoreError::io("read", dir, error))
        }
        _ => Ok(()),
    }
}

impl Opened {
    /// When a result was removed from it by garbage collection, as far as it is known there, and it says so in time.
    pub(crate) async fn evicted(&self, action: &Digest) -> Option<SystemTime> {
        let asked = self.shared.as_ref().ok()?.evicted(action);
        tokio::time::timeout(OPENING, asked).await.ok()?.ok()?
    }

    /// Where it is.
    pub(crate) fn place(&self) -> &str {
        &self.place
    }

    /// Asks it something, to see whether it answers.
    pub(crate) async fn ask(self) -> Result<(), StoreError> {
        let shared = self.shared?;
        let nothing = DigestFunction::Blake3.digest(b"cullet");
        let late = |_| StoreError::Deadline { place: self.place, after_ms: OPENING.as_millis() as u64 };
        tokio::time::timeout(OPENING, shared.all_actions.get(&nothing)).await.map_err(late)?.map(drop)
    }

    /// Puts it behind a cache. Where that cannot even spool, there is nothing behind it.
    pub(crate) fn behind(
        self,
        (cache, dir): (&LocalCache, &Path),
        watchers: &Watchers,
        runtime: &Handle,
    ) -> Option<Backing> {
        let Self { place, access, scope, shared } = self;
        let (teller, of) = (watchers.clone(), place.clone());
        let tell = move |error: &StoreError| {
            say(
                &teller,
                "warning",
                format!(
                    "trouble with the shared cache {}: {}; what it does not answer is executed",
                    clean::line(&of),
                    describe(error)
                ),
            );
        };
        let backing = Backing::new((cache, dir), (&place, shared), (access, &scope), Arc::new(tell), runtime);
        let say_unusable = |error: &StoreError| {
            let (place, why) = (clean::line(&place), describe(error));
            say(watchers, "warning", format!("the shared cache {place} is not used: {why}"));
        };
        backing.inspect_err(say_unusable).ok()
    }
}

fn say(watchers: &Watchers, level: &str, text: String) {
    let (level, kind) = (level.to_owned(), Some(Note::SHARED.to_owned()));
    watchers.clone().event(&Event::Note(Note { level, kind, step: None, text }));
}

/// What is behind the cache of a run, and who hears of it.
pub(super) struct Behind {
    pub(super) backing: Backing,
    pub(super) volumes: Volumes,
    pub(super) watchers: Watchers,
}

/// How long the end of a run waits in silence.
const SILENT: Duration = Duration::from_secs(2);

/// How long it waits at all: 3 GiB at 10 MiB a second. Who cannot wait presses Ctrl-C, and loses nothing.
const PATIENCE: Duration = Duration::from_secs(300);

#[async_trait]
impl StoreBehind for Behind {
    fn gave(&self, action: &Digest) -> bool {
        self.backing.gave(action)
    }

    async fn settle(&self, cancelled: bool) -> SharedUse {
        let (backing, place) = (&self.backing, clean::line(self.backing.place()));
        let tell = |text: String| say(&self.watchers, "info", text);
        if !cancelled {
            shared_volumes::publish(&self.volumes, &place, tell).await;
        }
        let mut settled = backing.settle(if cancelled { Duration::ZERO } else { SILENT }).await;
        let waiting = backing.unpublished();
        if !cancelled && waiting > 0 {
            let text = format!("publishing {} in the shared cache {place}", results(waiting));
            tell(text);
            settled = backing.settle(PATIENCE).await;
        }
        let Settled { left, gone, why } = settled;
        if left > 0 {
            let why = why.map_or_else(String::new, |why| format!(": {}", describe(&why)));
            let count = results(left);
            let is = if left == 1 { "is" } else { "are" };
            let text = format!(
                "{count} {is} not published in the shared cache {place}{why}; the next run that may write there does it"
            );
            say(&self.watchers, "warning", text);
        }
        if gone > 0 {
            let text = format!(
                "{} went from this machine before the shared cache {place} had all of it",
                results(gone)
            );
            say(&self.watchers, "warning", text);
        }
        self.tell_refused(&place);
        let (counts, volumes) = (backing.counts(), self.volumes.moved());
        SharedUse {
            location: backing.place().to_owned(),
            downloaded_bytes: counts.from_shared.bytes + volumes.downloaded,
            uploaded_bytes: counts.uploaded.bytes + volumes.uploaded,
            volumes_downloaded_bytes: volumes.downloaded,
            volumes_uploaded_bytes: volumes.uploaded,
            unpublished: u32::try_from(left).unwrap_or(u32::MAX),
            ..SharedUse::default()
        }
    }
}

impl Behind {
    /// Says how much of what was there was not believed: that somebody writes there who should not, or that a key is missing
    /// here.
    fn tell_refused(&self, place: &str) {
        let refused = self.backing.take_refused();
        if refused.is_empty() {
            return;
        }
        let (count, is) = (results(refused.len()), if refused.len() == 1 { "is" } else { "are" });
        let claimed: BTreeSet<PublicKey> = refused.iter().filter_map(|refused| refused.claimed).collect();
        let unsigned = refused.iter().filter(|refused| refused.claimed.is_none()).count();
        let mut why: Vec<String> = claimed.iter().take(MOST_KEYS).map(|key| format!("names {key}")).collect();
        if unsigned > 0 {
            why.push(format!("{unsigned} without a signature"));
        }
        let text = format!(
            "{count} of the shared cache {place} {is} not believed, as trusted-keys asks ({}): taken for missing",
            why.join(", ")
        );
        say(&self.watchers, "warning", text);
    }
}

/// Keys that are named in one message.
const MOST_KEYS: usize = 3;

fn results(count: usize) -> String {
    if count == 1 { "1 result".to_owned() } else { format!("{count} results") }
}

/// The inputs of steps, where some of them may be elsewhere. Those from sources never are.
#[derive(Debug, Clone)]
pub(super) struct BackedInputs {
    pub(super) disk: Arc<DiskStore>,
    pub(super) sources: Sources,
    pub(super) backing: Backing,
}

impl BackedInputs {
    /// Brings inputs to this machine, many files at a time. What cannot be had is found to be lost when they are used.
    pub(super) async fn bring(&self, inputs: &[(Box<str>, TreeRef)], cancel: &CancellationToken) {
        let trees = inputs.iter().map(|(_, tree)| *tree);
        let elsewhere: Vec<TreeRef> = trees.filter(|tree| !self.sources.has(tree)).collect();
        tokio::select! {
            biased;
            () = cancel.cancelled() => {}
            () = self.backing.prefetch(elsewhere) => {}
        }
    }

    pub(super) fn blobs(&self) -> Arc<dyn BlobStore> {
        self.backing.blobs()
    }
}

impl LocalFiles for BackedInputs {
    fn link_to(&self, digest: &Digest, executable: bool, dest: &Path) -> Result<(), StoreError> {
        match self.disk.link_to(digest, executable, dest) {
            // Not here, damaged here, or evicted just now.
            Err(StoreError::NotFound { .. } | StoreError::Mismatch { .. })
                if self.sources.locate(digest).is_none() =>
            {
                self.backing.fetch_local(digest)?;
                self.disk.link_to(digest, executable, dest)
            }
            linked => linked,
        }
    }

    fn adopt_file(&self, path: &Path, function: DigestFunction) -> Result<Digest, StoreError> {
        self.disk.adopt_file(path, function)
    }

    fn adopt_copy(&self, path: &Path, function: DigestFunction) -> Result<Digest, StoreError> {
        self.disk.adopt_copy(path, function)
    }

    fn ingest_copy(&self, expected: &Digest, source: &Path) -> Result<(), StoreError> {
        self.disk.ingest_copy(expected, source)
    }
}

/// The shared cache that configuration and environment name, for a command that looks into past runs: who hears of
/// trouble with it is the command itself.
pub(crate) fn for_reading(
    config: &Config,
    cache: &LocalCache,
    runtime: &Handle,
) -> Result<Option<Backing>, CliError> {
    reading(config.shared_cache(None)?, config, cache, runtime)
}

/// The same for one that is named otherwise.
pub(crate) fn reading(
    shared: Option<SharedCacheConfig>,
    config: &Config,
    cache: &LocalCache,
    runtime: &Handle,
) -> Result<Option<Backing>, CliError> {
    let Some(shared) = shared else { return Ok(None) };
    let opened = open(
        &SharedCacheConfig { mode: Default::default(), ..shared },
        &config.cache_dir,
        &config.registries,
    )?;
    Ok(opened.behind((cache, &config.cache_dir), &Watchers::idle(), runtime))
}
