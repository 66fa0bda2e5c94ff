//! A worker that is nothing but its connection, and says what a test wants.

use std::path::{Path, PathBuf};
use std::time::Duration;

use cullet_proto::v1::coordinator_message::Message as Told;
use cullet_proto::v1::worker_message::Message;
use cullet_proto::v1::{self, attempt_finished::Outcome, workers_client::WorkersClient};
use cullet_tests::cluster::{Cluster, until};
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

/// Whether a coordinator with this directory has snapshots.
pub(crate) fn snapshots(data: &Path) -> Vec<PathBuf> {
    let files = std::fs::read_dir(data.join("raft")).unwrap().map(|entry| entry.unwrap().path());
    files.filter(|path| path.extension().is_some_and(|extension| extension == "snap")).collect()
}

/// Has more entries written than a snapshot is made of, and waits for what comes of it.
pub(crate) fn fill_log(cluster: &Cluster, leader: usize, mut until_this: impl FnMut() -> bool) {
    const AT_ONCE: usize = 100;
    // Each of these is an entry, of which five thousand make a snapshot.
    const ENTRIES: usize = 5_200;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let mut puppet = Puppet::greet(cluster.url(leader)).await;
        for _ in 0..ENTRIES / AT_ONCE {
            for _ in 0..AT_ONCE {
                puppet.say(Message::Draining(v1::Draining {})).await;
            }
            for _ in 0..AT_ONCE {
                puppet.hear().await;
            }
        }
        until("a snapshot", || until_this().then_some(()));
    });
}
