//! Workers that do nothing and say at once that they did it: what they take of a coordinator is what workers take, and
//! nothing of the machine.

use cullet_proto::v1::coordinator_message::Message;
use cullet_proto::v1::worker_message::Message as Say;
use cullet_proto::v1::workers_client::WorkersClient;
use cullet_proto::v1::{self, attempt_finished};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use crate::Result;

/// Steps that such a worker runs at once, a processor each.
const ROOM: u32 = 1000;

/// Attends as long as the coordinator at `url` leads.
pub(super) async fn attend(mut url: String, name: String) -> Result<()> {
    loop {
        let (say, said) = mpsc::channel(1024);
        say.send(message(Say::Hello(hello(&name)))).await?;
        let mut client = WorkersClient::connect(url.clone()).await?;
        let mut inbox = client.attend(ReceiverStream::new(said)).await?.into_inner();
        let mut beat = tokio::time::interval(std::time::Duration::from_millis(300));
        loop {
            let heard = tokio::select! {
                heard = inbox.message() => heard?,
                _ = beat.tick() => {
                    say.send(message(Say::Heartbeat(v1::Heartbeat {}))).await?;
                    continue;
                }
            };
            match heard.and_then(|heard| heard.message) {
                Some(Message::Start(start)) => say.send(message(Say::Finished(done(start)))).await?,
                Some(Message::Redirect(redirect)) => {
                    if !redirect.address.is_empty() {
                        url = redirect.address;
                    }
                    break;
                }
                Some(_) => {}
                None => break,
            }
        }
    }
}

fn message(say: Say) -> v1::WorkerMessage {
    v1::WorkerMessage { message: Some(say) }
}

fn hello(name: &str) -> v1::Hello {
    let labels = [("Arch", "x86_64"), ("OSFamily", "linux"), ("image", "host:bench")];
    v1::Hello {
        name: name.to_owned(),
        incarnation: fastrand::u64(1..),
        cpu_millis: ROOM * 1000,
        memory_bytes: 1 << 50,
        labels: labels.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
        ..v1::Hello::default()
    }
}

fn done(start: v1::Start) -> v1::AttemptFinished {
    let result = cullet_cache::ActionResult {
        exit_code: 0,
        outputs: Vec::new(),
        stdout: cullet_cache::LogStream::default(),
        stderr: cullet_cache::LogStream::default(),
        interleaving: Vec::new(),
        worker: String::new(),
        started_at_ms: 0,
        duration_ms: 0,
        usage: Default::default(),
        signature: None,
        trees: Vec::new(),
        times: Default::default(),
    };
    v1::AttemptFinished {
        attempt: start.attempt,
        outcome: Some(attempt_finished::Outcome::Succeeded(v1::Succeeded::default())),
        has_exit_code: true,
        result: result.encode().into(),
        ..v1::AttemptFinished::default()
    }
}
