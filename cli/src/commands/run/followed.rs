//! A run of a cluster, shown like one of this machine.

use std::path::PathBuf;

use cullet_coordinator::Event;

use super::outputs;
use super::watchers::Watchers;
use crate::cluster::follow::{Ended, Past, follow};
use crate::cluster::{Cluster, ClusterError};
use crate::config::Config;
use crate::error::{CliError, ExitStatus};
use crate::ui::{Closing, short};

/// A run to follow.
pub(crate) struct Followed<'a> {
    pub(crate) config: &'a Config,
    pub(crate) cluster: &'a Cluster,
    pub(crate) run: &'a str,
    pub(crate) watchers: &'a Watchers,
    /// What is known not to need its log.
    pub(crate) past: Past,
    /// Where outputs go.
    pub(crate) output: Option<PathBuf>,
}

impl Followed<'_> {
    /// Shows the run to its end, and brings its outputs.
    ///
    /// # Errors
    /// The cluster could not be reached for too long.
    pub(crate) async fn show(self) -> Result<ExitStatus, CliError> {
        let watchers = self.watchers;
        let mut tell = |event: &Event, at_ms: Option<u64>| watchers.event_at(event, at_ms);
        let ended = follow(self.cluster, self.run, self.past, &mut tell).await;
        let Ended { mut end, at_ms } = ended.map_err(|error| lost(error, self.run))?;
        let mut written = None;
        if let Some(dir) = self.output.filter(|_| end.status == "succeeded") {
            match outputs::bring(self.config, self.cluster, self.run, dir).await {
                Ok(outputs) => written = Some(outputs),
                // As on one machine: what was asked for is not there.
                Err(why) => (end.status, end.reason) = ("infra_failed".to_owned(), Some(why)),
            }
        }
        let status = super::exit_status(&end);
        watchers.event_at(&Event::RunFinished(end), Some(at_ms));
        watchers.close(&Closing { outputs: written });
        Ok(status)
    }
}

/// The run goes on without us, and can be found again.
fn lost(error: ClusterError, run: &str) -> CliError {
    let unreachable = matches!(error, ClusterError::Unreachable { .. } | ClusterError::Unavailable { .. });
    let error = CliError::from(error);
    match unreachable {
        true => error.hint(format!("the run goes on: cullet attach {}", short(run))),
        false => error,
    }
}
