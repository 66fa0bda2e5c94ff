//! Follows a run from its first event to its last, with what its steps print.

mod order;
mod reader;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use cullet_coordinator::event::from_wire;
use cullet_coordinator::{Event, Note, RunEnd, StepLog, StepStart};
use cullet_proto::v1;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::{Cluster, ClusterError, Watch};
use order::{Next, Order, Timed, attempt_over};
use reader::{AGAIN_PATIENCE, ENDED_PATIENCE, Heard, Reader, Room, What};

/// Events between the task that receives them and the one that tells them. Enough that neither waits for the other's
/// next turn.
const EVENTS: usize = 256;

/// Pieces of logs on their way: a reader that is ahead waits, and with it, through its connection, the server.
const PIECES: usize = 64;

/// Attempts that were over before anybody followed, and succeeded: their logs are left out.
#[derive(Debug, Default)]
pub(crate) struct Past(BTreeMap<String, u32>);

impl Past {
    /// What is over in `run`.
    pub(crate) fn of(run: &v1::Run) -> Self {
        let over = |step: &v1::StepState| match step.status.as_str() {
            // What failed is shown again in the summary.
            "failed" | "timed_out" | "infra_failed" => step.attempt.saturating_sub(1),
            "succeeded" | "cancelled" | "skipped" => step.attempt,
            _ => step.attempt.saturating_sub(1),
        };
        let steps = run.steps.iter().map(|step| (step.name.clone(), over(step)));
        Self(steps.filter(|(_, attempt)| *attempt > 0).collect())
    }

    fn has(&self, start: &StepStart) -> bool {
        self.0.get(&start.step).is_some_and(|last| start.attempt <= *last)
    }
}

/// How a run ended, and when in milliseconds since the Unix epoch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Ended {
    pub(crate) end: RunEnd,
    pub(crate) at_ms: u64,
}

/// Follows `run` to its end and tells every event but the last one, with its time in milliseconds since the Unix epoch;
/// lines that steps print have none.
///
/// # Errors
/// The cluster could not be reached for a minute, or does not know the run. The run goes on without us.
pub(crate) async fn follow(
    cluster: &Cluster,
    run: &str,
    past: Past,
    tell: &mut (dyn FnMut(&Event, Option<u64>) + Send),
) -> Result<Ended, ClusterError> {
    let mut tasks = JoinSet::new();
    let (send, mut events) = mpsc::channel(EVENTS);
    tasks.spawn(receive(Watch::new(cluster.clone(), run), send));
    let (to, mut heard) = mpsc::channel(PIECES);
    let logs = Logs { cluster: cluster.clone(), run: run.to_owned(), past, room: Room::default(), to };
    let mut follower = Follower { logs, tasks, order: Order::default(), over: HashMap::new(), tell };
    let mut more = true;
    loop {
        let until = match follower.order.next(Instant::now()) {
            Next::Tell(Timed { event: Event::RunFinished(end), at_ms }) => return Ok(Ended { end, at_ms }),
            Next::Tell(timed) => {
                follower.tell(timed);
                continue;
            }
            Next::Wait(_) if !more && follower.order.is_empty() => return Err(cluster.given_up()),
            Next::Wait(until) => until,
        };
        let pause = async { tokio::time::sleep_until(until.unwrap_or_else(Instant::now)).await };
        tokio::select! {
            Some(heard) = heard.recv() => follower.heard(heard),
            event = events.recv(), if more && follower.order.has_room() => match event {
                Some(event) => follower.came(event?),
                // The last one waits for logs.
                None => more = false,
            },
            () = pause, if until.is_some() => {}
        }
    }
}

/// A task of its own, so that what happens to the others never holds it up.
async fn receive(mut watch: Watch, send: mpsc::Sender<Result<Timed, ClusterError>>) {
    loop {
        let next = watch.next().await.map(|next| (next.time_ms, from_wire(next)));
        let message = match next {
            Ok((at_ms, Some(event))) => Ok(Timed { event, at_ms }),
            Ok((_, None)) => continue,
            Err(error) => Err(error),
        };
        let last = matches!(&message, Err(_) | Ok(Timed { event: Event::RunFinished(_), .. }));
        if send.send(message).await.is_err() || last {
            return;
        }
    }
}

/// Says that an attempt is over, if nobody has.
fn say(over: &watch::Sender<Option<Duration>>, patience: Duration) {
    over.send_if_modified(|said| said.is_none() && said.replace(patience).is_none());
}

/// How long a log is waited for after this.
fn patience(event: &Event) -> Duration {
    match event {
        Event::StepFinished(_) | Event::RunFinished(_) => ENDED_PATIENCE,
        _ => AGAIN_PATIENCE,
    }
}

/// What readers of logs need to know.
struct Logs {
    cluster: Cluster,
    run: String,
    past: Past,
    room: Room,
    to: mpsc::Sender<Heard>,
}

struct Follower<'a> {
    logs: Logs,
    /// Dropped, they end.
    tasks: JoinSet<()>,
    order: Order,
    /// By step: tells the reader of its log that the attempt is over.
    over: HashMap<String, watch::Sender<Option<Duration>>>,
    tell: &'a mut (dyn FnMut(&Event, Option<u64>) + Send),
}

impl Follower<'_> {
    fn came(&mut self, timed: Timed) {
        match &timed.event {
            Event::RunFinished(_) => self.over.values().for_each(|over| say(over, ENDED_PATIENCE)),
            event => {
                if let Some(over) = attempt_over(event).and_then(|step| self.over.get(step)) {
                    say(over, patience(event));
                }
            }
        }
        self.order.push(timed);
    }

    fn tell(&mut self, Timed { event, at_ms }: Timed) {
        (self.tell)(&event, Some(at_ms));
        if let Event::StepStarted(start) = &event
            && !self.logs.past.has(start)
        {
            self.begin(start);
        }
    }

    fn begin(&mut self, start: &StepStart) {
        // What says that the attempt is over may have come before this was told.
        let (over, is_over) = watch::channel(self.order.end_of(&start.step).map(patience));
        let reader = Reader {
            cluster: self.logs.cluster.clone(),
            run: self.logs.run.clone(),
            step: start.step.as_str().into(),
            attempt: start.attempt,
            over: is_over,
            room: self.logs.room.clone(),
            to: self.logs.to.clone(),
        };
        self.over.insert(start.step.clone(), over);
        self.order.log_begins(&start.step, start.attempt);
        self.tasks.spawn(reader.read());
        // Those that ended leave nothing behind.
        while self.tasks.try_join_next().is_some() {}
    }

    fn heard(&mut self, Heard { step, attempt, what }: Heard) {
        match what {
            What::Lines(stream, text) => {
                for line in text.lines() {
                    let (step, stream) = (step.to_string(), stream.to_owned());
                    let log = StepLog { step, stream, text: line.to_owned() };
                    (self.tell)(&Event::StepLog(log), None);
                }
            }
            What::End(problem) => {
                if let Some(why) = problem {
                    let text = format!("not all of its log is here: {why}");
                    let (level, step) = ("warning".to_owned(), Some(step.to_string()));
                    (self.tell)(&Event::Note(Note { level, kind: None, step, text }), None);
                }
                self.order.log_ended(&step, attempt);
                self.over.remove(&*step);
            }
        }
    }
}
