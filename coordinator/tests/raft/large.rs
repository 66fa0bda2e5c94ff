//! Entries that take long to work through.

use cullet_coordinator::raft::Batch;
use cullet_core::spec::{RunSpec, StepSpec};
use cullet_core::{LogCommand, RunId};
use cullet_digest::DigestFunction;
use tempfile::TempDir;

use crate::harness::{cluster, leader, same_state};
use crate::support::until;

fn step(number: usize) -> StepSpec {
    StepSpec {
        name: format!("step number {number}").into(),
        command: DigestFunction::Blake3.digest(b"command"),
        inputs: Box::default(),
        after: if number == 0 { Box::default() } else { [0].into() },
        outputs: 1,
        requires: 0,
        cpu_millis: 1000,
        memory_bytes: 0,
        timeout_ms: 1000,
        limits: 0,
        retry_failure: 0,
        retry_infra: 2,
        effects: false,
        allow_failure: false,
        bypass_cache: false,
        skip: None,
    }
}

/// Millions of bytes of commands in an entry, and another while it is worked through: three coordinators on the processors of
/// one machine take seconds for it, and nobody takes the leader for lost meanwhile.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_large_submission_costs_no_leader() {
    let dir = TempDir::new().unwrap();
    let all = cluster(dir.path()).await;
    let node = all[leader(&all).await].node();
    let term = node.view().term;
    let steps: Vec<StepSpec> = (0..100_000).map(step).collect();
    let spec = std::sync::Arc::new(RunSpec { steps, ..RunSpec::default() });
    let batch = |run| Batch::of(&LogCommand::Submit { run: RunId(run), spec: spec.clone(), at: 1 }).unwrap();
    let (first, second) = tokio::join!(node.propose(batch(1)), node.propose(batch(2)));
    // It may take too long for an answer on a machine that does other things; but it gets there.
    drop((first, second));
    until("both are applied", async || (node.state().read().state.runs().count() == 2).then_some(())).await;
    same_state(&all).await;
    let terms: Vec<u64> = all.iter().map(|coordinator| coordinator.node().view().term).collect();
    assert_eq!(terms, [term; 3]);
}
