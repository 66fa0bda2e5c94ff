//! Who answers a call: this coordinator, or the one that leads.

use std::sync::Arc;
use std::time::Duration;

use cullet_core::RunId;
use cullet_proto::v1;
use cullet_proto::v1::runs_client::RunsClient;
use tokio::time::timeout;
use tonic::metadata::MetadataValue;
use tonic::transport::Channel;
use tonic::{Code, Request, Response, Status};

use crate::attempts::parse_run;
use crate::cluster::{FORWARDED, connect};
use crate::engine::{Engine, Leading};
use crate::policy::{Denied, Policy, Rights};
use crate::raft::Node;

/// How long a call waits for a leader that was elected a moment ago: it confirms itself first. Together with an election
/// that is about what a client is told to wait.
const TAKEOVER: Duration = Duration::from_secs(2);

/// How long a call that was passed on may take.
const FORWARD: Duration = Duration::from_secs(15);

/// How long a follower that lags may take until it knows what the leader knows.
const CATCH_UP: Duration = Duration::from_secs(5);

/// The state of a run with a hundred thousand steps has some twenty megabytes.
pub(super) const MAX_ANSWER: usize = 256 << 20;

/// Who answers.
pub(super) enum Who {
    /// This coordinator leads.
    Here(Arc<Leading>),
    /// Another one does, there.
    There(Channel),
}

/// Finds out who answers a call that only the leader can.
pub(super) async fn leader<T>(engine: &Engine, request: &Request<T>) -> Result<Who, Status> {
    if let Some(leading) = engine.leading() {
        return Ok(Who::Here(leading));
    }
    let seat = engine.seat();
    let node = seat.node().ok_or_else(no_cluster)?;
    let elsewhere = || node.leader().filter(|leader| leader.id != seat.id());
    if elsewhere().is_none()
        && let Some(leading) = engine.leading_within(TAKEOVER).await
    {
        return Ok(Who::Here(leading));
    }
    let Some(leader) = elsewhere() else {
        return Err(Status::unavailable("no coordinator leads right now; try again"));
    };
    if request.metadata().get(FORWARDED).is_some() {
        return Err(Status::unavailable("the coordinators do not agree on who leads; try again"));
    }
    let channel = connect(seat.dial(), &leader.address, FORWARD);
    channel.map(Who::There).map_err(|error| Status::unavailable(error.to_string()))
}

pub(super) fn no_cluster() -> Status {
    Status::unavailable("this coordinator has not found its cluster yet")
}

/// Nothing new arrives here.
pub(super) fn cut_off() -> Status {
    Status::unavailable("this coordinator does not hear of the others; ask another")
}

/// The header that says who calls.
pub(super) const AUTHORIZATION: &str = "authorization";

/// What a call may do.
pub(super) fn rights<'a, T>(policy: &'a Policy, request: &Request<T>) -> Result<Rights<'a>, Denied> {
    policy.rights(request.metadata().get(AUTHORIZATION).map(MetadataValue::as_encoded_bytes))
}

/// The same call to the leader, by whoever called here.
pub(super) async fn pass_on<Q, A, F>(
    channel: Channel,
    called: Request<Q>,
    call: impl FnOnce(RunsClient<Channel>, Request<Q>) -> F,
) -> Result<Response<A>, Status>
where
    F: Future<Output = Result<Response<A>, Status>>,
{
    // The leader's answer is passed on as it is.
    let answer =
        call(RunsClient::new(channel).max_decoding_message_size(MAX_ANSWER), forwarded(called)).await;
    answer.map_err(of_the_leader)
}

/// The same request for the leader, by whoever called here.
pub(super) fn forwarded<Q>(called: Request<Q>) -> Request<Q> {
    let caller = called.metadata().get(AUTHORIZATION).cloned();
    let mut request = Request::new(called.into_inner());
    if let Some(caller) = caller {
        request.metadata_mut().insert(AUTHORIZATION, caller);
    }
    request.metadata_mut().insert(FORWARDED, MetadataValue::from_static("1"));
    request
}

/// Where nothing was decided, who says so: what another coordinator says of itself is not true of this one.
pub(super) fn of_the_leader(status: Status) -> Status {
    if status.code() != Code::Unavailable {
        return status;
    }
    let mut why = status.message().to_owned();
    let mut cause = std::error::Error::source(&status);
    let is_answer = cause.is_none();
    while let Some(source) = cause {
        why = source.to_string();
        cause = source.source();
    }
    let how = if is_answer { "says" } else { "cannot be reached" };
    Status::unavailable(format!("the coordinator that led last {how}: {why}"))
}

/// A run's name in a request.
pub(super) fn run_id(text: &str) -> Result<RunId, Status> {
    parse_run(text)
        .ok_or_else(|| Status::invalid_argument("a run is named by 32 lower-case hexadecimal digits"))
}

/// There is no such run, or it was forgotten.
pub(super) fn unknown(run: RunId) -> Status {
    Status::not_found(format!("there is no run {run}; runs that ended long ago are forgotten"))
}

/// What the leader has to answer from is up to date.
pub(super) async fn up_to_date(leading: &Leading) -> Result<(), Status> {
    leading.node().barrier().await.map_err(|error| Status::unavailable(error.to_string()))
}

/// This coordinator's part in raft, once it knows the run. Asks the leader where it does not.
pub(super) async fn knowing<T>(engine: &Engine, run: RunId, request: &Request<T>) -> Result<Node, Status> {
    let node = engine.seat().node().ok_or_else(no_cluster)?;
    let knows = |node: &Node| node.state().read().state.run(run).is_some();
    if knows(&node) {
        return Ok(node);
    }
    match leader(engine, request).await? {
        Who::Here(leading) => {
            up_to_date(&leading).await?;
            if knows(&node) { Ok(node) } else { Err(unknown(run)) }
        }
        Who::There(channel) => {
            let asked = Request::new(v1::GetRunRequest { run: run.to_string() });
            pass_on(channel, asked, |mut client, request| async move { client.get_run(request).await })
                .await?;
            let mut applied = node.state().watch();
            let arrives = async { while !knows(&node) && applied.changed().await.is_ok() {} };
            let arrived = timeout(CATCH_UP, arrives).await.is_ok() && knows(&node);
            if arrived {
                Ok(node)
            } else {
                Err(Status::unavailable("this coordinator lags behind; ask another"))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_leader_says_of_itself_is_said_to_be_its_own() {
        let told = of_the_leader(no_cluster());
        let said = "the coordinator that led last says: this coordinator has not found its cluster yet";
        assert_eq!((told.code(), told.message()), (Code::Unavailable, said));
        let broken = Status::from_error(Box::new(std::io::Error::other("connection refused")));
        let broken = of_the_leader(broken);
        assert!(broken.message().contains("connection refused"), "{broken:?}");
        assert_eq!(of_the_leader(Status::not_found("no run")).message(), "no run");
    }
}
