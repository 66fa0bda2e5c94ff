//! From this coordinator to the others.

use std::future::Future;
use std::time::Duration;

use cullet_proto::Dial;
use cullet_proto::raft::Frame;
use cullet_proto::raft::raft_client::RaftClient;
use futures_util::{Stream, StreamExt as _};
use openraft::alias::{LogIdOf, SnapshotOf, VoteOf};
use openraft::base::{BoxFuture, BoxStream};
use openraft::errors::{NetworkError, RPCError, ReplicationClosed, StreamingError, Unreachable};
use openraft::network::RPCOption;
use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, SnapshotResponse, StreamAppendError, StreamAppendResult,
    TransferLeaderRequest, TransferLeaderResponse, VoteRequest, VoteResponse,
};
use openraft::{AnyError, OptionalSend, RaftNetworkFactory, RaftNetworkV2};
use serde::{Deserialize, Serialize};
use tokio::time::Instant;
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Status};

use super::frame::{Framing, MAX_MESSAGE};
use super::machine::SharedState;
use super::snapshot::SnapshotFile;
use super::types::{Member, NodeId, Types};
use crate::planted::{self, Bug};

/// How long a connection may take. Coordinators are near each other; an election waits for this at worst.
const CONNECT_TIMEOUT: Duration = Duration::from_millis(500);

/// How often a connection that says nothing is tried, and how long until it counts as dead. One that works in one
/// direction only would otherwise keep the others from electing a leader that hears them, for as long as TCP tries.
/// Together a little more than the time after which a leader is given up.
const KEEPALIVE: Duration = Duration::from_millis(500);
const KEEPALIVE_PATIENCE: Duration = Duration::from_secs(1);

/// Until a coordinator that could not be reached is tried again. The library waits between its requests only when it is
/// asked for one, which it is not where there is no connection to send it on.
const RETRY: Duration = Duration::from_millis(200);

/// What a vote request asks for.
#[derive(Debug, Serialize, Deserialize)]
#[serde(bound = "")]
pub(super) enum Ballot {
    /// To count.
    Vote(VoteRequest<Types>),
    /// To learn whether it would be granted.
    PreVote(VoteRequest<Types>),
}

/// The answer to streamed entries, which the library's own type has no encoding for.
#[derive(Debug, Serialize, Deserialize)]
#[serde(bound = "")]
pub(super) enum Appended {
    Stored(Option<LogIdOf<Types>>),
    Conflict(LogIdOf<Types>),
    HigherVote(VoteOf<Types>),
}

impl From<StreamAppendResult<Types>> for Appended {
    fn from(result: StreamAppendResult<Types>) -> Self {
        match result {
            Ok(log_id) => Self::Stored(log_id),
            Err(StreamAppendError::Conflict(log_id)) => Self::Conflict(log_id),
            Err(StreamAppendError::HigherVote(vote)) => Self::HigherVote(vote),
        }
    }
}

impl From<Appended> for StreamAppendResult<Types> {
    fn from(appended: Appended) -> Self {
        match appended {
            Appended::Stored(log_id) => Ok(log_id),
            Appended::Conflict(log_id) => Err(StreamAppendError::Conflict(log_id)),
            Appended::HigherVote(vote) => Err(StreamAppendError::HigherVote(vote)),
        }
    }
}

/// How far the cluster is, for the one that asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum HowFar {
    /// The index of the last entry that was answered before the call.
    Index(u64),
    /// That is nothing to it any more: it was removed.
    Removed,
}

/// Makes connections.
#[derive(Debug, Clone)]
pub(super) struct Network {
    pub(super) framing: Framing,
    pub(super) dial: Dial,
    /// Says where members are now: a connection outlives the change that moved one of them.
    pub(super) state: SharedState,
}

impl RaftNetworkFactory<Types> for Network {
    type Network = Peer;

    async fn new_client(&mut self, id: NodeId, member: &Member) -> Peer {
        self.peer(id, &member.address)
    }
}

impl Network {
    /// A coordinator at its address, to which no connection was made yet.
    pub(super) fn peer(&self, id: NodeId, address: &str) -> Peer {
        let Self { framing, dial, state } = self.clone();
        let (framing, address) = (framing.to(id), address.to_owned());
        Peer { framing, dial, state, id, address, client: None, failed_at: None, quiet: false }
    }
}

/// One other coordinator.
#[derive(Debug)]
pub(super) struct Peer {
    framing: Framing,
    dial: Dial,
    state: SharedState,
    id: NodeId,
    address: String,
    client: Option<RaftClient<Channel>>,
    /// When it could not be reached last, until it can be.
    failed_at: Option<Instant>,
    /// Nothing is said of it where it cannot be reached.
    quiet: bool,
}

type Client = RaftClient<Channel>;

impl Peer {
    /// For a question that others are asked as well.
    pub(super) fn quietly(self) -> Self {
        Self { quiet: true, ..self }
    }

    /// A connection. Made anew after every trouble: the address may lead to another machine by then.
    async fn client(&mut self) -> Result<Client, Unreachable<Types>> {
        if let Some(client) = &self.client {
            return Ok(client.clone());
        }
        if let Some(failed_at) = self.failed_at {
            tokio::time::sleep_until(failed_at + RETRY).await;
        }
        self.find();
        match self.connect().await {
            Ok(client) => {
                if self.failed_at.take().is_some() {
                    tracing::info!(peer = self.address, "reached again");
                }
                Ok(self.client.insert(client).clone())
            }
            Err(error) => {
                if self.failed_at.replace(Instant::now()).is_none() && !self.quiet {
                    tracing::warn!(peer = self.address, %error, "cannot be reached");
                }
                Err(unreachable(&error))
            }
        }
    }

    /// Looks where it is now.
    fn find(&mut self) {
        if let Some(member) = self.state.read().membership.membership().get_node(&self.id) {
            self.address.clone_from(&member.address);
        }
    }

    async fn connect(&self) -> Result<Client, tonic::transport::Error> {
        let endpoint = Endpoint::from_shared(self.address.clone())?;
        let endpoint = endpoint
            .tcp_nodelay(true)
            .connect_timeout(CONNECT_TIMEOUT)
            .http2_keep_alive_interval(if planted::is(Bug::NoKeepalive) {
                KEEPALIVE * 100_000
            } else {
                KEEPALIVE
            })
            .keep_alive_timeout(KEEPALIVE_PATIENCE)
            .keep_alive_while_idle(true);
        let client = RaftClient::new(self.dial.connect(&endpoint).await?);
        Ok(client.max_decoding_message_size(MAX_MESSAGE).max_encoding_message_size(MAX_MESSAGE))
    }

    fn failed(&mut self, status: &Status) -> RPCError<Types> {
        self.client = None;
        RPCError::Network(NetworkError::new(status))
    }

    async fn unary<Q, A, F>(
        &mut self,
        message: &Q,
        deadline: Duration,
        call: impl FnOnce(Client, Request<Frame>) -> F,
    ) -> Result<A, RPCError<Types>>
    where
        Q: Serialize,
        A: serde::de::DeserializeOwned,
        F: Future<Output = Result<tonic::Response<Frame>, Status>>,
    {
        let client = self.client().await?;
        let frame = self.framing.encode(message).map_err(|status| self.failed(&status))?;
        let mut request = Request::new(frame);
        request.set_timeout(deadline);
        // The server's deadline does not help where the connection is dead.
        let answer = tokio::time::timeout(deadline, call(client, request)).await;
        let answer = answer.unwrap_or_else(|_| Err(Status::deadline_exceeded("no answer in time")));
        let decoded = answer.and_then(|response| self.framing.decode(response.get_ref()));
        decoded.map_err(|status| self.failed(&status))
    }

    /// Asks how far the cluster is. The leader knows, and any member knows who was removed.
    pub(super) async fn read_index(
        &mut self,
        own: NodeId,
        deadline: Duration,
    ) -> Result<HowFar, RPCError<Types>> {
        let call = |mut client: Client, request| async move { client.read_index(request).await };
        self.unary(&own, deadline, call).await
    }

    async fn ask_for(
        &mut self,
        ballot: Ballot,
        option: RPCOption,
    ) -> Result<VoteResponse<Types>, RPCError<Types>> {
        let call = |mut client: Client, request| async move { client.vote(request).await };
        self.unary(&ballot, option.hard_ttl(), call).await
    }
}

fn unreachable<E: std::error::Error + 'static>(error: &E) -> Unreachable<Types> {
    Unreachable::new(error)
}

impl RaftNetworkV2<Types> for Peer {
    type SnapshotData = SnapshotFile;

    async fn append_entries(
        &mut self,
        request: AppendEntriesRequest<Types>,
        option: RPCOption,
    ) -> Result<AppendEntriesResponse<Types>, RPCError<Types>> {
        // Used only where streaming is not; one element of the same stream.
        let input = futures_util::stream::iter([request]);
        let mut output = self.stream_append(input, option.clone()).await?;
        let answer = tokio::time::timeout(option.hard_ttl(), output.next()).await;
        match answer {
            Ok(Some(result)) => Ok(result?.into()),
            Ok(None) => Err(RPCError::Network(NetworkError::new(&Status::unavailable("no answer")))),
            Err(_) => {
                Err(RPCError::Network(NetworkError::new(&Status::deadline_exceeded("no answer in time"))))
            }
        }
    }

    fn stream_append<'s, S>(
        &'s mut self,
        input: S,
        _: RPCOption,
    ) -> BoxFuture<
        's,
        Result<BoxStream<'s, Result<StreamAppendResult<Types>, RPCError<Types>>>, RPCError<Types>>,
    >
    where
        S: Stream<Item = AppendEntriesRequest<Types>> + OptionalSend + Unpin + 'static,
    {
        Box::pin(async move {
            let mut client = self.client().await?;
            let framing = self.framing.clone();
            // What cannot be encoded ends the stream, and replication starts again from what is known to be there.
            let frames = input
                .map(move |request| framing.encode(&request))
                .take_while(|frame| std::future::ready(frame.is_ok()));
            let frames = frames.filter_map(|frame| std::future::ready(frame.ok()));
            let answers = client.append(frames).await.map_err(|status| self.failed(&status))?;
            let framing = self.framing.clone();
            let answers = answers.into_inner().map(move |frame| {
                let appended: Result<Appended, Status> = frame.and_then(|frame| framing.decode(&frame));
                appended.map(Into::into).map_err(|status| RPCError::Network(NetworkError::new(&status)))
            });
            let answers: BoxStream<'s, _> = Box::pin(answers);
            Ok(answers)
        })
    }

    async fn vote(
        &mut self,
        request: VoteRequest<Types>,
        option: RPCOption,
    ) -> Result<VoteResponse<Types>, RPCError<Types>> {
        self.ask_for(Ballot::Vote(request), option).await
    }

    async fn pre_vote(
        &mut self,
        request: VoteRequest<Types>,
        option: RPCOption,
    ) -> Result<VoteResponse<Types>, RPCError<Types>> {
        self.ask_for(Ballot::PreVote(request), option).await
    }

    async fn full_snapshot(
        &mut self,
        vote: VoteOf<Types>,
        snapshot: SnapshotOf<Types, SnapshotFile>,
        cancel: impl Future<Output = ReplicationClosed> + OptionalSend + 'static,
        option: RPCOption,
    ) -> Result<SnapshotResponse<Types>, StreamingError<Types>> {
        let mut client = self.client().await?;
        let framing = self.framing.clone();
        let head = framing.encode(&(vote, snapshot.meta)).map_err(|status| network(&status))?;
        let chunks = snapshot.snapshot.frames(framing.clone());
        let frames = futures_util::stream::once(std::future::ready(head)).chain(chunks);
        let mut request = Request::new(frames);
        request.set_timeout(option.hard_ttl());
        let answer = tokio::select! {
            answer = tokio::time::timeout(option.hard_ttl(), client.install_snapshot(request)) => answer,
            closed = cancel => return Err(StreamingError::Closed(closed)),
        };
        let answer = answer.unwrap_or_else(|_| Err(Status::deadline_exceeded("no answer in time")));
        let decoded = answer.and_then(|response| framing.decode(response.get_ref()));
        decoded.map_err(|status| {
            self.client = None;
            network(&status)
        })
    }

    async fn transfer_leader(
        &mut self,
        request: TransferLeaderRequest<Types>,
        option: RPCOption,
    ) -> Result<TransferLeaderResponse<Types>, RPCError<Types>> {
        let deadline = option.hard_ttl();
        self.unary(
            &request,
            deadline,
            |mut client, request| async move { client.transfer_leader(request).await },
        )
        .await
    }
}

fn network(status: &Status) -> StreamingError<Types> {
    StreamingError::Network(NetworkError::new(&AnyError::error(status.to_string())))
}
