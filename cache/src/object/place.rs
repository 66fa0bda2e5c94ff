//! An opened place: requests with a deadline, and the names of objects.

use std::future::Future;
use std::path::Path as FilePath;
use std::sync::Arc;
use std::time::Duration;

use cullet_digest::Digest;
use object_store::ObjectStore;
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use tokio::sync::{OnceCell, Semaphore};
use tokio::time::Instant;

use super::budget::Budget;
use super::files::Files;
use super::write_ahead::Limits;
use super::{Location, ObjectActions, ObjectBlobs, ObjectOptions, answers, bucket};
use crate::pause::Pauses;
use crate::{RecordName, StoreError};

/// Bytes of a large blob that are read or written at once: 8 MiB.
pub(super) const PART: u64 = 8 << 20;

/// Requests in flight to one place. A bucket serves hundreds at once; more only wait in our memory.
const IN_FLIGHT: usize = 64;

/// A place for objects, opened; shared by blobs and results.
#[derive(Debug)]
pub(crate) struct Place {
    pub(super) objects: Arc<dyn ObjectStore>,
    /// The same place as files, where it is a directory.
    pub(super) files: Option<Arc<Files>>,
    /// Whether objects can be created where there are none, once that is known.
    pub(super) creates: OnceCell<bool>,
    name: String,
    prefix: String,
    /// For one operation with all its retries.
    whole: Duration,
    /// For one operation.
    retries: u32,
    budget: Budget,
    permits: Semaphore,
}

impl Place {
    /// Opens a place; makes the directory if it is one. A bucket is not asked before it is used.
    pub(crate) fn open(location: &Location, options: &ObjectOptions) -> Result<Arc<Self>, StoreError> {
        Self::open_within(location, options, Limits::default())
    }

    /// The same, with bounds for what is written ahead.
    pub(super) fn open_within(
        location: &Location,
        options: &ObjectOptions,
        limits: Limits,
    ) -> Result<Arc<Self>, StoreError> {
        let whole = options.deadline.saturating_mul(options.retries.saturating_add(1));
        let (objects, files, name, prefix): (Arc<dyn ObjectStore>, _, _, _) = match location {
            Location::Directory(dir) => {
                let (system, name) = (directory(dir)?, dir.display().to_string());
                let files = Files::open(dir.clone(), whole, options, limits)?;
                (Arc::new(system), Some(Arc::new(files)), name, String::new())
            }
            Location::Registry(location) => {
                let reason = "a registry is no place for objects".to_owned();
                return Err(StoreError::Location { location: location.clone(), reason });
            }
            Location::Bucket { service, bucket, prefix } => {
                let scheme = service.scheme();
                let name = format!("{scheme}://{bucket}/{prefix}").trim_end_matches('/').to_owned();
                let prefix = if prefix.is_empty() { String::new() } else { format!("{prefix}/") };
                (bucket::open(*service, bucket, &name, options)?, None, name, prefix)
            }
        };
        Ok(Arc::new(Self {
            objects,
            files,
            creates: OnceCell::new(),
            name,
            prefix,
            whole,
            retries: options.retries,
            budget: Budget::default(),
            permits: Semaphore::new(IN_FLIGHT),
        }))
    }

    /// Blobs and protected results as files, where it is a directory.
    pub(crate) fn as_files(self: &Arc<Self>) -> Option<(ObjectBlobs, ObjectActions)> {
        let files = self.files.as_ref()?;
        Some((ObjectBlobs::new(self, files), ObjectActions::new(self, files)))
    }

    /// What to call it in messages.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// What the names of all objects begin with: nothing, or directories with a `/` at the end.
    pub(super) fn prefix(&self) -> &str {
        &self.prefix
    }

    pub(super) fn blob(&self, digest: &Digest) -> Path {
        self.object("cas", digest)
    }

    /// The file of a result.
    pub(super) fn result(&self, scope: Option<[u8; 8]>, action: &Digest) -> Path {
        self.scoped("ac", scope, action)
    }

    /// The object of a record.
    pub(super) fn record(&self, name: &RecordName) -> Path {
        self.scoped(name.area.name(), name.scope, &name.about)
    }

    fn scoped(&self, area: &str, scope: Option<[u8; 8]>, about: &Digest) -> Path {
        match scope {
            None => self.object(area, about),
            Some(scope) => self.object(&format!("{area}@{:016x}", u64::from_be_bytes(scope)), about),
        }
    }

    /// The object of data.
    pub(super) fn data(&self, digest: &Digest) -> Path {
        let (prefix, hash, size) = (&self.prefix, digest.hash_hex(), digest.size());
        Path::from(format!("{prefix}data/{}/{hash}-{size}", &hash[..2]))
    }

    /// An object that only shows what the place can do.
    pub(super) fn probe(&self, number: u64) -> Path {
        Path::from(format!("{}probe/{number:016x}", self.prefix))
    }

    fn object(&self, area: &str, digest: &Digest) -> Path {
        Path::from(format!("{}{}", self.prefix, name_of(area, digest)))
    }

    /// The outcome of an operation, if it comes in time. Where the object is not there, that is none. It is begun again
    /// where it failed for a passing reason, as often as `retries` and the budget of the place allow.
    pub(super) async fn request<T, F>(
        &self,
        action: &'static str,
        operation: impl Fn() -> F,
    ) -> Result<Option<T>, StoreError>
    where
        F: Future<Output = object_store::Result<T>>,
    {
        let until = Instant::now() + self.whole;
        let (mut left, mut pauses) = (self.retries, Pauses::new());
        loop {
            self.may_be_asked(action, until).await?;
            let error = match self.attempt(until, operation()).await? {
                Ok(found) => return Ok(found),
                Err(error) => error,
            };
            let failed = |error| Err(StoreError::remote(action, &self.name, error));
            let Some(after) = answers::may_pass(&error) else { return failed(error) };
            if !after.is_zero() {
                self.budget.hold_back(after.min(LONGEST_QUIET));
            }
            // Nobody waits for a place that says it needs longer than we have.
            if left == 0 || Instant::now() + after >= until || !self.budget.take() {
                return failed(error);
            }
            left -= 1;
            tracing::debug!(%error, place = self.name, "trying again");
            pauses.pause().await;
        }
    }

    /// As [`Place::request`] where everything that must be there is.
    pub(super) async fn must<T, F>(
        &self,
        action: &'static str,
        operation: impl Fn() -> F,
    ) -> Result<T, StoreError>
    where
        F: Future<Output = object_store::Result<T>>,
    {
        self.request(action, operation).await?.ok_or_else(|| self.gone(action))
    }

    fn gone(&self, action: &'static str) -> StoreError {
        StoreError::remote(action, &self.name, "it is not there")
    }

    /// Waits while the place wants to be left alone, unless that is for longer than we have.
    async fn may_be_asked(&self, action: &'static str, until: Instant) -> Result<(), StoreError> {
        while let Some(quiet) = self.budget.quiet_until() {
            if quiet >= until {
                let seconds = quiet.duration_since(Instant::now()).as_secs();
                let why = format!("it wants to be asked nothing for {seconds} s more (Retry-After)");
                return Err(StoreError::remote(action, &self.name, why));
            }
            tokio::time::sleep_until(quiet).await;
        }
        Ok(())
    }

    /// What comes of an operation by then.
    async fn attempt<T>(
        &self,
        until: Instant,
        operation: impl Future<Output = object_store::Result<T>>,
    ) -> Result<object_store::Result<Option<T>>, StoreError> {
        let bounded = async {
            // Never closed, so the permit always comes.
            let _permit = self.permits.acquire().await;
            operation.await
        };
        let late = |_| StoreError::deadline(&self.name, self.whole);
        let outcome = match tokio::time::timeout_at(until, bounded).await.map_err(late)? {
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            outcome => outcome.map(Some),
        };
        if outcome.is_ok() {
            self.budget.earn();
        }
        Ok(outcome)
    }
}

/// The name of what is about a digest, below everything else.
pub(super) fn name_of(area: &str, digest: &Digest) -> String {
    let hash = digest.hash_hex();
    format!("{area}/{}/{}/{hash}-{}", digest.function(), &hash[..2], digest.size())
}

/// A place that says it needs longer is asked again all the same: it may have meant one request.
const LONGEST_QUIET: Duration = Duration::from_secs(60);

fn directory(dir: &FilePath) -> Result<LocalFileSystem, StoreError> {
    std::fs::create_dir_all(dir).map_err(|error| StoreError::io("make", dir, error))?;
    let opened = LocalFileSystem::new_with_prefix(dir);
    let failed = |error| StoreError::remote("open", &dir.display().to_string(), error);
    Ok(opened.map_err(failed)?.with_fsync(true))
}
