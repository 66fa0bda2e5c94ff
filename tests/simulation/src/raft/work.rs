//! What clients would have the leader do.

use std::rc::Rc;
use std::time::Duration;

use cullet_coordinator::raft::{Batch, Node, ProposeError};
use cullet_core::spec::RunSpec;
use cullet_core::{Effect, LogCommand, RunId};
use cullet_proto::raft::raft_server::RaftServer;
use tonic::service::Routes;

use crate::chance::Chance;
use crate::coordinator::{Coordinator, Duty};
use crate::history::{Answer, History};
use crate::invariants::Broken;
use crate::trace::Trace;

/// Submissions at a time in one coordinator.
const SUBMITTERS: usize = 3;

/// One process's share of the work.
pub(crate) struct Work {
    pub(crate) coordinator: Rc<Coordinator>,
    pub(crate) history: History,
    pub(crate) trace: Trace,
    pub(crate) broken: Broken,
    pub(crate) seed: u64,
}

impl Duty for Work {
    fn routes(&self, node: &Node) -> Routes {
        Routes::new(RaftServer::new(node.rpc()))
    }

    async fn work(&self, node: &Node) {
        self.go_on(node, self.seed).await;
    }
}

impl Work {
    async fn go_on(&self, node: &Node, seed: u64) {
        let submitting = (0..SUBMITTERS).map(|number| {
            self.submit(node, Chance::new(seed, &format!("{} submits {number}", self.coordinator.host)))
        });
        let submitting = futures_util::future::join_all(submitting);
        let reading = self.read(node, Chance::new(seed, &format!("{} reads", self.coordinator.host)));
        tokio::join!(submitting, reading);
    }

    async fn submit(&self, node: &Node, mut chance: Chance) {
        loop {
            tokio::time::sleep(chance.millis(5..=60)).await;
            if !node.leads() || self.history.is_closed() {
                continue;
            }
            let run = self.history.submit();
            let answer = match node.propose(submission(run)).await {
                Ok(effects) => {
                    let expected = Effect::SubmitAccepted { run, existed: false };
                    self.broken
                        .check(effects.contains(&expected), || format!("{run} is answered by {effects:?}"));
                    Answer::Acknowledged
                }
                Err(ProposeError::NotLeader { .. }) => Answer::Refused,
                Err(_) => Answer::Unknown,
            };
            self.trace.add(format_args!("{} run {}: {answer:?}", self.coordinator.host, run.0));
            self.history.answer(run, answer);
        }
    }

    /// What was acknowledged before a barrier is there after it.
    async fn read(&self, node: &Node, mut chance: Chance) {
        loop {
            tokio::time::sleep(chance.millis(10..=100)).await;
            if !node.leads() {
                continue;
            }
            let before = self.history.with(Answer::Acknowledged);
            if node.barrier().await.is_err() {
                continue;
            }
            let applying = node.state().read();
            let missing = before.iter().find(|run| applying.state.run(**run).is_none());
            self.broken.check(missing.is_none(), || {
                format!(
                    "{} read a state without run {missing:?}, which was acknowledged before",
                    self.coordinator.host
                )
            });
            self.trace.add(format_args!("{} read {} runs", self.coordinator.host, before.len()));
        }
    }
}

fn submission(run: RunId) -> Batch {
    let spec = RunSpec { pipeline: "empty".into(), ..RunSpec::default() };
    let at = Duration::from_secs(1).as_millis() as u64;
    // One that had no encoding would be missed among the effects.
    Batch::of(&LogCommand::Submit { run, spec: spec.into(), at }).unwrap_or_default()
}
