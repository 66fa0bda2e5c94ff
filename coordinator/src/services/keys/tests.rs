use std::sync::Arc;

use cullet_cache::v1::digest_to_wire;
use cullet_core::spec::{RunSpec, StepSpec};
use cullet_core::{AttemptOutcome, LogCommand, Resolution, StepId, WorkerSpec};
use cullet_digest::DigestFunction;

use super::*;
use crate::testing::lone_step;

fn key(name: &str) -> Digest {
    DigestFunction::Blake3.digest(name.as_bytes())
}

/// Submits a run of the pipeline `app` at a time.
fn submit(state: &mut State, run: u128, at: TimeMs, change: impl FnOnce(&mut RunSpec)) {
    let steps = vec![StepSpec { name: "build".into(), ..lone_step() }];
    let mut spec = RunSpec { pipeline: "app".into(), steps, ..RunSpec::default() };
    change(&mut spec);
    state.apply(&LogCommand::Submit { run: RunId(run), spec: Arc::new(spec), at });
}

/// Ends the first step of a run with this key.
fn end(state: &mut State, run: u128, at: TimeMs, action: &str) {
    let resolution = Resolution::Hit { action: key(action), outputs: Box::default(), saved_ms: 1 };
    let id = StepId { run: RunId(run), step: 0 };
    state.apply(&LogCommand::Resolved { id, resolution, at });
}

/// What is known of `build` in a run: runs, each with its key.
fn earlier(state: &State, run: u128) -> Vec<(RunId, v1::Digest)> {
    let known = known(state, RunId(run), "build").unwrap();
    let run = |key: &v1::StepKey| RunId(u128::from_str_radix(&key.run, 16).unwrap());
    known.answer.earlier.iter().map(|key| (run(key), key.action.clone().unwrap())).collect()
}

fn expected(list: &[(u128, &str)]) -> Vec<(RunId, v1::Digest)> {
    list.iter().map(|(run, name)| (RunId(*run), digest_to_wire(&key(name)))).collect()
}

#[test]
fn each_key_is_told_once_the_newest_end_first() {
    let mut state = State::default();
    for (run, action) in [(1, "a"), (2, "b"), (3, "a"), (4, "c")] {
        submit(&mut state, run, 10 * run as u64, |_| {});
        end(&mut state, run, 10 * run as u64 + 1, action);
    }
    assert_eq!(earlier(&state, 4), expected(&[(3, "a"), (2, "b")]));
    assert_eq!(earlier(&state, 2), expected(&[(1, "a")]));
    assert_eq!(earlier(&state, 1), []);
}

#[test]
fn other_pipelines_tenants_and_steps_say_nothing() {
    let mut state = State::default();
    submit(&mut state, 1, 1, |spec| spec.pipeline = "lib".into());
    submit(&mut state, 2, 2, |spec| spec.tenant = "other".into());
    submit(&mut state, 3, 3, |spec| spec.steps[0].name = "test".into());
    submit(&mut state, 4, 4, |spec| spec.steps.insert(0, StepSpec { name: "new".into(), ..lone_step() }));
    for run in 1..=4 {
        end(&mut state, run, 10 + run as u64, "a");
    }
    submit(&mut state, 5, 20, |_| {});
    assert_eq!(earlier(&state, 5), [], "the only one that has it did not finish it");
    let resolution = Resolution::Hit { action: key("b"), outputs: Box::default(), saved_ms: 1 };
    state.apply(&LogCommand::Resolved { id: StepId { run: RunId(4), step: 1 }, resolution, at: 21 });
    assert_eq!(earlier(&state, 5), expected(&[(4, "b")]), "wherever it is in its run");
}

#[test]
fn what_came_later_explains_nothing() {
    let mut state = State::default();
    submit(&mut state, 1, 1, |_| {});
    submit(&mut state, 2, 2, |_| {});
    submit(&mut state, 3, 3, |_| {});
    end(&mut state, 3, 10, "c");
    end(&mut state, 2, 20, "b");
    assert_eq!(earlier(&state, 2), [], "run 1 has not ended it, and run 3 is a later one");
    end(&mut state, 1, 30, "a");
    assert_eq!(earlier(&state, 2), []);
    submit(&mut state, 4, 40, |_| {});
    assert_eq!(earlier(&state, 4), expected(&[(1, "a"), (2, "b"), (3, "c")]));
}

#[test]
fn the_key_of_the_step_itself_is_found_behind_any_number_of_others() {
    let mut state = State::default();
    for run in 0..20 {
        submit(&mut state, run, run as u64, |_| {});
        end(&mut state, run, 100 + run as u64, &format!("key {run}"));
    }
    submit(&mut state, 20, 200, |_| {});
    end(&mut state, 20, 201, "key 3");
    let found = earlier(&state, 20);
    assert_eq!((found.len(), found[0].0, found[8].0), (9, RunId(19), RunId(3)));
}

/// Has the first step of a run executed with this key.
fn execute(state: &mut State, run: u128, at: TimeMs, action: &str, outcome: AttemptOutcome) {
    let id = StepId { run: RunId(run), step: 0 };
    state.apply(&LogCommand::Resolved { id, resolution: Resolution::miss(key(action)), at });
    let step = state.run(RunId(run)).unwrap().step(0).unwrap();
    let (attempt, epoch) = (step.attempt, step.epoch);
    let (duration_ms, detail) = (1, None);
    state.apply(&LogCommand::AttemptFinished { id, attempt, epoch, outcome, duration_ms, detail, at });
}

#[test]
fn where_a_cached_result_comes_from_is_told_as_well() {
    let mut state = State::default();
    let spec = WorkerSpec { name: "w".into(), cpu_millis: 9, ..WorkerSpec::default() };
    state.apply(&LogCommand::WorkerJoined { spec, at: 0 });
    for run in 1..=5 {
        submit(&mut state, run, 10 * run as u64, |spec| spec.steps[0].bypass_cache = run < 4);
        let at = 10 * run as u64 + 1;
        let succeeded = || AttemptOutcome::Succeeded { outputs: Box::default() };
        match run {
            1 => execute(&mut state, run, at, "a", AttemptOutcome::Failed { exit_code: 1 }),
            2 | 3 => execute(&mut state, run, at, "a", succeeded()),
            _ => end(&mut state, run, at, "a"),
        }
    }
    assert_eq!(earlier(&state, 5), expected(&[(4, "a"), (3, "a")]));
    assert_eq!(earlier(&state, 3), expected(&[(2, "a")]), "the last end is an execution");
    let known = known(&state, RunId(2), "build").unwrap();
    assert_eq!((&*known.answer.earlier[0].status, known.answered), ("failed", None));
}

#[test]
fn who_asks_for_what_is_not_there_is_told() {
    let mut state = State::default();
    submit(&mut state, 1, 1, |spec| spec.steps[0].bypass_cache = true);
    assert!(known(&state, RunId(1), "build").unwrap().answer.no_cache);
    assert_eq!(known(&state, RunId(1), "built").unwrap_err().code(), tonic::Code::NotFound);
    assert_eq!(known(&state, RunId(2), "build").unwrap_err().code(), tonic::Code::NotFound);
}
