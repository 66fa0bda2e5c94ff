//! A worker that is nothing but its connection, and says what a test wants.

use std::time::Duration;

use cullet_proto::v1::coordinator_message::Message as Told;
use cullet_proto::v1::worker_message::Message;
use cullet_proto::v1::{self, attempt_finished::Outcome, workers_client::WorkersClient};
use tokio::sync::mpsc::{Sender, channel};
use tokio::time::timeout;
use tonic::Streaming;
use tonic::codegen::tokio_stream::wrappers::ReceiverStream;

/// What it has said and nobody has heard so far.
const QUEUE: usize = 512;

/// For what the coordinator says next.
const PATIENCE: Duration = Duration::from_secs(60);

/// It ends with this.
pub(crate) struct Puppet {
    says: Sender<v1::WorkerMessage>,
    hears: Streaming<v1::CoordinatorMessage>,
}

impl Puppet {
    /// Connects, and is welcome.
    pub(crate) async fn greet(leader: String) -> Self {
        let (says, messages) = channel(QUEUE);
        let labels = [("Arch", "x86_64"), ("OSFamily", "linux"), ("image", "host:puppet")];
        let hello = v1::Hello {
            name: "puppet".into(),
            incarnation: 1,
            address: "http://127.0.0.1:9".into(),
            cpu_millis: 4000,
            memory_bytes: 8 << 30,
            labels: labels.into_iter().map(|(name, value)| (name.into(), value.into())).collect(),
            ..Default::default()
        };
        says.send(v1::WorkerMessage { message: Some(Message::Hello(hello)) }).await.unwrap();
        let mut client = WorkersClient::connect(leader).await.unwrap();
        let hears = client.attend(ReceiverStream::new(messages)).await.unwrap().into_inner();
        let mut this = Self { says, hears };
        let Told::Welcome(_) = this.hear().await else { panic!("it is not welcome") };
        this
    }

    pub(crate) async fn hear(&mut self) -> Told {
        let told = timeout(PATIENCE, self.hears.message()).await.expect("the coordinator says nothing");
        told.unwrap().expect("the coordinator goes on").message.unwrap()
    }

    pub(crate) async fn report(&self, attempt: &v1::Attempt, outcome: Outcome) {
        let report = v1::AttemptFinished {
            attempt: Some(attempt.clone()),
            outcome: Some(outcome),
            duration_ms: 5,
            ..Default::default()
        };
        self.say(Message::Finished(report)).await;
    }

    pub(crate) async fn say(&self, message: Message) {
        self.says.send(v1::WorkerMessage { message: Some(message) }).await.unwrap();
    }

    /// Waits until so many attempts are acknowledged.
    pub(crate) async fn acknowledged(&mut self, mut count: usize) {
        while count > 0 {
            if let Told::Acknowledged(these) = self.hear().await {
                count -= these.attempts.len();
            }
        }
    }
}
