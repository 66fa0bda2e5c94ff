//! Runs of one tenant have turns.

use std::collections::{BTreeMap, BTreeSet};

use cullet_core::spec::{RunSpec, StepSpec};
use cullet_core::{Effect, RunId, State, StepId, StepPhase};
use proptest::prelude::*;

use crate::driver::Core;
use crate::random::play;
use crate::shell::Event;
use crate::steps::{after, digest, keep_going, run, step};

/// Whenever a step starts, no other run of its tenant and its priority has less and a step that could have been started
/// instead. `elsewhere` are steps that do not go where others go.
pub(crate) fn who_has_least_is_next(state: &State, effects: &[Effect], elsewhere: impl Fn(StepId) -> bool) {
    let starts = |effect: &Effect| matches!(effect, Effect::Start { .. });
    // What ended between two starts is not known any more.
    let first = effects.iter().position(starts).unwrap_or(effects.len());
    if effects[first..].iter().any(|effect| matches!(effect, Effect::StepFinished { .. })) {
        return;
    }
    let spec = |id: StepId| &state.run(id.run).expect("a run").spec().steps[id.step as usize];
    let cpu_millis = |id: StepId| u64::from(spec(id).cpu_millis.max(1));
    let alike = |id: StepId| {
        let run = state.run(id.run).expect("a run").spec();
        let labels = run.required(spec(id));
        (&run.tenant, run.operation, run.priority, cpu_millis(id), spec(id).memory_bytes, labels)
    };
    let (mut used, mut ready) = (BTreeMap::<RunId, u64>::new(), BTreeSet::new());
    for (run, kept) in state.runs() {
        for (step, view) in (0..).zip(kept.steps()) {
            let id = StepId { run, step };
            match view.phase {
                StepPhase::Running => *used.entry(run).or_default() += cpu_millis(id),
                StepPhase::Ready if !elsewhere(id) => drop(ready.insert(id)),
                _ => {}
            }
        }
    }
    // From the last start back to what was before the first one.
    for effect in effects.iter().rev() {
        let Effect::Start { id, .. } = *effect else { continue };
        *used.get_mut(&id.run).expect("it runs") -= cpu_millis(id);
        if elsewhere(id) {
            continue;
        }
        let has = |run: &RunId| used.get(run).copied().unwrap_or(0);
        let less = ready.iter().find(|other| has(&other.run) < has(&id.run) && alike(**other) == alike(id));
        assert_eq!(less, None, "{id:?} was started, and the other one's run has less");
        ready.insert(id);
    }
}

fn many(steps: usize) -> RunSpec {
    keep_going((0..steps).map(|i| step(&format!("s{i}"))).collect::<Vec<_>>())
}

/// Runs 1, 2, ... of one tenant with so many steps each, all of them ready.
fn runs(core: &mut Core, steps: &[usize]) {
    for (run, steps) in (1..).zip(steps) {
        core.submit(run, many(*steps));
        (0..*steps).for_each(|i| drop(core.miss(&format!("{run}.s{i}"))));
    }
}

/// Ends what runs, the oldest first, and gives the names of what was started for it.
fn next(core: &mut Core, running: &mut Vec<String>) -> Vec<String> {
    let name = running.remove(0);
    let lines = core.succeed(&name);
    let started: Vec<_> = lines.iter().filter_map(|line| started(line)).collect();
    running.extend(started.iter().cloned());
    started
}

fn started(line: &str) -> Option<String> {
    Some(line.strip_prefix("start ")?.split_once('#')?.0.to_owned())
}

#[test]
fn a_small_run_does_not_wait_for_a_large_one_that_came_first() {
    let mut core = Core::with_cpus(4);
    runs(&mut core, &[1000]);
    core.submit(2, many(1));
    assert!(core.miss("2.s0").is_empty());
    assert_eq!(core.succeed("s0"), ["s0 Succeeded", "start 2.s0#1@5 on 1"]);
}

#[test]
fn runs_take_turns_where_there_is_room_for_one_step_only() {
    let mut core = Core::default();
    runs(&mut core, &[4, 2, 3]);
    let mut running: Vec<_> = core.join(1, 1).iter().filter_map(|line| started(line)).collect();
    let mut order = running.clone();
    while !running.is_empty() {
        order.extend(next(&mut core, &mut running));
    }
    assert_eq!(order, ["s0", "2.s0", "3.s0", "s1", "2.s1", "3.s1", "s2", "3.s2", "s3"]);
}

#[test]
fn a_flood_of_small_runs_does_not_keep_a_large_one_waiting() {
    let mut core = Core::default();
    runs(&mut core, &[50, 1, 1]);
    let mut running: Vec<_> = core.join(1, 1).iter().filter_map(|line| started(line)).collect();
    let mut of_large = 0;
    for run in 4..304 {
        // Whenever a small one has ended, another one comes.
        if running[0].contains('.') {
            core.submit(run, many(1));
            core.miss(&format!("{run}.s0"));
        }
        let started = next(&mut core, &mut running);
        of_large += started.iter().filter(|name| !name.contains('.')).count();
        if of_large == 49 {
            assert!(run <= 4 + 3 * 50, "it took {run} turns, with three runs there at a time");
            return;
        }
    }
    panic!("it starves: {of_large} starts");
}

#[test]
fn a_higher_priority_goes_first_however_much_it_has_and_a_longer_chain_within_a_run() {
    let mut core = Core::default();
    let important = |steps: Vec<StepSpec>| RunSpec { priority: 1, ..run(steps) };
    core.submit(1, run([step("a"), step("b"), after("c", &[1])]));
    core.submit(2, important(vec![step("a"), step("b")]));
    core.submit(3, run([step("a"), step("b"), after("c", &[1])]));
    core.miss_all(&["a", "b", "2.a", "2.b", "3.a", "3.b"]);
    let order: Vec<_> = core.join(1, 6).iter().filter_map(|line| started(line)).collect();
    assert_eq!(order, ["2.a", "2.b", "b", "3.b", "a", "3.a"]);
}

#[test]
fn what_counts_is_the_processors_that_running_steps_take() {
    let mut core = Core::default();
    let wide = |name| StepSpec { cpu_millis: 3000, ..step(name) };
    core.submit(1, run([wide("a"), wide("b")]));
    core.submit(2, run(["a", "b", "c", "d"].map(step)));
    core.miss_all(&["a", "b", "2.a", "2.b", "2.c", "2.d"]);
    let order: Vec<_> = core.join(1, 9).iter().filter_map(|line| started(line)).collect();
    assert_eq!(order, ["a", "2.a", "2.b", "2.c", "b"]);
}

/// Runs of one tenant, on few workers, while steps end, fail and are cancelled.
fn crowded() -> impl Strategy<Value = (Vec<RunSpec>, Vec<Event>)> {
    let spec = prop::collection::vec((1..4_u32, 0..2_u8), 1..9).prop_map(|steps| {
        let spec = |(i, (cpus, kind)): (usize, (u32, u8))| StepSpec {
            cpu_millis: cpus * 500,
            memory_bytes: u64::from(kind),
            command: digest(&format!("{i} {cpus} {kind}")),
            retry_infra: 3,
            retry_failure: 3,
            bypass_cache: true,
            ..step(&format!("s{i}"))
        };
        keep_going(steps.into_iter().enumerate().map(spec).collect::<Vec<_>>())
    });
    let event = prop_oneof![
        2 => any::<u8>().prop_map(Event::Submit),
        20 => (any::<u8>(), any::<u8>()).prop_map(|(pick, how)| Event::Answer { pick, how }),
        4 => (any::<u8>(), any::<u8>()).prop_map(|(pick, how)| Event::Trouble { pick, how }),
        2 => (0..2_u8, 3..7_u8, 0..2_u8)
            .prop_map(|(worker, cpus, incarnation)| Event::Join { worker, cpus, incarnation }),
        1 => any::<u8>().prop_map(Event::Cancel),
        1 => Just(Event::Tick),
    ];
    let specs = prop::collection::vec(spec, 2..6);
    (specs, prop::collection::vec(event, 50..200)).prop_map(|(specs, events)| {
        let submitted = (0..specs.len() as u8).map(Event::Submit);
        let join = Event::Join { worker: 0, cpus: 4, incarnation: 0 };
        (specs.clone(), submitted.chain([join]).chain(events).collect())
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn of_two_runs_the_one_with_less_is_next_whatever_happens((specs, events) in crowded()) {
        play(specs, &events);
    }
}
