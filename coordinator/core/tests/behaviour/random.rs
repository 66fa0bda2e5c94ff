//! Random runs, random trouble: whatever happens, the invariants hold, and once the trouble is over every run
//! ends.

use cullet_core::spec::{InputSource, InputSpec, RunSpec, StepSpec};
use cullet_core::{Effect, LogCommand, Refusal, RunStatus, State, StepStatus};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;

use crate::invariants::Watch;
use crate::owed::labels;
use crate::shell::{Event, Shell};
use crate::steps::{digest, tree};

#[derive(Debug, Clone)]
struct RawStep {
    needs: Vec<(u8, bool)>,
    class: u8,
    cpus: u8,
    traits: u8,
    retries: (u8, u8),
}

fn raw_step() -> impl Strategy<Value = RawStep> {
    let needs = prop::collection::vec((any::<u8>(), prop::bool::weighted(0.8)), 0..3);
    (needs, 0..2_u8, 0..5_u8, any::<u8>(), (0..3_u8, 0..4_u8))
        .prop_map(|(needs, class, cpus, traits, retries)| RawStep { needs, class, cpus, traits, retries })
}

/// Steps of one class with the same inputs have the same action.
fn step(index: usize, raw: &RawStep) -> StepSpec {
    let needs = |input: bool| {
        let needs = raw.needs.iter().filter(move |need| index > 0 && need.1 == input);
        needs.map(move |need| u32::from(need.0) % index as u32)
    };
    let output = |step| InputSpec { path: "x".into(), source: InputSource::Output { step, output: 0 } };
    let source = InputSpec { path: "src".into(), source: InputSource::Tree(tree("source").into()) };
    let one_in = |n: u8, with: u8| raw.traits % n == with;
    StepSpec {
        requires: u16::from(one_in(9, 5)) + u16::from(one_in(27, 5)),
        inputs: needs(true).map(output).chain(one_in(3, 0).then_some(source)).collect(),
        after: needs(false).collect(),
        cpu_millis: u32::from(raw.cpus) * 500,
        memory_bytes: u64::from(raw.cpus % 3) << 20,
        command: digest(&format!("class {}", raw.class)),
        limits: u64::from(raw.traits % 13 == 6),
        retry_failure: raw.retries.0,
        retry_infra: raw.retries.1,
        effects: one_in(11, 1),
        allow_failure: one_in(5, 2),
        bypass_cache: one_in(7, 3),
        skip: one_in(31, 4).then(|| "condition".into()),
        ..crate::steps::step(&format!("s{index}"))
    }
}

prop_compose! {
    fn spec()(raw in prop::collection::vec(raw_step(), 0..10), keep_going in prop::bool::weighted(0.7), deliver: bool) -> RunSpec {
        let mut steps: Vec<_> = raw.iter().enumerate().map(|(index, raw)| step(index, raw)).collect();
        let tenant = if deliver { "one" } else { "two" };
        let deliver = (0..steps.len() as u32).filter(|step| deliver && step % 3 == 0).collect();
        let on_branch = steps.len() % 4 == 3;
        let operation = steps.len() % 5 == 1;
        steps.iter_mut().for_each(|step| step.effects &= !operation);
        let requirements = ["", "1", "2"].map(|x| labels(x).into_iter().collect()).into();
        RunSpec {
            pipeline: "random".into(),
            priority: (steps.len() % 3) as i8 - 1,
            steps,
            keep_going,
            journal: keep_going,
            deliver,
            tenant: tenant.into(),
            requirements,
            scope: if on_branch { "branch/x" } else { RunSpec::SCOPE }.into(),
            operation,
            client: 1 + u64::from(keep_going),
            ..RunSpec::default()
        }
    }
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        4 => any::<u8>().prop_map(Event::Submit),
        30 => (any::<u8>(), any::<u8>()).prop_map(|(pick, how)| Event::Answer { pick, how }),
        5 => (any::<u8>(), any::<u8>()).prop_map(|(pick, how)| Event::Trouble { pick, how }),
        10 => (any::<u8>(), any::<u8>()).prop_map(|(pick, which)| Event::Lose { pick, which }),
        8 => (0..4_u8, 3..9_u8, 0..2_u8)
            .prop_map(|(worker, cpus, incarnation)| Event::Join { worker, cpus, incarnation }),
        2 => (0..4_u8).prop_map(Event::Leave),
        4 => Just(Event::Kill),
        1 => (0..4_u8).prop_map(Event::Drain),
        1 => any::<u8>().prop_map(Event::Configure),
        3 => Just(Event::Tick),
        1 => Just(Event::TakeOver),
        1 => any::<u8>().prop_map(Event::Note),
        1 => any::<u8>().prop_map(Event::Cancel),
        2 => any::<u16>().prop_map(Event::Repeat),
        1 => (any::<u8>(), any::<u8>()).prop_map(|(pick, how)| Event::Forge { pick, how }),
        1 => any::<u8>().prop_map(Event::Forget),
    ]
}

pub(crate) fn history() -> impl Strategy<Value = (Vec<RunSpec>, Vec<Event>)> {
    (prop::collection::vec(spec(), 1..5), prop::collection::vec(event(), 0..200))
}

/// Plays the events, then answers everything kindly until nobody is owed an answer.
pub(crate) fn play(specs: Vec<RunSpec>, events: &[Event]) -> Shell {
    let mut shell = Shell::new(specs);
    let mut watch = Watch::default();
    for event in events {
        if let Some(command) = shell.command(event) {
            watch.step(&mut shell, command);
        }
    }
    // A worker that can hold any of the steps.
    let large = shell.join(9, 100, 0);
    watch.step(&mut shell, large);
    while let Some(command) = shell.kind_answer().or_else(|| shell.tick_when_due()) {
        watch.step(&mut shell, command);
    }
    watch.end(&shell);
    shell
}

/// Bounds shrinking as well: an unlucky case is small already.
fn config(cases: u32) -> ProptestConfig {
    ProptestConfig { cases, max_shrink_iters: 4_000, failure_persistence: None, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(config(5_000))]

    #[test]
    fn whatever_happens_every_run_ends_once((specs, events) in history()) {
        play(specs, &events);
    }
}

proptest! {
    #![proptest_config(config(60))]

    #[test]
    fn a_log_replayed_in_full_or_from_a_snapshot_gives_the_same(
        (specs, events) in history(),
        at in any::<prop::sample::Index>(),
    ) {
        let shell = play(specs, &events);
        let cut = at.index(shell.log.len());
        let mut state = State::default();
        for (index, (command, effects)) in shell.log.iter().enumerate() {
            if index == cut {
                let copy: State = postcard::from_bytes(&postcard::to_allocvec(&state).unwrap()).unwrap();
                prop_assert_eq!(copy.outstanding(), state.outstanding());
                prop_assert_eq!(copy.next_deadline(), state.next_deadline());
                state = copy;
            }
            // As the log stores it.
            let command: LogCommand = postcard::from_bytes(&postcard::to_allocvec(command).unwrap()).unwrap();
            prop_assert_eq!(&state.apply(&command), effects);
        }
        prop_assert_eq!(state.log_hash(), shell.state.log_hash());
        prop_assert_eq!(state.state_hash(), shell.state.state_hash());
        prop_assert_eq!(state, shell.state);
    }
}

/// Trouble that never strikes proves nothing: five hundred histories contain all kinds of it.
#[test]
fn the_histories_contain_what_they_are_to_survive() {
    let mut runner = TestRunner::deterministic();
    let mut seen = std::collections::BTreeMap::<String, u32>::new();
    for _ in 0..500 {
        let (specs, events) = history().new_tree(&mut runner).unwrap().current();
        for what in happenings(&play(specs, &events)) {
            *seen.entry(what).or_default() += 1;
        }
    }
    let mut wanted: Vec<String> =
        ["shared", "refused", "restarted", "stopped", "rewound", "rewound thrice"].map(String::from).into();
    wanted.extend(
        [
            "undelivered",
            "rewound after delivery",
            "worker lost",
            "drained",
            "quarantined",
            "no room",
            "unplaceable",
            "tried elsewhere",
            "tried there again",
            "dropped",
            "submitted too late",
        ]
        .map(String::from),
    );
    use RunStatus::{Cancelled, Failed, InfraFailed, Succeeded};
    wanted.extend([Cancelled, Failed, InfraFailed, Succeeded].map(|status| format!("run {status:?}")));
    use StepStatus::{Skipped, TimedOut};
    wanted.extend([TimedOut, Skipped].map(|status| format!("step {status:?}")));
    for what in wanted {
        assert!(seen.get(&what).is_some_and(|&times| times >= 5), "{what} is too rare: {seen:?}");
    }
}

fn happenings(shell: &Shell) -> Vec<String> {
    let mut seen = vec![];
    let mut note = |what: &str, times: usize| seen.extend((0..times).map(|_| what.to_owned()));
    note("refused", shell.state.refused() as usize);
    for (_, run) in shell.state.runs() {
        note(&format!("run {:?}", run.status().unwrap()), 1);
        note("undelivered", usize::from(run.reason().is_some()));
        for step in run.steps() {
            note(&format!("step {:?}", step.status().unwrap()), 1);
            note("shared", usize::from(step.shared));
            let quarantined = step.reason.is_some_and(|reason| reason.starts_with("quarantined"));
            note("quarantined", usize::from(quarantined));
            let unplaceable = step.reason.is_some_and(|reason| reason.starts_with("no worker has labels"));
            note("unplaceable", usize::from(unplaceable));
            note("rewound thrice", usize::from(step.rewinds == 3));
        }
    }
    let mut workers = std::collections::BTreeMap::new();
    for (command, effects) in &shell.log {
        for effect in effects {
            let Effect::Start { id, worker, .. } = effect else { continue };
            match workers.insert(*id, *worker) {
                Some(before) if before == *worker => note("tried there again", 1),
                Some(_) => note("tried elsewhere", 1),
                None => {}
            }
        }
        let rewinds = effects.iter().filter(|effect| matches!(effect, Effect::StepRewound { .. })).count();
        note("rewound", rewinds);
        note(
            "rewound after delivery",
            rewinds * usize::from(matches!(command, LogCommand::Delivered { .. })),
        );
        let forgotten = effects.iter().filter(|effect| matches!(effect, Effect::RunForgotten { .. }));
        let wanted = matches!(command, LogCommand::Forget { .. });
        note("dropped", forgotten.count() * usize::from(!wanted));
        for effect in effects {
            let Effect::SubmitRefused { reason, .. } = effect else { continue };
            note(if *reason == Refusal::Forgotten { "submitted too late" } else { "no room" }, 1);
        }
        let drains = matches!(command, LogCommand::WorkerDraining { .. });
        note("drained", usize::from(drains));
        let left = matches!(command, LogCommand::WorkerLeft { .. }) && !effects.is_empty();
        note("worker lost", usize::from(left));
        note("stopped", effects.iter().filter(|effect| matches!(effect, Effect::Stop { .. })).count());
        let again = |effect: &&Effect| matches!(effect, Effect::Start { attempt, .. } if *attempt > 1);
        note("restarted", effects.iter().filter(again).count());
    }
    seen
}
