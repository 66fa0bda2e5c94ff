//! The coordinators of a cluster, of which any may be asked.

use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use cullet_proto::v1;
use cullet_proto::v1::cluster_client::ClusterClient;
use cullet_proto::v1::runs_client::RunsClient;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;
use tonic::Status;
use tonic::transport::Channel;

use super::addresses::address;
use super::outage::Outage;
use super::server::{Failed, Server};
use super::verdict::{Verdict, verdict, was_answered, why};
use super::{Addresses, ClusterError};
use crate::config::ClusterToken;
use crate::diagnostics;
use crate::ui::duration::human;

/// The largest answer that is taken: the names of a million steps, and no more than memory takes.
pub(super) const MESSAGE: usize = 256 << 20;

/// Coordinators that are remembered, those learned from others included. Larger clusters make raft slow, not safe.
const MOST: usize = 16;

/// How long to try.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Patience {
    /// What one coordinator gets for one answer.
    pub(crate) answer: Duration,
    /// How long nobody may answer.
    pub(crate) outage: Duration,
    /// How long the cluster may have no room.
    pub(crate) queue: Duration,
    /// Tells a person once what is waited for, in the words of who asks to wait.
    pub(crate) say: fn(&str),
    /// Tells a person once that nobody can be reached, and for how long it is tried.
    pub(crate) tell: fn(&str),
}

/// Tells a person on standard error.
pub(super) fn report(text: &str) {
    diagnostics::report(&format!("{text}\n"));
}

impl Patience {
    /// For a question that any coordinator answers from what it knows. An election or a restart takes seconds; after
    /// half a minute a person has to look.
    pub(crate) const ASKING: Self = Self {
        answer: Duration::from_secs(10),
        outage: Duration::from_secs(30),
        queue: Duration::from_secs(30),
        say: |_| {},
        tell: report,
    };
}

/// A cluster. Clones share everything.
#[derive(Debug, Clone)]
pub(crate) struct Cluster {
    servers: Arc<Mutex<Servers>>,
    /// Who asks.
    token: Option<ClusterToken>,
}

#[derive(Debug)]
struct Servers {
    list: Vec<Server>,
    current: usize,
    /// A person knows that it is tried in vain, until it is not any more.
    told: bool,
}

/// A call that failed.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) status: Status,
    pub(super) verdict: Verdict,
}

impl Cluster {
    /// The cluster of these coordinators. Within a runtime only. Nothing is connected before it is used.
    pub(crate) fn connect(addresses: &Addresses) -> Result<Self, ClusterError> {
        let list: Result<Vec<_>, _> = addresses.urls().iter().map(|url| Server::new(url)).collect();
        let servers = Servers { list: list?, current: 0, told: false };
        Ok(Self { servers: Arc::new(Mutex::new(servers)), token: None })
    }

    /// The same, asked by whoever has this token.
    #[must_use]
    pub(crate) fn known_as(self, token: Option<&ClusterToken>) -> Self {
        Self { token: token.cloned(), ..self }
    }

    /// A question that says who asks.
    pub(crate) fn question<T>(&self, message: T) -> tonic::Request<T> {
        ClusterToken::ask(self.token.as_ref(), message)
    }

    /// Where the coordinators are, as far as it is known.
    pub(crate) fn urls(&self) -> Vec<String> {
        self.lock().list.iter().map(|server| server.url.clone()).collect()
    }

    /// Its workers, as whichever coordinator answers knows them.
    pub(crate) async fn workers(&self) -> Result<Vec<v1::WorkerStatus>, ClusterError> {
        let ask = |channel| async move { ClusterClient::new(channel).status(v1::StatusRequest {}).await };
        Ok(self.retried(Patience::ASKING, ask).await?.workers)
    }

    /// Makes sure that somebody is there, and learns from them where the others are: the one that was named may go
    /// away.
    ///
    /// # Errors
    /// Nobody answered for as long as it is tried.
    pub(crate) async fn reach(&self) -> Result<(), ClusterError> {
        let ask = |channel| async move { ClusterClient::new(channel).status(v1::StatusRequest {}).await };
        let status = match self.retried(Patience::ASKING, ask).await {
            Ok(status) => status,
            // It is there, and what it is the next question will show.
            Err(ClusterError::Refused { .. }) => return Ok(()),
            Err(error) => return Err(error),
        };
        let mut servers = self.lock();
        for member in status.members {
            let Ok(url) = address(&member.address) else { continue };
            if servers.list.len() < MOST
                && servers.list.iter().all(|server| server.url != url)
                && let Ok(server) = Server::new(&url)
            {
                servers.list.push(server);
            }
        }
        Ok(())
    }

    /// The answer of whichever coordinator gives one.
    pub(crate) async fn call<T, F>(
        &self,
        patience: Patience,
        call: impl Fn(RunsClient<Channel>) -> F,
    ) -> Result<T, ClusterError>
    where
        F: Future<Output = Result<tonic::Response<T>, Status>>,
    {
        self.retried(patience, |channel| call(client(channel))).await
    }

    /// The same until `stop` is cancelled: the call that is under way then is the last one.
    ///
    /// # Errors
    /// Besides those of a call, [`ClusterError::Stopped`].
    pub(crate) async fn call_until<T, F>(
        &self,
        stop: &CancellationToken,
        patience: Patience,
        call: impl Fn(RunsClient<Channel>) -> F,
    ) -> Result<T, ClusterError>
    where
        F: Future<Output = Result<tonic::Response<T>, Status>>,
    {
        self.retried_until(stop, patience, |channel| call(client(channel))).await
    }

    /// The answer to a call of any service.
    pub(super) async fn retried<T, F>(
        &self,
        patience: Patience,
        call: impl Fn(Channel) -> F,
    ) -> Result<T, ClusterError>
    where
        F: Future<Output = Result<tonic::Response<T>, Status>>,
    {
        self.retried_until(&CancellationToken::new(), patience, call).await
    }

    async fn retried_until<T, F>(
        &self,
        stop: &CancellationToken,
        patience: Patience,
        call: impl Fn(Channel) -> F,
    ) -> Result<T, ClusterError>
    where
        F: Future<Output = Result<tonic::Response<T>, Status>>,
    {
        let mut outage = Outage::new(patience.outage);
        let mut full_since: Option<Instant> = None;
        let mut said = false;
        loop {
            if stop.is_cancelled() {
                return Err(ClusterError::Stopped);
            }
            let began = Instant::now();
            let failure = match self.attempt(patience.answer, &call).await {
                Ok((_, answer)) => return Ok(answer.into_inner()),
                Err(failure) => failure,
            };
            if !said && (was_answered(&failure.status) || matches!(failure.verdict, Verdict::Later(_))) {
                (patience.say)(&why(&failure.status));
                said = true;
            }
            let pause = match failure.verdict {
                Verdict::Final => return Err(refused(&failure.status)),
                Verdict::Elsewhere => {
                    outage.since(began);
                    let pause = outage.pause().ok_or_else(|| self.given_up())?;
                    self.tell(&outage, patience.tell);
                    pause
                }
                Verdict::Later(pause) => {
                    outage.over();
                    let since = *full_since.get_or_insert_with(Instant::now);
                    if since.elapsed() + pause > patience.queue {
                        let message = why(&failure.status);
                        return Err(ClusterError::Busy { message, after: since.elapsed() });
                    }
                    pause
                }
            };
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = stop.cancelled() => {}
            }
        }
    }

    /// One call to the coordinator that is used now, and the position of that one.
    pub(super) async fn ask<T, F>(
        &self,
        deadline: Duration,
        call: impl FnOnce(RunsClient<Channel>) -> F,
    ) -> Result<(usize, T), Failure>
    where
        F: Future<Output = Result<T, Status>>,
    {
        self.attempt(deadline, |channel| call(client(channel))).await
    }

    async fn attempt<T, F>(
        &self,
        deadline: Duration,
        call: impl FnOnce(Channel) -> F,
    ) -> Result<(usize, T), Failure>
    where
        F: Future<Output = Result<T, Status>>,
    {
        let (position, channel) = self.current();
        let late = || Status::deadline_exceeded(format!("no answer within {} s", deadline.as_secs()));
        match timeout(deadline, call(channel)).await.unwrap_or_else(|_| Err(late())) {
            Ok(answer) => {
                let mut servers = self.lock();
                servers.list[position].failed = None;
                servers.told = false;
                Ok((position, answer))
            }
            Err(status) => Err(self.failed(position, status)),
        }
    }

    fn current(&self) -> (usize, Channel) {
        let servers = self.lock();
        (servers.current, servers.list[servers.current].channel.clone())
    }

    /// Remembers a failure of the coordinator at `position`, also one in the middle of an answer, and uses the next
    /// one where that may help.
    pub(super) fn failed(&self, position: usize, status: Status) -> Failure {
        let verdict = verdict(&status);
        if verdict == Verdict::Elsewhere {
            let failed = Failed { why: why(&status), answered: was_answered(&status) };
            self.lock().list[position].failed = Some(failed);
            self.leave(position);
        }
        Failure { status, verdict }
    }

    /// Uses the coordinator after `position`, unless somebody has seen to that already.
    pub(super) fn leave(&self, position: usize) {
        let mut servers = self.lock();
        if servers.current == position {
            servers.current = (position + 1) % servers.list.len();
        }
    }

    /// What to say when nothing helped. A coordinator that is there and says why it cannot knows more than those that
    /// are not there.
    pub(super) fn given_up(&self) -> ClusterError {
        let servers = self.lock();
        let failed = || servers.list.iter().filter_map(|server| Some((&server.url, server.failed.as_ref()?)));
        match failed().find(|(_, failed)| failed.answered) {
            Some((_, failed)) => ClusterError::Unavailable { message: failed.why.clone() },
            None => {
                let tried = failed().map(|(url, failed)| (url.clone(), failed.why.clone())).collect();
                ClusterError::Unreachable { tried }
            }
        }
    }

    /// Tells a person what is tried in vain, and for how much longer: once, whoever tries, until somebody answers.
    pub(super) fn tell(&self, outage: &Outage, tell: fn(&str)) {
        let Some(left) = outage.wondered_at() else { return };
        let told = std::mem::replace(&mut self.lock().told, true);
        if !told {
            tell(&format!("{}; trying for {} more", self.given_up(), human(left)));
        }
    }

    fn lock(&self) -> MutexGuard<'_, Servers> {
        // What a panicking thread left behind is still a list of servers.
        self.servers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn client(channel: Channel) -> RunsClient<Channel> {
    RunsClient::new(channel).max_decoding_message_size(MESSAGE)
}

/// A no that everybody would say.
pub(super) fn refused(status: &Status) -> ClusterError {
    let message = match status.message() {
        "" => status.code().description().to_owned(),
        message => message.to_owned(),
    };
    ClusterError::Refused { code: status.code(), message }
}
