//! Clients that submit, look and cancel, and note what they were told.

use std::time::Duration;

use cullet_proto::v1;
use cullet_proto::v1::runs_client::RunsClient;
use cullet_tests::calls::{Answered, Asked, Call};
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Status};

use super::ledger::{Ledger, now};
use super::pipeline::pipeline;
use crate::chance::Chance;
use crate::network;

/// How long a client waits for an answer.
const PATIENCE: Duration = Duration::from_secs(2);

/// Requests of one run: the workers are done with so many in half of the time that there is after the last fault.
const MOST: u64 = 40;

/// One client.
pub(crate) struct Client {
    pub(crate) host: String,
    pub(crate) seed: u64,
    pub(crate) coordinators: Vec<String>,
    pub(crate) ledger: Ledger,
    pub(crate) chance: Chance,
}

impl Client {
    /// Until the simulation ends.
    pub(crate) async fn go_on(mut self) {
        let mut channel = self.connect();
        loop {
            tokio::time::sleep(self.chance.millis(20..=400)).await;
            let Some((asked, request)) = self.choose() else { continue };
            // Something on the way may have doubled it, and the two come to different coordinators.
            if asked == Asked::Submit && self.chance.percent(15) {
                let other = self.connect();
                tokio::join!(self.call(&channel, asked, request), self.call(&other, asked, request));
                continue;
            }
            // A submission is repeated with its request until it is known what became of it.
            for _ in 0..3 {
                let answered = self.call(&channel, asked, request).await;
                if answered != Answered::Unknown {
                    break;
                }
                channel = self.connect();
                if asked != Asked::Submit {
                    break;
                }
            }
        }
    }

    fn connect(&mut self) -> Channel {
        let address = self.chance.pick(&self.coordinators).clone();
        let Ok(endpoint) = Endpoint::from_shared(address) else { panic!("a host has no address") };
        let endpoint = endpoint.connect_timeout(Duration::from_millis(500)).timeout(PATIENCE);
        network::dial().connect_lazy(&endpoint)
    }

    /// What to ask next.
    fn choose(&mut self) -> Option<(Asked, u64)> {
        let mut pages = self.ledger.open();
        let some = (pages.requests > 0).then(|| 1 + self.chance.next() % pages.requests.max(1));
        if pages.closed {
            return Some((Asked::Get, some?));
        }
        match self.chance.among(0..=99) {
            0..55 if pages.requests < MOST => {
                pages.requests += 1;
                Some((Asked::Submit, pages.requests))
            }
            0..85 => Some((Asked::Get, some?)),
            _ => Some((Asked::Cancel, some?)),
        }
    }

    async fn call(&self, channel: &Channel, asked: Asked, request: u64) -> Answered {
        let began = now();
        let mut client = RunsClient::new(channel.clone());
        let run = self.ledger.open().runs.get(&request).cloned();
        let asking = async {
            match (asked, run) {
                (Asked::Submit, _) => {
                    let answer = client.submit(self.submission(request)).await?.into_inner();
                    self.ledger.open().runs.insert(request, answer.run);
                    Ok(Answered::Taken { existed: answer.existed })
                }
                (_, None) => Ok(Answered::Unknown),
                (Asked::Get, Some(run)) => {
                    let answer = client.get_run(v1::GetRunRequest { run }).await?.into_inner();
                    let summary = answer.run.and_then(|run| run.summary).unwrap_or_default();
                    Ok(Answered::Status(summary.status))
                }
                (Asked::Cancel, Some(run)) => {
                    let answer = client.cancel_run(v1::CancelRunRequest { run }).await?.into_inner();
                    Ok(Answered::Cancelled { had_ended: answer.had_ended })
                }
            }
        };
        let answered = match tokio::time::timeout(PATIENCE, asking).await {
            Ok(Ok(answered)) => answered,
            Ok(Err(status)) => unanswered(&status),
            Err(_) => Answered::Unknown,
        };
        let mut pages = self.ledger.open();
        let ended = now();
        pages.lines.push(format!("{ended} {} {asked:?} {request}: {answered:?}", self.host));
        pages.calls.push(Call { asked, request, began, ended, answered: answered.clone() });
        answered
    }

    fn submission(&self, request: u64) -> v1::SubmitRequest {
        v1::SubmitRequest {
            request_id: format!("request-{request}"),
            pipeline: pipeline(self.seed, request).into_bytes().into(),
            ..v1::SubmitRequest::default()
        }
    }
}

fn unanswered(status: &Status) -> Answered {
    match status.code() {
        Code::NotFound => Answered::Nothing,
        Code::InvalidArgument | Code::Internal => panic!("a request that is good is refused: {status}"),
        _ => Answered::Unknown,
    }
}
