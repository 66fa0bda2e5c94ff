//! Cost grows with the size of a run and not faster. Ratios within one process, so that a slow machine does
//! not matter.

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use cullet_core::spec::{RunSpec, StepSpec};
use cullet_core::{AttemptOutcome, Effect, LogCommand, Resolution, RunId, State, StepId};

use crate::driver::worker_spec;
use crate::steps::{digest, reads, run, step, tree};

/// Layers of ten steps, each of which reads one of the layer before, and a last one that comes after all.
fn layers(steps: u32) -> RunSpec {
    let mut all: Vec<StepSpec> = (0..steps - 1)
        .map(|i| {
            let producer: &[u32] = &[i.wrapping_sub(10)];
            reads(&format!("step-{i}"), if i < 10 { &[] } else { producer })
        })
        .collect();
    all.push(crate::steps::after("all", &(0..steps - 1).collect::<Vec<_>>()));
    all.shrink_to_fit();
    run(all)
}

/// Answers every effect at once, in order, and gives the number of commands.
fn play(state: &mut State, spec: Arc<RunSpec>, miss: bool) -> usize {
    let submit = LogCommand::Submit { run: RunId(1), spec, at: 0 };
    let mut effects: std::collections::VecDeque<_> = state.apply(&submit).into();
    let (action, outputs) = (digest("action"), Box::<[_]>::from([tree("output")]));
    let mut commands = 1;
    while let Some(effect) = effects.pop_front() {
        let command = match effect {
            Effect::Resolve { id, .. } if miss => {
                let action = digest(&format!("{}", id.step));
                LogCommand::Resolved { id, resolution: Resolution::miss(action), at: 1 }
            }
            Effect::Resolve { id, .. } => {
                let resolution = Resolution::Hit { action, outputs: outputs.clone(), saved_ms: 1 };
                LogCommand::Resolved { id, resolution, at: 1 }
            }
            Effect::Start { id, attempt, epoch, .. } => {
                let outcome = AttemptOutcome::Succeeded { outputs: outputs.clone() };
                LogCommand::AttemptFinished {
                    id,
                    attempt,
                    epoch,
                    outcome,
                    duration_ms: 5,
                    detail: None,
                    at: 2,
                }
            }
            _ => continue,
        };
        commands += 1;
        effects.extend(state.apply(&command));
    }
    assert!(state.run(RunId(1)).unwrap().status().is_some());
    commands
}

/// The best of some tries: what else the machine does only ever adds.
fn best(mut work: impl FnMut()) -> Duration {
    let time = |()| {
        let start = start_of_measurement();
        work();
        start.elapsed()
    };
    [(); 3].map(time).into_iter().min().unwrap()
}

#[expect(clippy::disallowed_methods, reason = "a test measures the core from outside")]
fn start_of_measurement() -> Instant {
    Instant::now()
}

fn per_step(steps: u32, work: impl Fn(Arc<RunSpec>)) -> f64 {
    let spec = Arc::new(layers(steps));
    best(|| work(Arc::clone(&spec))).as_secs_f64() / f64::from(steps)
}

#[test]
fn time_per_step_does_not_grow_with_the_run() {
    for miss in [false, true] {
        let work = |spec| {
            let mut state = State::default();
            state.apply(&LogCommand::WorkerJoined { spec: worker_spec(1, 4), at: 0 });
            black_box(play(&mut state, spec, miss));
        };
        let (small, large) = (per_step(1_000, work), per_step(20_000, work));
        eprintln!("a step of 1,000: {:.2} µs, of 20,000: {:.2} µs", small * 1e6, large * 1e6);
        // A quadratic step would give 20. Memory that no longer fits into the processor's caches gives up to 3.
        assert!(large < small * 8.0, "{large} s a step instead of {small}");
    }
}

#[test]
fn a_chain_of_skipped_steps_needs_no_stack() {
    let mut steps = vec![step("first")];
    steps.extend((1..200_000).map(|i| crate::steps::after("next", &[i - 1])));
    let mut state = State::default();
    let spec = Arc::new(RunSpec { keep_going: true, ..run(steps) });
    state.apply(&LogCommand::Submit { run: RunId(1), spec, at: 0 });
    let id = StepId { run: RunId(1), step: 0 };
    let resolution = Resolution::Impossible { reason: "for the test".into() };
    let effects = state.apply(&LogCommand::Resolved { id, resolution, at: 0 });
    assert_eq!(effects.len(), 200_001);
}

/// Steps with one action, all but one of them waiting for it.
#[test]
fn a_crowd_of_identical_steps_costs_no_more_than_others() {
    let crowd = |steps: u32| {
        let spec = Arc::new(run((0..steps).map(|_| step("same")).collect::<Vec<_>>()));
        let seconds = best(|| {
            let mut state = State::default();
            state.apply(&LogCommand::Submit { run: RunId(1), spec: Arc::clone(&spec), at: 0 });
            for step in 0..steps {
                let id = StepId { run: RunId(1), step };
                let resolution = Resolution::miss(digest("same"));
                state.apply(&LogCommand::Resolved { id, resolution, at: 0 });
            }
            assert_eq!(state.apply(&LogCommand::Cancel { run: RunId(1), at: 0 }).len(), steps as usize + 1);
        });
        seconds.as_secs_f64() / f64::from(steps)
    };
    let (small, large) = (crowd(1_000), crowd(20_000));
    assert!(large < small * 8.0, "{large} s a step instead of {small}");
}

/// What a run of so many steps keeps, in bytes: counted, as the encoding would hide what lies in memory.
#[test]
fn a_step_takes_less_than_700_bytes() {
    let steps = 10_000;
    let before = crate::memory::held();
    let mut state = State::default();
    play(&mut state, Arc::new(layers(steps)), false);
    let per_step = (crate::memory::held() - before) / steps as usize;
    assert_eq!(state.run(RunId(1)).unwrap().counts().cached, steps);
    eprintln!("{per_step} bytes a step");
    assert!(per_step < 700, "{per_step} bytes a step");
}
