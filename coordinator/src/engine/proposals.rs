//! Commands on their way through raft: many in one entry, several entries on their way, answers in order.

use cullet_core::{Effect, Refusal};
use futures_util::StreamExt as _;
use futures_util::stream::FuturesOrdered;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use super::Leading;
use crate::raft::{Batch, EncodedCommand, ProposeError};

/// Commands that wait to be proposed. Who has more to say waits.
pub(super) const QUEUE: usize = 4096;

/// Entries on their way. More than one, so that the disks and the network are busy at once; not more than two, so that what
/// comes meanwhile shares the next one: each costs every coordinator a message and a sync.
const IN_FLIGHT: usize = 2;

/// Commands in one entry, and how many bytes they may have together.
const BATCH: usize = 1024;
const BATCH_BYTES: usize = 4 << 20;

/// What became of a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It is in the log, and was applied.
    Applied,
    /// A submission was taken in.
    Accepted {
        /// It was there before.
        existed: bool,
    },
    /// A submission was not taken in.
    Refused {
        /// Why.
        reason: Refusal,
        /// Milliseconds after which there might be room; none if there never will be.
        retry_after_ms: Option<u64>,
    },
}

/// It is not known what became of a command: this coordinator does not lead any more. It may be in the log or not.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("this coordinator leads no more; ask again")]
pub struct Lost;

/// A command, and who waits for what becomes of it.
#[derive(Debug)]
pub(super) struct Proposal {
    pub(super) command: EncodedCommand,
    pub(super) done: Option<oneshot::Sender<Outcome>>,
}

/// Who waits for the commands of one entry, in their order.
type Waiting = Vec<(bool, Option<oneshot::Sender<Outcome>>)>;

type Landed = (Waiting, Result<Vec<Effect>, ProposeError>);

impl Leading {
    /// Proposes what comes through the queue and performs the effects, until something does not get through.
    pub(super) async fn drive(
        self: &std::sync::Arc<Self>,
        mut queue: mpsc::Receiver<Proposal>,
    ) -> ProposeError {
        let mut flying = FuturesOrdered::new();
        let mut taken = Vec::new();
        loop {
            tokio::select! {
                biased;
                Some(landed) = flying.next(), if !flying.is_empty() => {
                    let (waiting, result): Landed = landed;
                    match result {
                        Ok(effects) => {
                            answer(waiting, &effects);
                            self.perform(effects);
                        }
                        // Who waits learns of it as the senders are dropped.
                        Err(error) => return error,
                    }
                },
                _ = queue.recv_many(&mut taken, BATCH), if flying.len() < IN_FLIGHT => {
                    let mut rest = taken.drain(..).peekable();
                    while rest.peek().is_some() {
                        let (batch, waiting) = pack(&mut rest);
                        flying.push_back(self.enter(batch, waiting));
                    }
                }
            }
        }
    }

    /// One entry, from here into the log and through the core.
    fn enter(&self, batch: Batch, waiting: Waiting) -> impl Future<Output = Landed> + use<> {
        let (node, metrics) = (self.node.clone(), std::sync::Arc::clone(&self.metrics));
        async move {
            metrics.proposed.inc_by(batch.len().into());
            let since = Instant::now();
            let result = node.propose(batch).await;
            metrics.proposals.observe(since.elapsed().as_secs_f64());
            (waiting, result)
        }
    }
}

/// As much as fits into one entry, at least one.
fn pack(rest: &mut std::iter::Peekable<impl Iterator<Item = Proposal>>) -> (Batch, Waiting) {
    let (mut commands, mut waiting, mut bytes) = (Vec::new(), Waiting::new(), 0);
    while let Some(Proposal { command, done }) =
        rest.next_if(|next| commands.is_empty() || bytes + next.command.size() <= BATCH_BYTES)
    {
        bytes += command.size();
        waiting.push((command.submits(), done));
        commands.push(command);
    }
    (Batch::new(commands), waiting)
}

/// Every submission has one answer among the effects, in the order of the submissions.
fn answer(waiting: Waiting, effects: &[Effect]) {
    let mut submissions = effects.iter().filter_map(|effect| match effect {
        Effect::SubmitAccepted { existed, .. } => Some(Outcome::Accepted { existed: *existed }),
        Effect::SubmitRefused { reason, retry_after_ms, .. } => {
            Some(Outcome::Refused { reason: *reason, retry_after_ms: *retry_after_ms })
        }
        _ => None,
    });
    for (submits, done) in waiting {
        let outcome = if submits { submissions.next() } else { Some(Outcome::Applied) };
        if let (Some(done), Some(outcome)) = (done, outcome) {
            // Whoever asked may have gone.
            let _ = done.send(outcome);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use cullet_core::spec::RunSpec;
    use cullet_core::{LogCommand, RunId};

    use super::*;
    use crate::testing::lone_step;

    fn proposal(command: LogCommand) -> (Proposal, oneshot::Receiver<Outcome>) {
        let (done, receiver) = oneshot::channel();
        (Proposal { command: EncodedCommand::new(&command).unwrap(), done: Some(done) }, receiver)
    }

    fn submit(run: u128) -> LogCommand {
        LogCommand::Submit { run: RunId(run), spec: Arc::new(RunSpec::default()), at: 0 }
    }

    #[test]
    fn each_submission_gets_its_own_answer() {
        let (first, mut one) = proposal(submit(1));
        let (tick, mut two) = proposal(LogCommand::Tick { at: 1 });
        let (second, mut three) = proposal(submit(2));
        let (batch, waiting) = pack(&mut [first, tick, second].into_iter().peekable());
        assert_eq!(batch.len(), 3);
        let refused = Effect::SubmitRefused {
            run: RunId(2),
            reason: Refusal::Runs { limit: 1 },
            retry_after_ms: Some(7),
        };
        answer(waiting, &[Effect::SubmitAccepted { run: RunId(1), existed: true }, refused]);
        assert_eq!(one.try_recv().unwrap(), Outcome::Accepted { existed: true });
        assert_eq!(two.try_recv().unwrap(), Outcome::Applied);
        let refused = Outcome::Refused { reason: Refusal::Runs { limit: 1 }, retry_after_ms: Some(7) };
        assert_eq!(three.try_recv().unwrap(), refused);
    }

    #[test]
    fn an_entry_holds_no_more_than_it_may_but_always_something() {
        let large = RunSpec { steps: vec![lone_step(); BATCH_BYTES / 100], ..RunSpec::default() };
        let large = || LogCommand::Submit { run: RunId(1), spec: Arc::new(large.clone()), at: 0 };
        let all = [large(), LogCommand::Tick { at: 1 }, large(), large()].map(|command| proposal(command).0);
        let mut rest = all.into_iter().peekable();
        let sizes: Vec<u32> =
            std::iter::from_fn(|| rest.peek().is_some().then_some(()).map(|()| pack(&mut rest).0.len()))
                .collect();
        assert_eq!(sizes, [2, 1, 1]);
    }
}
