//! Raft's calls, for a coordinator that may not have its place yet.

use std::sync::Arc;

use cullet_proto::raft::Frame;
use cullet_proto::raft::raft_server::{Raft, RaftServer};
use tonic::{Request, Response, Status, Streaming};

use super::seat::Seat;
use crate::raft::{AppendAnswers, MAX_MESSAGE};

/// The service of a coordinator.
pub fn raft_service(seat: Arc<Seat>) -> RaftServer<impl Raft> {
    RaftServer::new(Seated { seat })
        .max_decoding_message_size(MAX_MESSAGE)
        .max_encoding_message_size(MAX_MESSAGE)
}

struct Seated {
    seat: Arc<Seat>,
}

impl Seated {
    fn node(&self) -> Result<impl Raft<AppendStream = AppendAnswers> + use<>, Status> {
        let node = self.seat.node();
        node.map(|node| node.rpc())
            .ok_or_else(|| Status::unavailable("this coordinator has not found its cluster yet"))
    }
}

#[tonic::async_trait]
impl Raft for Seated {
    type AppendStream = AppendAnswers;

    async fn vote(&self, request: Request<Frame>) -> Result<Response<Frame>, Status> {
        self.node()?.vote(request).await
    }

    async fn append(&self, request: Request<Streaming<Frame>>) -> Result<Response<AppendAnswers>, Status> {
        self.node()?.append(request).await
    }

    async fn install_snapshot(&self, request: Request<Streaming<Frame>>) -> Result<Response<Frame>, Status> {
        self.node()?.install_snapshot(request).await
    }

    async fn transfer_leader(&self, request: Request<Frame>) -> Result<Response<Frame>, Status> {
        self.node()?.transfer_leader(request).await
    }

    async fn read_index(&self, request: Request<Frame>) -> Result<Response<Frame>, Status> {
        self.node()?.read_index(request).await
    }
}
