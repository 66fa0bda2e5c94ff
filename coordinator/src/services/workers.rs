//! `cullet.v1.Workers`: one stream for each worker.

mod session;

use std::pin::Pin;
use std::time::Duration;

use cullet_proto::v1;
use cullet_proto::v1::coordinator_message::Message;
use cullet_proto::v1::workers_server::{Workers, WorkersServer};
use futures_util::{Stream, StreamExt as _};
use tokio::sync::{mpsc, oneshot};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};

use super::access::no_cluster;
use crate::engine::{Engine, OUTBOX};

/// How long a worker waits for a leader that was elected a moment ago.
const TAKEOVER: Duration = Duration::from_secs(2);

/// A greeting holds a megabyte of reports, a report three.
const MAX_MESSAGE: usize = 8 << 20;

/// The service of a coordinator.
pub fn workers_service(engine: Engine) -> WorkersServer<impl Workers> {
    WorkersServer::new(Service { engine })
        .max_decoding_message_size(MAX_MESSAGE)
        .max_encoding_message_size(MAX_MESSAGE)
}

struct Service {
    engine: Engine,
}

type Messages = Pin<Box<dyn Stream<Item = Result<v1::CoordinatorMessage, Status>> + Send>>;

#[tonic::async_trait]
impl Workers for Service {
    type AttendStream = Messages;

    async fn attend(
        &self,
        request: Request<Streaming<v1::WorkerMessage>>,
    ) -> Result<Response<Messages>, Status> {
        let node = self.engine.seat().node().ok_or_else(no_cluster)?;
        let leading = match self.engine.leading() {
            None if node.leads() => self.engine.leading_within(TAKEOVER).await,
            leading => leading,
        };
        let Some(leading) = leading else {
            let leader = node.leader().filter(|leader| leader.id != self.engine.seat().id());
            let address = leader.map(|leader| leader.address).unwrap_or_default();
            let redirect = Ok(wire(Message::Redirect(v1::Redirect { address })));
            return Ok(Response::new(Box::pin(futures_util::stream::iter([redirect]))));
        };
        let (outbox, messages) = mpsc::channel(OUTBOX);
        let (refuse, refused) = oneshot::channel();
        tokio::spawn(session::attend(leading, request.into_inner(), outbox, refuse));
        let messages = ReceiverStream::new(messages).map(|message| Ok(wire(message)));
        // Who is refused hears nothing else; of whoever is not, nothing is left to hear once there are no messages.
        let refused = futures_util::stream::once(refused)
            .filter_map(|refused| std::future::ready(refused.ok().map(|why: Status| Err(why))));
        Ok(Response::new(Box::pin(messages.chain(refused))))
    }
}

fn wire(message: Message) -> v1::CoordinatorMessage {
    v1::CoordinatorMessage { message: Some(message) }
}
