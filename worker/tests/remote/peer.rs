//! The coordinator's side of the protocol, as far as a test says.

use std::pin::Pin;
use std::time::Duration;

use cullet_proto::v1::coordinator_message::Message as Say;
use cullet_proto::v1::worker_message::Message as Heard;
use cullet_proto::v1::workers_server::{Workers, WorkersServer};
use cullet_proto::v1::{
    Acknowledged, Attempt, AttemptFinished, CoordinatorMessage, Hello, Redirect, Start, Stop, Welcome,
    WorkerMessage,
};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tonic::{Request, Response, Status, Streaming};

/// How long anything may take that has to happen; builds may be going on beside the test.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// A server. Ends with this.
pub(crate) struct Peer {
    pub(crate) address: String,
    calls: mpsc::Receiver<Call>,
    _stop: tokio_util::sync::DropGuard,
}

/// A worker's stream.
pub(crate) struct Call {
    pub(crate) hello: Hello,
    inbox: Streaming<WorkerMessage>,
    outbox: mpsc::Sender<Result<CoordinatorMessage, Status>>,
}

struct Service(mpsc::Sender<Call>);

#[tonic::async_trait]
impl Workers for Service {
    type AttendStream = Pin<Box<ReceiverStream<Result<CoordinatorMessage, Status>>>>;

    async fn attend(
        &self,
        request: Request<Streaming<WorkerMessage>>,
    ) -> Result<Response<Self::AttendStream>, Status> {
        let mut inbox = request.into_inner();
        let (outbox, messages) = mpsc::channel(256);
        let calls = self.0.clone();
        tokio::spawn(async move {
            let first = inbox.message().await.unwrap().unwrap();
            let Some(Heard::Hello(hello)) = first.message else { panic!("{first:?}") };
            // The test may have seen enough.
            let _ = calls.send(Call { hello, inbox, outbox }).await;
        });
        Ok(Response::new(Box::pin(ReceiverStream::new(messages))))
    }
}

impl Peer {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let (sender, calls) = mpsc::channel(16);
        let stop = CancellationToken::new();
        let stopped = stop.clone();
        tokio::spawn(async move {
            let server = Server::builder().add_service(WorkersServer::new(Service(sender)));
            tokio::select! {
                served = server.serve_with_incoming(TcpIncoming::from(listener)) => served.unwrap(),
                () = stopped.cancelled() => {}
            }
        });
        Self { address, calls, _stop: stop.drop_guard() }
    }

    /// The next worker that calls.
    pub(crate) async fn accept(&mut self) -> Call {
        timeout(PATIENCE, self.calls.recv()).await.expect("a worker calls").unwrap()
    }

    /// The next one, welcome.
    pub(crate) async fn welcome(&mut self) -> Call {
        let call = self.accept().await;
        call.welcome().await;
        call
    }
}

impl Call {
    pub(crate) async fn welcome(&self) {
        self.say(Say::Welcome(Welcome { worker: 1, lease_ms: 2000, heartbeat_ms: 50 })).await;
    }

    pub(crate) async fn redirect(&self, address: &str) {
        self.say(Say::Redirect(Redirect { address: address.to_owned() })).await;
    }

    pub(crate) async fn start(&self, start: &Start) {
        self.say(Say::Start(start.clone())).await;
    }

    pub(crate) async fn stop(&self, attempt: &Attempt) {
        self.say(Say::Stop(Stop { attempt: Some(attempt.clone()) })).await;
    }

    pub(crate) async fn acknowledge(&self, attempt: &Attempt) {
        self.say(Say::Acknowledged(Acknowledged { attempts: vec![attempt.clone()] })).await;
    }

    async fn say(&self, message: Say) {
        self.outbox.send(Ok(CoordinatorMessage { message: Some(message) })).await.unwrap();
    }

    pub(crate) async fn heard(&mut self) -> Heard {
        let message = timeout(PATIENCE, self.inbox.message()).await.expect("the worker speaks");
        message.unwrap().expect("the stream goes on").message.unwrap()
    }

    /// The next report, whatever is said before.
    pub(crate) async fn finished(&mut self) -> AttemptFinished {
        loop {
            if let Heard::Finished(finished) = self.heard().await {
                return finished;
            }
        }
    }

    /// Nothing is reported until so many heartbeats have passed.
    pub(crate) async fn assert_quiet(&mut self, heartbeats: usize) {
        let mut heard = 0;
        while heard < heartbeats {
            match self.heard().await {
                Heard::Heartbeat(_) => heard += 1,
                Heard::Finished(finished) => panic!("{finished:?}"),
                _ => {}
            }
        }
    }
}
