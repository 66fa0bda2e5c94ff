//! Cost grows with the size of a run and not faster. Ratios within one process, so that a slow machine does
//! not matter.

use std::collections::VecDeque;
use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use cullet_core::spec::{RunSpec, StepSpec};
use cullet_core::{AttemptOutcome, Detail, Effect, LogCommand, Resolution, RunId, State, StepId, Usage};

use crate::driver::worker_spec;
use crate::memory::held;
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
    let mut effects: VecDeque<_> = state.apply(&submit).into();
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
    let before = held();
    let mut state = State::default();
    play(&mut state, Arc::new(layers(steps)), false);
    let per_step = (held() - before) / steps as usize;
    assert_eq!(state.run(RunId(1)).unwrap().counts().cached, steps);
    eprintln!("{per_step} bytes a step");
    assert!(per_step < 700, "{per_step} bytes a step");
}

/// Runs of four tenants with steps of eight sizes, all of them ready, on workers of eight processors that are
/// full; gives the state and what runs.
fn crowd(workers: u64, steps: u32) -> (State, VecDeque<Effect>) {
    let mut state = State::default();
    let mut running = VecDeque::new();
    for tenant in 0..4_u32 {
        let sized = |i| StepSpec { cpu_millis: 500 * (1 + i % 8), retry_infra: 9, ..step(&format!("s{i}")) };
        let tenant_name = format!("t{tenant}").into();
        let spec = RunSpec { tenant: tenant_name, ..run((0..steps / 4).map(sized).collect::<Vec<_>>()) };
        let submit = LogCommand::Submit { run: RunId(tenant.into()), spec: Arc::new(spec), at: 0 };
        for effect in state.apply(&submit) {
            let Effect::Resolve { id, .. } = effect else { continue };
            let action = digest(&format!("{tenant} {}", id.step));
            state.apply(&LogCommand::Resolved { id, resolution: Resolution::miss(action), at: 1 });
        }
    }
    for worker in 0..workers {
        running.extend(state.apply(&LogCommand::WorkerJoined { spec: worker_spec(worker, 8), at: 2 }));
    }
    (state, running)
}

/// Ends so many attempts, the oldest first, and gives the seconds that each took with what was started for it.
fn decide(state: &mut State, running: &mut VecDeque<Effect>, decisions: u32) -> f64 {
    let outputs = Box::<[_]>::from([tree("output")]);
    end(state, running, decisions, &AttemptOutcome::Succeeded { outputs })
}

fn end(state: &mut State, running: &mut VecDeque<Effect>, decisions: u32, outcome: &AttemptOutcome) -> f64 {
    let start = start_of_measurement();
    for _ in 0..decisions {
        let Some(Effect::Start { id, attempt, epoch, .. }) = running.pop_front() else {
            panic!("all is done")
        };
        let (outcome, duration_ms, detail, at) = (outcome.clone(), 1, None, 3);
        let finished = LogCommand::AttemptFinished { id, attempt, epoch, outcome, duration_ms, detail, at };
        let started = state.apply(&finished).into_iter();
        running.extend(started.filter(|effect| matches!(effect, Effect::Start { .. })));
    }
    start.elapsed().as_secs_f64() / f64::from(decisions)
}

#[test]
fn a_decision_does_not_grow_with_workers_ready_steps_or_history() {
    let (mut small, mut few) = crowd(10, 4_000);
    let (mut large, mut many) = crowd(1_000, 40_000);
    let small = (0..4).map(|_| decide(&mut small, &mut few, 500)).fold(f64::MAX, f64::min);
    let first = decide(&mut large, &mut many, 2_000);
    let rest: Vec<f64> = (0..6).map(|_| decide(&mut large, &mut many, 2_000)).collect();
    let last = rest[3..].iter().copied().fold(f64::MAX, f64::min);
    eprintln!("a decision: {:.2} µs, {:.2} µs, {:.2} µs", small * 1e6, first * 1e6, last * 1e6);
    // A hundred times the workers and ten times the steps; memory that no longer fits into the processor's
    // caches gives up to 3.
    assert!(last < small * 8.0, "{last} s instead of {small}");
    assert!(last < first * 3.0, "{last} s instead of {first}");
}

/// One processor, and tenants that have a run with one step each, which are all ready: what an end and a start take, and what
/// it takes to come.
fn tenants(count: u32) -> (f64, f64) {
    let mut state = State::default();
    let mut running: VecDeque<_> =
        state.apply(&LogCommand::WorkerJoined { spec: worker_spec(1, 1), at: 0 }).into();
    let start = start_of_measurement();
    for tenant in 0..count {
        let spec = RunSpec { tenant: format!("tenant-number-{tenant}").into(), ..run([step("s")]) };
        let submit = LogCommand::Submit { run: RunId(tenant.into()), spec: Arc::new(spec), at: 0 };
        state.apply(&submit);
        let id = StepId { run: RunId(tenant.into()), step: 0 };
        let resolution = Resolution::miss(digest(&format!("{tenant}")));
        running.extend(state.apply(&LogCommand::Resolved { id, resolution, at: 1 }));
    }
    let coming = start.elapsed().as_secs_f64() / f64::from(count);
    running.retain(|effect| matches!(effect, Effect::Start { .. }));
    let deciding = (0..3).map(|_| decide(&mut state, &mut running, count.min(100) / 4));
    (deciding.fold(f64::MAX, f64::min), coming)
}

#[test]
fn a_decision_grows_no_faster_than_the_number_of_tenants() {
    let [few, many, most] = [10, 1_000, 4_000].map(tenants);
    for (count, (deciding, coming)) in [(10, few), (1_000, many), (4_000, most)] {
        eprintln!("{count} tenants: a decision {:.1} µs, a new one {:.1} µs", deciding * 1e6, coming * 1e6);
    }
    // In proportion it is 4; memory that no longer fits into the processor's caches gives 2.
    assert!(most.0 < many.0 * 10.0 && most.1 < many.1 * 10.0, "{most:?} instead of {many:?}");
    // And here 100.
    assert!(many.0 < few.0 * 60.0, "{many:?} instead of {few:?}");
}

/// As when the store cannot be reached: nearly every worker is one that some step shuns.
#[test]
fn a_decision_hardly_grows_when_all_machines_fail_steps() {
    let (mut state, mut running) = crowd(1_000, 40_000);
    let well = (0..4).map(|_| decide(&mut state, &mut running, 1_000)).fold(f64::MAX, f64::min);
    let trouble = AttemptOutcome::Infra { reason: "no store".into() };
    let failing = end(&mut state, &mut running, 4_000, &trouble);
    let after = (0..4).map(|_| decide(&mut state, &mut running, 1_000)).fold(f64::MAX, f64::min);
    eprintln!("a decision: {:.2} µs, {:.2} µs, {:.2} µs", well * 1e6, failing * 1e6, after * 1e6);
    // With the eight that are shunned at once there are nine times the groups.
    assert!(failing < well * 16.0 && after < well * 16.0, "{failing} s and {after} s instead of {well}");
}

/// What a step keeps while its run is live, ready or executed with a journal.
#[test]
fn a_live_step_takes_less_than_1024_bytes() {
    let before = held();
    let (mut state, mut running) = crowd(1, 10_000);
    let ready = (held() - before) / 10_000;
    decide(&mut state, &mut running, 100);
    drop((state, running));
    let steps: Vec<_> = (0..10_000).map(|i| reads(&format!("step-{i}"), &[])).collect();
    let before = held();
    let mut state = State::default();
    state.apply(&LogCommand::WorkerJoined { spec: worker_spec(1, 1000), at: 0 });
    let spec = RunSpec { journal: true, ..run(steps) };
    let submit = LogCommand::Submit { run: RunId(1), spec: Arc::new(spec), at: 0 };
    let mut effects: VecDeque<_> = state.apply(&submit).into();
    // The last one stays, so that the run is live.
    effects.pop_back();
    while let Some(effect) = effects.pop_front() {
        let command = match effect {
            Effect::Resolve { id, .. } => {
                let resolution = Resolution::miss(digest(&format!("{}", id.step)));
                LogCommand::Resolved { id, resolution, at: 1 }
            }
            Effect::Start { id, attempt, epoch, .. } => {
                let outcome = AttemptOutcome::Succeeded { outputs: [tree("output")].into() };
                let blob = Some(digest("detail"));
                let detail = Some(Detail { blob, usage: Some(Usage { cpu_ms: 7, ..Usage::default() }) });
                let (duration_ms, at) = (1, 3);
                LogCommand::AttemptFinished { id, attempt, epoch, outcome, duration_ms, detail, at }
            }
            _ => continue,
        };
        effects.extend(state.apply(&command));
    }
    assert_eq!(state.run(RunId(1)).unwrap().counts().executed, 9_999);
    drop(effects);
    let executed = (held() - before) / 10_000;
    eprintln!("{ready} bytes a ready step, {executed} bytes an executed one with its events");
    assert!(ready < 1024 && executed < 1024);
}
