//! Clients of coordinators.

use std::error::Error as _;
use std::time::Duration;

use cullet_proto::v1;
use cullet_proto::v1::runs_client::RunsClient;
use tonic::transport::{Channel, Endpoint};
use tonic_types::StatusExt;

use crate::Result;

/// How long a call may take before another coordinator is asked.
const PATIENCE: Duration = Duration::from_millis(500);

/// Between two tries.
const PAUSE: Duration = Duration::from_millis(10);

/// Connections of one client that may break.
const MAX_BROKEN: usize = 10;

/// All coordinators, one after the other where one does not answer.
#[derive(Clone)]
pub(super) struct Client {
    channels: Vec<Channel>,
    /// The same for calls that last.
    streams: Vec<Channel>,
    at: usize,
}

impl Client {
    pub(super) fn new(urls: &[String], at: usize) -> Result<Self> {
        let channel = |url: &String| -> Result<Channel> {
            let endpoint = Endpoint::from_shared(url.clone())?.connect_timeout(PATIENCE).tcp_nodelay(true);
            Ok(endpoint.timeout(PATIENCE).connect_lazy())
        };
        let stream = |url: &String| -> Result<Channel> {
            Ok(Endpoint::from_shared(url.clone())?.tcp_nodelay(true).connect_lazy())
        };
        let channels = urls.iter().map(channel).collect::<Result<_>>()?;
        Ok(Self { channels, streams: urls.iter().map(stream).collect::<Result<_>>()?, at })
    }

    /// The same without a deadline: what is slow is measured, not given up.
    pub(super) fn patient(self) -> Self {
        Self { channels: self.streams.clone(), ..self }
    }

    fn runs(&self) -> RunsClient<Channel> {
        RunsClient::new(self.channels[self.at % self.channels.len()].clone())
    }

    /// Submits until it is taken in, coming back when it is told to. Gives the times that it was told to wait.
    ///
    /// # Errors
    /// It was not taken in for another reason than a lack of room, or not told when to come back; or connections broke more
    /// often than any client tries.
    pub(super) async fn insist(&self, pipeline: &str) -> Result<Vec<Duration>> {
        let (request, mut waits) = (request(pipeline), Vec::new());
        let mut broken = 0;
        loop {
            let Err(status) = self.runs().submit(request.clone()).await else { return Ok(waits) };
            // Who did not even get through was not refused.
            if status.source().is_some() && broken < MAX_BROKEN {
                broken += 1;
                tokio::time::sleep(PAUSE).await;
                continue;
            }
            let told = status.get_details_retry_info().and_then(|info| info.retry_delay);
            let told = told.filter(|_| status.code() == tonic::Code::ResourceExhausted);
            let wait = told.ok_or_else(|| format!("refused without a time to come back: {status}"))?;
            waits.push(wait);
            tokio::time::sleep(wait).await;
        }
    }

    /// Submits until somebody answers, and gives the run.
    pub(super) async fn submit(&mut self, pipeline: &str) -> String {
        let request = request(pipeline);
        loop {
            match self.runs().submit(request.clone()).await {
                Ok(answer) => return answer.into_inner().run,
                Err(_) => {
                    self.at += 1;
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
    }

    /// A run, from somebody who answers.
    pub(super) async fn get(&mut self, run: &str) -> Option<v1::Run> {
        loop {
            match self.runs().get_run(v1::GetRunRequest { run: run.to_owned() }).await {
                Ok(answer) => return answer.into_inner().run,
                Err(status) if status.code() == tonic::Code::NotFound => return None,
                Err(_) => {
                    self.at += 1;
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
    }

    /// Waits for the end of a run.
    pub(super) async fn end(&mut self, run: &str) -> Result<()> {
        // Streams last as long as what they are about.
        let mut runs = RunsClient::new(self.streams[self.at % self.streams.len()].clone());
        // Nothing is told but the end: a put has no story either.
        let watch = v1::WatchRunRequest { run: run.to_owned(), after: u64::MAX };
        let mut events = runs.watch_run(watch).await?.into_inner();
        while events.message().await?.is_some() {}
        Ok(())
    }
}

fn request(pipeline: &str) -> v1::SubmitRequest {
    v1::SubmitRequest {
        request_id: format!("{:032x}", fastrand::u128(..)),
        pipeline: pipeline.as_bytes().to_vec().into(),
        ..v1::SubmitRequest::default()
    }
}
