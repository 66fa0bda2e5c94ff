//! Long logs, which are blobs of their own.

use cullet_cache::{Blob, LocalCache, StoreError};
use cullet_coordinator::StepEnd;
use cullet_digest::Digest;
use tokio::runtime::Handle;

use crate::commands::run::behind;
use crate::config::Config;
use crate::error::CliError;
use crate::ui::clean;

/// Where they are: in the cache of this machine, or, where the results came from there, in one that others share.
pub(super) struct Logs<'a> {
    pub(super) cache: &'a LocalCache,
    pub(super) config: &'a Config,
}

impl Logs<'_> {
    /// Part of the log of a step.
    pub(super) async fn blob(&self, step: &StepEnd, digest: &Digest) -> Result<Blob, CliError> {
        let error = match self.cache.blobs.get(digest).await {
            Err(error @ (StoreError::NotFound { .. } | StoreError::Mismatch { .. })) => error,
            found => return found.map_err(CliError::from),
        };
        let name = clean::line(&step.step);
        let Some(backing) = behind::for_reading(self.config, self.cache, &Handle::current())? else {
            if step.from.as_deref() == Some(StepEnd::SHARED) {
                let text =
                    format!("the log of {name} is in the shared cache that its run used, and none is named");
                return Err(CliError::infra(text).hint("name it with CULLET_SHARED_CACHE"));
            }
            return Err(gone(&name).because(error));
        };
        // It is not evicted while it is read: it stays open.
        match (backing.blobs().get(digest).await, backing.trouble()) {
            (Ok(blob), _) => Ok(blob),
            (Err(_), Some(trouble)) => {
                let place = clean::line(backing.place());
                Err(CliError::infra(format!("the log of {name} cannot be had from the shared cache {place}"))
                    .because(trouble))
            }
            (Err(error), None) => Err(gone(&name).because(error)),
        }
    }
}

fn gone(name: &str) -> CliError {
    CliError::infra(format!("the log of {name} is no longer in the cache"))
        .hint("run the step again, with --no-cache if need be")
}
