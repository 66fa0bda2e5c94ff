//! What an attempt printed, each byte once, whichever coordinator sends it.

use std::time::Duration;

use bytes::{Buf as _, Bytes};
use cullet_cache::Stream;
use cullet_proto::v1;
use cullet_proto::v1::log_chunk;
use tokio::time::timeout;
use tonic::{Code, Status, Streaming};

use super::client::{Failure, refused, report};
use super::outage::Outage;
use super::verdict::Verdict;
use super::watch::{OPENING, SILENCE};
use super::{Cluster, ClusterError};

/// What to make of a log that is not there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Missing {
    /// It may come: the attempt has only just started, or its worker is out of reach.
    MayCome,
    /// It is an error.
    IsFinal,
}

/// Reads one log from a byte on.
#[derive(Debug)]
pub(crate) struct LogTail {
    cluster: Cluster,
    request: v1::ReadLogRequest,
    missing: Missing,
    open: Option<(usize, Streaming<v1::LogChunk>)>,
    outage: Outage,
}

/// Bytes of one stream, in the order in which they were printed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Printed {
    pub(crate) stream: Stream,
    pub(crate) data: Bytes,
}

impl LogTail {
    /// Reads what is asked for. For `patience` nobody may answer, and nothing need arrive where it may still come.
    pub(crate) fn new(
        cluster: Cluster,
        request: v1::ReadLogRequest,
        missing: Missing,
        patience: Duration,
    ) -> Self {
        Self { cluster, request, missing, open: None, outage: Outage::new(patience) }
    }

    /// What comes next; none at the end. Dropping the future loses nothing.
    ///
    /// # Errors
    /// Nobody answered for as long as it was tried, or there is no such log.
    pub(crate) async fn next(&mut self) -> Result<Option<Printed>, ClusterError> {
        loop {
            let failure = match self.step().await {
                Ok(Step::Printed(printed)) => return Ok(Some(printed)),
                Ok(Step::End) => return Ok(None),
                Ok(Step::Again) => continue,
                Err(failure) => failure,
            };
            self.open = None;
            self.outage.heard(&failure.status);
            let may_come = failure.status.code() == Code::NotFound && self.missing == Missing::MayCome;
            let pause = match failure.verdict {
                Verdict::Final if !may_come => return Err(refused(&failure.status)),
                Verdict::Later(pause) => pause,
                Verdict::Final => self.outage.pause().ok_or_else(|| refused(&failure.status))?,
                Verdict::Elsewhere => {
                    let pause = self.outage.pause().ok_or_else(|| self.cluster.given_up())?;
                    self.cluster.tell(&self.outage, report);
                    pause
                }
            };
            tracing::debug!(step = self.request.step, status = %failure.status, "reading a log again");
            tokio::time::sleep(pause).await;
        }
    }

    async fn step(&mut self) -> Result<Step, Failure> {
        let Some((server, stream)) = &mut self.open else {
            self.open = Some(self.begin().await?);
            return Ok(Step::Again);
        };
        let server = *server;
        match timeout(SILENCE, stream.message()).await {
            Ok(Ok(Some(chunk))) => self.take(server, chunk),
            Ok(Ok(None)) => Ok(Step::End),
            Ok(Err(status)) => Err(self.cluster.failed(server, status)),
            Err(_) => {
                self.outage.over();
                self.open = None;
                self.cluster.leave(server);
                Ok(Step::Again)
            }
        }
    }

    async fn begin(&self) -> Result<(usize, Streaming<v1::LogChunk>), Failure> {
        let request = self.request.clone();
        let (server, answer) =
            self.cluster.ask(OPENING, |mut client| async move { client.read_log(request).await }).await?;
        Ok((server, answer.into_inner()))
    }

    /// What is new of a chunk: the next coordinator may cut the log elsewhere.
    fn take(&mut self, server: usize, chunk: v1::LogChunk) -> Result<Step, Failure> {
        let stream = match chunk.stream() {
            log_chunk::Stream::Stderr => Stream::Stderr,
            log_chunk::Stream::Stdout | log_chunk::Stream::Unspecified => Stream::Stdout,
        };
        let (at, mut data) = (self.request.offset, chunk.data);
        let Some(known) = at.checked_sub(chunk.offset) else {
            let gap = format!("it left out bytes {at} to {} of a log", chunk.offset);
            return Err(self.cluster.failed(server, Status::data_loss(gap)));
        };
        if known >= data.len() as u64 {
            return Ok(Step::Again);
        }
        // Less than its length, so it fits.
        data.advance(known as usize);
        self.request.offset += data.len() as u64;
        self.outage.over();
        Ok(Step::Printed(Printed { stream, data }))
    }
}

/// What one look at the stream gave.
enum Step {
    Printed(Printed),
    End,
    Again,
}
