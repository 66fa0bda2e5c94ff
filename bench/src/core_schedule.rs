//! The scheduler alone: many workers, all full, and many more steps that are ready.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use cullet_core::spec::{RunSpec, StepSpec};
use cullet_core::{AttemptOutcome, Effect, LogCommand, Resolution, RunId, State, WorkerSpec};
use cullet_digest::{DigestFunction, TreeRef};

use crate::Result;
use crate::check::{Report, Target, seconds};
use crate::core_apply::lone_step;
use crate::measure::middle;
use crate::scale::Scale;

/// Seconds that a decision may take: the end of an attempt and the start of what takes its place.
const TARGET: f64 = 10e-6;
/// Workers, of eight processors each.
const WORKERS: u64 = 1_000;
/// Tenants that the steps belong to.
const TENANTS: u32 = 4;
/// Different demands for processors.
const SIZES: u32 = 8;

pub(crate) fn run(scale: &Scale, report: &mut Report) -> Result<()> {
    let steps = scale.core_steps;
    report.heading("scheduler: 1,000 workers");
    let (mut state, mut running) = crowd(steps);
    let decisions = steps / 20;
    let first = decide(&mut state, &mut running, decisions);
    report.note(&format!("a decision at first: {}", seconds(first)));
    let later: Vec<f64> = (0..9).map(|_| decide(&mut state, &mut running, decisions)).collect();
    let later = middle(later);
    let what = format!("a decision among {steps} ready steps");
    report.compare(&what, later, TARGET, Target::AtMost(1.0), seconds);
    report.compare("a decision after others", later, first, Target::AtMost(1.5), seconds);
    Ok(())
}

/// All steps ready, all workers full; and the starts of what runs.
fn crowd(steps: u32) -> (State, VecDeque<Effect>) {
    let mut state = State::default();
    for tenant in 0..TENANTS {
        let spec = RunSpec {
            pipeline: "crowd".into(),
            tenant: format!("tenant-{tenant}").into(),
            steps: (0..steps / TENANTS).map(step).collect(),
            ..RunSpec::default()
        };
        let run = RunId(tenant.into());
        for effect in state.apply(&LogCommand::Submit { run, spec: Arc::new(spec), at: 0 }) {
            let Effect::Resolve { id, .. } = effect else { continue };
            let action = DigestFunction::Blake3.digest(format!("{tenant} {}", id.step).as_bytes());
            state.apply(&LogCommand::Resolved { id, resolution: Resolution::miss(action), at: 1 });
        }
    }
    let mut running = VecDeque::new();
    for worker in 0..WORKERS {
        let spec = WorkerSpec {
            name: format!("worker-{worker}").into(),
            incarnation: 1,
            cpu_millis: 8_000,
            memory_bytes: 32 << 30,
            ..WorkerSpec::default()
        };
        running.extend(state.apply(&LogCommand::WorkerJoined { spec, at: 2 }));
    }
    (state, running)
}

fn step(index: u32) -> StepSpec {
    StepSpec { cpu_millis: 500 * (1 + index % SIZES), memory_bytes: 1 << 30, ..lone_step(index) }
}

/// Ends so many attempts, the oldest first, and gives the seconds for each.
fn decide(state: &mut State, running: &mut VecDeque<Effect>, decisions: u32) -> f64 {
    let digest = DigestFunction::Blake3.digest(b"output");
    let outputs: Box<[TreeRef]> = [TreeRef::File { digest, executable: false }].into();
    let start = Instant::now();
    let mut decided = 0_u32;
    while decided < decisions {
        let Some(effect) = running.pop_front() else { break };
        let Effect::Start { id, attempt, epoch, .. } = effect else { continue };
        let outcome = AttemptOutcome::Succeeded { outputs: outputs.clone() };
        let (duration_ms, detail, at) = (1, None, 3);
        let finished = LogCommand::AttemptFinished { id, attempt, epoch, outcome, duration_ms, detail, at };
        running.extend(state.apply(&finished));
        decided += 1;
    }
    start.elapsed().as_secs_f64() / f64::from(decided.max(1))
}
