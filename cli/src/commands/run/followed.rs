//! A run of a cluster, shown like one of this machine.

use cullet_coordinator::Event;

use super::deliver::Written;
use super::outputs;
use super::watchers::Watchers;
use crate::cluster::follow::{Ended, Past, follow};
use crate::cluster::{Cluster, ClusterError};
use crate::config::Config;
use crate::error::{CliError, ExitStatus};
use crate::ui::duration::now_ms;
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
    pub(crate) output: Option<Written>,
}

impl Followed<'_> {
    /// Shows the run to its end, and brings its outputs.
    ///
    /// # Errors
    /// The cluster could not be reached for too long.
    pub(crate) async fn show(self) -> Result<ExitStatus, CliError> {
        let watchers = self.watchers;
        let mut times = Times { began_ms: now_ms(), last_ms: 0 };
        let mut tell = |event: &Event, at_ms: Option<u64>| {
            watchers.event_at(event, Some(times.next(at_ms, now_ms())));
        };
        let ended = follow(self.cluster, self.run, self.past, &mut tell).await;
        let Ended { mut end, at_ms } = ended.map_err(|error| lost(error, self.run))?;
        let mut written = None;
        if let Some(to) = self.output.filter(|_| end.status == "succeeded") {
            match outputs::bring(self.config, self.cluster, self.run, &to, watchers).await {
                Ok(()) => written = Some(to.closing()),
                // As on one machine: what was asked for is not there.
                Err(why) => (end.status, end.reason) = ("infra_failed".to_owned(), Some(why)),
            }
        }
        let status = super::exit_status(&end);
        watchers.event_at(&Event::RunFinished(end), Some(at_ms));
        watchers.close(&Closing { outputs: written, cluster: true, ..Closing::default() });
        Ok(status)
    }
}

/// Times of events that come from elsewhere and by different ways, so that they do not go back.
#[derive(Debug)]
struct Times {
    /// When we began to follow.
    began_ms: u64,
    last_ms: u64,
}

impl Times {
    /// The time of the next event, which is `at_ms` where it is known. What is told of the past without a time, as the
    /// lines of a log are, was then, not now.
    fn next(&mut self, at_ms: Option<u64>, now_ms: u64) -> u64 {
        let past = self.last_ms < self.began_ms;
        let at_ms = at_ms.unwrap_or(if past { self.last_ms } else { now_ms });
        self.last_ms = self.last_ms.max(at_ms);
        self.last_ms
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_do_not_go_back_and_the_past_stays_the_past() {
        let mut times = Times { began_ms: 1000, last_ms: 0 };
        // A replay, then what happens while we watch.
        assert_eq!(times.next(Some(400), 1001), 400);
        assert_eq!(times.next(None, 1001), 400);
        assert_eq!(times.next(Some(1100), 1200), 1100);
        assert_eq!(times.next(None, 1500), 1500);
        assert_eq!(times.next(Some(1300), 1600), 1500);
    }
}
