//! One worker, from its greeting to the end of its stream.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use cullet_cache::v1::digest_from_wire;
use cullet_core::{LogCommand, State, StepId, WorkerId, WorkerSpec};
use cullet_proto::v1;
use cullet_proto::v1::coordinator_message::Message;
use cullet_proto::v1::worker_message::Message as Heard;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, timeout};
use tonic::{Status, Streaming};

use crate::attempts::AttemptKey;
use crate::engine::{Attendance, FUNCTION, Leading, Seated};
use crate::planted::{self, Bug};

/// How long a connection may take to say who it is.
const GREETING: Duration = Duration::from_secs(5);

/// Heartbeats in a lease: three of them may be lost.
const BEATS: u32 = 5;

/// Trees that are remembered of one worker.
const HOLDINGS: usize = 256;

/// Serves a worker until it goes, this coordinator leads no more, or another connection takes its place. Where it is not
/// taken in for a reason that its operator has to know, that goes to `refuse`.
pub(super) async fn attend(
    leading: Arc<Leading>,
    mut inbox: Streaming<v1::WorkerMessage>,
    outbox: mpsc::Sender<Message>,
    refuse: oneshot::Sender<Status>,
) {
    let Some(hello) = greeting(&mut inbox).await else { return };
    if let Some(address) = leading.read(|state| namesake(state, &leading.attendance, &hello)) {
        tracing::warn!(
            worker = hello.name,
            from = hello.address,
            there = address,
            "a second worker of one name"
        );
        // It may be gone already.
        let _ = refuse.send(taken(&hello.name, &address));
        return;
    }
    drop(refuse);
    let Some(worker) = join(&leading, &hello).await else { return };
    let lease = leading.lease();
    let welcome = v1::Welcome {
        worker: worker.0,
        lease_ms: lease.as_millis() as u64,
        heartbeat_ms: (lease / BEATS).as_millis() as u64,
    };
    // Nothing else may come first, so it is said before anybody else can say something.
    if outbox.try_send(Message::Welcome(welcome)).is_err() {
        return;
    }
    let Some(seated) = leading.attendance.enter(worker, outbox) else { return };
    let mut session = Session { leading, seated, heard: Instant::now() };
    if hello.draining {
        session.acknowledge(Vec::new());
    }
    session.compare(&hello);
    for report in hello.finished {
        session.finished(report);
    }
    session.listen(inbox, lease).await;
    session.leave().await;
}

async fn greeting(inbox: &mut Streaming<v1::WorkerMessage>) -> Option<v1::Hello> {
    let first = timeout(GREETING, inbox.message()).await.ok()?.ok()??;
    match first.message {
        Some(Heard::Hello(hello)) => Some(hello),
        _ => None,
    }
}

/// Where a connected worker is that has the name of this one and is another process. One that ended is not connected any
/// more, or for no longer than a lease.
fn namesake(state: &State, attendance: &Attendance, hello: &v1::Hello) -> Option<String> {
    let other = state.worker_named(&hello.name)?;
    let is_there = other.spec.incarnation != hello.incarnation && attendance.is_present(other.id);
    is_there.then(|| other.spec.address.to_string())
}

fn taken(name: &str, address: &str) -> Status {
    Status::already_exists(format!(
        "a worker named '{name}' is there already, at {address}: give this one another name with --name, and a directory \
         of its own with --data"
    ))
}

/// Makes the worker known, unless it is, and gives its number.
async fn join(leading: &Leading, hello: &v1::Hello) -> Option<WorkerId> {
    let spec = WorkerSpec {
        name: hello.name.as_str().into(),
        incarnation: hello.incarnation,
        address: hello.address.as_str().into(),
        labels: crate::machines::completed(hello.labels.clone()),
        cpu_millis: hello.cpu_millis,
        memory_bytes: hello.memory_bytes,
    };
    let known = |leading: &Leading| {
        leading.read(|state| {
            let worker = state.worker_named(&spec.name)?;
            (*worker.spec == spec).then_some((worker.id, worker.draining))
        })
    };
    // One that comes back costs nothing.
    let at_hand = known(leading).filter(|(_, draining)| *draining == hello.draining);
    let (worker, draining) = match at_hand {
        Some(known) => known,
        None => {
            let joined = LogCommand::WorkerJoined { spec: spec.clone(), at: leading.now() };
            leading.propose(joined).await.ok()?;
            let Some(known) = known(leading) else {
                tracing::warn!(
                    worker = hello.name,
                    "what a worker says of itself is too large: it is not taken in"
                );
                return None;
            };
            tracing::info!(worker = hello.name, id = known.0.0, address = hello.address, "a worker joined");
            known
        }
    };
    if hello.draining && !draining {
        leading.propose(LogCommand::WorkerDraining { worker, at: leading.now() }).await.ok()?;
    }
    Some(worker)
}

struct Session {
    leading: Arc<Leading>,
    seated: Seated,
    /// When the worker said something last.
    heard: Instant,
}

impl Session {
    /// Has the worker start what it should run and does not know, and stop what it should not.
    fn compare(&self, hello: &v1::Hello) {
        let worker = self.seated.worker;
        let mut known: BTreeSet<AttemptKey> =
            hello.running.iter().filter_map(|attempt| AttemptKey::from_wire(Some(attempt))).collect();
        let wanted: BTreeMap<AttemptKey, _> = self.leading.read(|state| {
            let step = |id: StepId| {
                let step = state.run(id.run)?.step(id.step)?;
                let key = AttemptKey { id, attempt: step.attempt, epoch: step.epoch };
                Some((key, (step.stopping, step.action)))
            };
            state.running_on(worker).filter_map(step).collect()
        });
        for key in &known {
            if wanted.get(key).is_none_or(|(stopping, _)| *stopping) {
                self.stop(*key);
            }
        }
        known.extend(
            hello.finished.iter().filter_map(|report| AttemptKey::from_wire(report.attempt.as_ref())),
        );
        for (key, (stopping, action)) in wanted.into_iter().filter(|(key, _)| !known.contains(key)) {
            match action {
                // Whoever does not know it says that it was stopped.
                _ if stopping => self.stop(key),
                Some(action) => self.leading.start(key, worker, action),
                None => {}
            }
        }
    }

    fn stop(&self, key: AttemptKey) {
        let stop = v1::Stop { attempt: Some(key.to_wire()) };
        self.leading.attendance.send(self.seated.worker, Message::Stop(stop));
    }

    async fn listen(&mut self, mut inbox: Streaming<v1::WorkerMessage>, lease: Duration) {
        let (end, replaced) = (self.leading.end().clone(), self.seated.replaced.clone());
        loop {
            let message = tokio::select! {
                message = timeout(lease, inbox.message()) => message,
                () = end.cancelled() => return,
                () = replaced.cancelled() => return,
            };
            let Ok(Ok(Some(message))) = message else { return };
            self.heard = Instant::now();
            match message.message {
                Some(Heard::Finished(report)) => self.finished(report),
                Some(Heard::Holdings(holdings)) => self.hold(&holdings),
                Some(Heard::Draining(_)) => {
                    let worker = self.seated.worker;
                    let draining = LogCommand::WorkerDraining { worker, at: self.leading.now() };
                    if self.leading.propose(draining).await.is_err() {
                        return;
                    }
                    self.acknowledge(Vec::new());
                }
                Some(Heard::Heartbeat(_) | Heard::Hello(_)) | None => {}
            }
        }
    }

    fn acknowledge(&self, attempts: Vec<v1::Attempt>) {
        let message = Message::Acknowledged(v1::Acknowledged { attempts });
        self.leading.attendance.send(self.seated.worker, message);
    }

    fn hold(&self, holdings: &v1::Holdings) {
        let trees = holdings.trees.iter().filter_map(|tree| digest_from_wire(FUNCTION, tree).ok());
        self.leading.attendance.hold(&self.seated, trees.take(HOLDINGS).collect());
    }

    /// Records what an attempt came to, beside everything else, and lets the worker forget it.
    fn finished(&self, report: v1::AttemptFinished) {
        let Some(key) = AttemptKey::from_wire(report.attempt.as_ref()) else {
            tracing::warn!(worker = self.seated.worker.0, "a worker reports on something that is no attempt");
            return;
        };
        let (leading, worker) = (Arc::clone(&self.leading), self.seated.worker);
        self.leading.spawn(async move {
            if planted::is(Bug::DropReport) || leading.finished(key, report).await.is_ok() {
                let attempts = vec![key.to_wire()];
                leading.attendance.send(worker, Message::Acknowledged(v1::Acknowledged { attempts }));
            }
        });
    }

    /// A worker that was emptied and goes is gone; any other one may come back.
    async fn leave(self) {
        let worker = self.seated.worker;
        // Leaving cancels it as well.
        let replaced = self.seated.replaced.is_cancelled();
        self.leading.attendance.leave(&self.seated, self.heard);
        let emptied = self
            .leading
            .read(|state| state.worker(worker).is_some_and(|worker| worker.draining && worker.running == 0));
        if emptied && !self.leading.end().is_cancelled() && !replaced {
            let reason = "it was emptied and ended".into();
            // If this is lost, it is lost with the lease.
            let _ =
                self.leading.propose(LogCommand::WorkerLeft { worker, reason, at: self.leading.now() }).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_taken_while_another_process_that_has_it_is_connected() {
        let (mut state, attendance) = (State::default(), Attendance::default());
        let hello = |name: &str, incarnation| v1::Hello {
            name: name.to_owned(),
            incarnation,
            ..v1::Hello::default()
        };
        let spec = WorkerSpec {
            name: "w".into(),
            incarnation: 1,
            address: "http://w:1".into(),
            labels: Default::default(),
            cpu_millis: 1,
            memory_bytes: 1,
        };
        state.apply(&LogCommand::WorkerJoined { spec, at: 0 });
        let second = hello("w", 2);
        assert_eq!(namesake(&state, &attendance, &second), None, "nobody is connected");
        let worker = state.worker_named("w").unwrap().id;
        let seated = attendance.enter(worker, mpsc::channel(1).0).unwrap();
        assert_eq!(namesake(&state, &attendance, &second).as_deref(), Some("http://w:1"));
        assert_eq!(namesake(&state, &attendance, &hello("w", 1)), None, "it is the same one");
        assert_eq!(namesake(&state, &attendance, &hello("v", 2)), None);
        attendance.leave(&seated, Instant::now());
        assert_eq!(namesake(&state, &attendance, &second), None, "it is gone");
    }
}
