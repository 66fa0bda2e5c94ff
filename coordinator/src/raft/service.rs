//! From the other coordinators to this one.

use std::pin::Pin;
use std::sync::{Arc, OnceLock};

use cullet_proto::raft::Frame;
use cullet_proto::raft::raft_server::Raft as RaftRpc;
use futures_util::{Stream, StreamExt as _};
use openraft::alias::{SnapshotMetaOf, SnapshotOf, VoteOf};
use openraft::raft::AppendEntriesRequest;
use tonic::{Request, Response, Status, Streaming};

use super::frame::Framing;
use super::machine::Machine;
use super::network::{Appended, Ballot, HowFar};
use super::node::Node;
use super::snapshot::{SnapshotFile, Snapshots};
use super::types::{NodeId, Types};

/// The answers to a stream of entries.
pub type AppendAnswers = Pin<Box<dyn Stream<Item = Result<Frame, Status>> + Send>>;

/// Answers for this coordinator's raft.
pub(super) struct RaftService {
    pub(super) raft: openraft::Raft<Types, Machine>,
    pub(super) framing: Framing,
    pub(super) snapshots: Snapshots,
    pub(super) node: Node,
}

impl RaftService {
    fn answer(&self, message: &impl serde::Serialize) -> Result<Response<Frame>, Status> {
        self.framing.encode(message).map(Response::new)
    }
}

/// Raft has stopped on this node, be it because its disk failed or because it is being shut down.
fn stopped(error: &impl std::fmt::Display) -> Status {
    Status::unavailable(format!("this coordinator does not take part: {error}"))
}

#[tonic::async_trait]
impl RaftRpc for RaftService {
    type AppendStream = AppendAnswers;

    async fn vote(&self, request: Request<Frame>) -> Result<Response<Frame>, Status> {
        let answer = match self.framing.decode(request.get_ref())? {
            Ballot::Vote(request) => self.raft.vote(request).await,
            Ballot::PreVote(request) => self.raft.pre_vote(request).await,
        };
        self.answer(&answer.map_err(|error| stopped(&error))?)
    }

    async fn append(
        &self,
        request: Request<Streaming<Frame>>,
    ) -> Result<Response<Self::AppendStream>, Status> {
        // A message that cannot be understood, or is meant for another one, ends the stream, and the leader is told why.
        let refused = Arc::new(OnceLock::new());
        let (framing, said) = (self.framing.clone(), Arc::clone(&refused));
        let requests = tokio_stream::StreamExt::map_while(request.into_inner(), move |frame| {
            let decoded: Result<AppendEntriesRequest<Types>, Status> =
                frame.and_then(|frame| framing.decode(&frame));
            // It is set once: nothing is read after it.
            decoded.map_err(|status| said.set(status)).ok()
        });
        let framing = self.framing.clone();
        let answers = self.raft.stream_append(requests).map(move |answer| match answer {
            Ok(result) => framing.encode(&Appended::from(result)),
            Err(error) => Err(stopped(&error)),
        });
        let end = futures_util::stream::once(async move { refused.get().cloned() });
        let end = end.filter_map(|refused| std::future::ready(refused.map(Err)));
        Ok(Response::new(Box::pin(answers.chain(end))))
    }

    async fn install_snapshot(&self, request: Request<Streaming<Frame>>) -> Result<Response<Frame>, Status> {
        let mut frames = request.into_inner();
        let head =
            frames.next().await.ok_or_else(|| Status::invalid_argument("a snapshot without a head"))??;
        let (vote, meta): (VoteOf<Types>, SnapshotMetaOf<Types>) = self.framing.decode(&head)?;
        let file = self.snapshots.receive(&meta, frames, &self.framing).await?;
        let snapshot = SnapshotOf::<Types, SnapshotFile> { meta, snapshot: file };
        let answer =
            self.raft.install_full_snapshot(vote, snapshot).await.map_err(|error| stopped(&error))?;
        self.answer(&answer)
    }

    async fn transfer_leader(&self, request: Request<Frame>) -> Result<Response<Frame>, Status> {
        let request = self.framing.decode(request.get_ref())?;
        let answer = self.raft.handle_transfer_leader(request).await.map_err(|error| stopped(&error))?;
        self.answer(&answer)
    }

    async fn read_index(&self, request: Request<Frame>) -> Result<Response<Frame>, Status> {
        let asker: NodeId = self.framing.decode(request.get_ref())?;
        if self.node.state.read().removed.contains(asker) {
            return self.answer(&HowFar::Removed);
        }
        let index = self.node.read_index().await.map_err(|error| Status::unavailable(error.to_string()))?;
        self.answer(&HowFar::Index(index))
    }
}
