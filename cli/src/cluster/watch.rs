//! The events of a run, each once, whichever coordinator tells them.

use std::time::Duration;

use cullet_proto::v1;
use tokio::time::timeout;
use tonic::{Status, Streaming};

use super::client::{Failure, refused, report};
use super::outage::Outage;
use super::verdict::Verdict;
use super::{Cluster, ClusterError};

/// What opening a stream may take.
pub(super) const OPENING: Duration = Duration::from_secs(10);

/// How long nobody may answer while a run is followed. Longer than for a question: all coordinators may be started
/// anew, one after the other, and the run survives that.
pub(super) const FOLLOWING: Duration = Duration::from_secs(60);

/// A stream that is silent for so long is opened anew at another coordinator: the one that serves it may be cut off
/// from the others without knowing. Where nothing happened this costs three calls a minute.
pub(super) const SILENCE: Duration = Duration::from_secs(20);

/// Follows the events of one run.
#[derive(Debug)]
pub(crate) struct Watch {
    cluster: Cluster,
    run: String,
    after: u64,
    open: Option<(usize, Streaming<v1::RunEvent>)>,
    outage: Outage,
}

impl Watch {
    /// From the first event on.
    pub(crate) fn new(cluster: Cluster, run: impl Into<String>) -> Self {
        Self { cluster, run: run.into(), after: 0, open: None, outage: Outage::new(FOLLOWING) }
    }

    /// The next event. After [`v1::RunFinished`] there is none. Dropping the future loses nothing.
    ///
    /// # Errors
    /// Nobody answered for a minute, or the run is not known.
    pub(crate) async fn next(&mut self) -> Result<v1::RunEvent, ClusterError> {
        loop {
            let failure = match self.step().await {
                Ok(Some(event)) => return Ok(event),
                Ok(None) => continue,
                Err(failure) => failure,
            };
            self.open = None;
            self.outage.heard(&failure.status);
            let pause = match failure.verdict {
                Verdict::Final => return Err(refused(&failure.status)),
                Verdict::Later(pause) => pause,
                Verdict::Elsewhere => {
                    let pause = self.outage.pause().ok_or_else(|| self.cluster.given_up())?;
                    self.cluster.tell(&self.outage, report);
                    pause
                }
            };
            tracing::debug!(run = self.run, after = self.after, status = %failure.status, "watching again");
            tokio::time::sleep(pause).await;
        }
    }

    async fn step(&mut self) -> Result<Option<v1::RunEvent>, Failure> {
        let Some((server, stream)) = &mut self.open else {
            self.open = Some(self.begin().await?);
            return Ok(None);
        };
        let server = *server;
        match timeout(SILENCE, stream.message()).await {
            Ok(Ok(Some(event))) => self.take(server, event),
            Ok(Ok(None)) => {
                Err(self.cluster.failed(server, Status::unavailable("it stopped in the middle of a run")))
            }
            Ok(Err(status)) => Err(self.cluster.failed(server, status)),
            Err(_) => {
                self.outage.over();
                self.open = None;
                self.cluster.leave(server);
                Ok(None)
            }
        }
    }

    async fn begin(&self) -> Result<(usize, Streaming<v1::RunEvent>), Failure> {
        let request = v1::WatchRunRequest { run: self.run.clone(), after: self.after };
        let (server, answer) =
            self.cluster.ask(OPENING, |mut client| async move { client.watch_run(request).await }).await?;
        Ok((server, answer.into_inner()))
    }

    /// None for an event that is known already.
    fn take(&mut self, server: usize, event: v1::RunEvent) -> Result<Option<v1::RunEvent>, Failure> {
        if event.sequence <= self.after {
            return Ok(None);
        }
        if event.sequence > self.after + 1 {
            let gap = format!("it told event {} after {}", event.sequence, self.after);
            return Err(self.cluster.failed(server, Status::data_loss(gap)));
        }
        self.after = event.sequence;
        self.outage.over();
        Ok(Some(event))
    }
}
