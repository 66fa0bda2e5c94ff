//! What a machine failed is tried on another one, if there is one.

use cullet_core::spec::{RunSpec, StepSpec};
use cullet_core::{LogCommand, RunId, Settings, State, StepId, StepPhase, Wait, WorkerSpec};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;

use crate::driver::{Core, worker_spec};
use crate::random::play;
use crate::shell::Event;
use crate::steps::{run, step};

/// Tried again as often as machines fail it.
fn patient(name: &str) -> StepSpec {
    StepSpec { retry_infra: 9, retry_failure: 9, ..step(name) }
}

/// The first worker has most room, so everything would go there.
fn of_two() -> Core {
    let mut core = Core::with_cpus(8);
    core.join(2, 2);
    core
}

#[test]
fn what_a_machine_failed_goes_to_the_other_one() {
    let mut core = of_two();
    core.submit(1, run([patient("a")]));
    assert_eq!(core.miss("a"), ["start a#1@1 on 1"]);
    assert_eq!(core.infra("a"), ["start a#2@2 on 2"]);
    // Only the last one is avoided.
    assert_eq!(core.infra("a"), ["start a#3@3 on 1"]);
    // It failed by itself: no machine is at fault.
    assert_eq!(core.fail("a"), ["start a#4@4 on 1"]);
    assert_eq!(core.succeed("a"), ["a Succeeded", "run 1 Succeeded"]);
}

#[test]
fn it_waits_for_the_other_one_to_have_room_and_holds_nobody_up() {
    let mut core = of_two();
    let whole = StepSpec { cpu_millis: 2000, ..step("whole") };
    let large = StepSpec { cpu_millis: 7000, ..step("large") };
    core.submit(1, run([patient("a"), large, whole, step("b")]));
    core.miss("a");
    core.miss("large");
    assert_eq!(core.miss("whole"), ["start whole#1@3 on 2"]);
    assert!(core.infra("a").is_empty());
    let elsewhere = Wait::OtherMachine { shunned: "w1".into(), until: 30_000 };
    assert_eq!(core.state.waits_for(core.id("a")), Some(elsewhere));
    assert_eq!(core.miss("b"), ["start b#1@4 on 1"]);
    assert!(core.succeed("b")[1..].is_empty(), "the room there is not for it");
    assert_eq!(core.succeed("whole"), ["whole Succeeded", "start a#2@5 on 2"]);
}

#[test]
fn it_goes_back_as_soon_as_no_other_worker_could_ever_run_it() {
    for change in ["is emptied", "leaves", "shrinks"] {
        let mut core = of_two();
        let whole = StepSpec { cpu_millis: 2000, retry_infra: 9, ..step("whole") };
        let hungry = StepSpec { memory_bytes: 2, ..patient("a") };
        core.submit(1, run([hungry, StepSpec { cpu_millis: 7000, ..step("large") }, whole]));
        core.miss("a");
        core.miss("large");
        core.miss("whole");
        assert!(core.infra("a").is_empty());
        let effects = match change {
            "is emptied" => core.drain(2),
            "leaves" => core.leave(2),
            _ => {
                let spec = WorkerSpec { memory_bytes: 1, ..worker_spec(2, 2) };
                core.apply(LogCommand::WorkerJoined { spec, at: 0 })
            }
        };
        assert!(effects.contains(&"start a#2@4 on 1".to_owned()), "it {change}: {effects:?}");
    }
}

#[test]
fn it_goes_back_when_the_others_were_busy_for_too_long() {
    let mut core = of_two();
    core.configure(Settings { shun_grace_ms: 5000, ..Settings::default() });
    let whole = StepSpec { cpu_millis: 2000, ..step("whole") };
    let large = StepSpec { cpu_millis: 7000, ..step("large") };
    core.submit(1, run([patient("a"), large, whole, patient("b")]));
    core.miss_all(&["a", "large", "whole"]);
    core.now = 1000;
    assert!(core.infra("a").is_empty());
    core.now = 4000;
    core.miss("b");
    assert!(core.infra("b").is_empty());
    assert_eq!(core.state.next_deadline(), Some(6000));
    core.now = 5999;
    assert!(core.tick().is_empty());
    core.now = 6000;
    assert_eq!(core.tick(), ["start a#2@5 on 1"]);
    // The other one has some time left, and none if the settings say so.
    assert_eq!(core.state.next_deadline(), Some(9000));
    assert_eq!(core.infra("a"), [""; 0]);
    core.configure(Settings { shun_grace_ms: 0, ..Settings::default() });
    assert_eq!(core.tick(), ["start a#3@6 on 1"]);
    assert_eq!((core.state.next_deadline(), core.state.waits_for(core.id("b"))), (None, Some(Wait::Room)));
    assert_eq!(core.infra("a"), ["start a#4@7 on 1"]);
}

#[test]
fn it_goes_back_to_who_is_kept_free_for_it() {
    let mut core = Core::with_cpus(2);
    core.join(2, 2);
    let whole = |name: &str| StepSpec { cpu_millis: 2000, ..patient(name) };
    core.submit(1, run([whole("a"), whole("b"), step("c"), step("d")]));
    core.miss_all(&["a", "b", "c", "d"]);
    assert_eq!(core.infra("a"), ["start c#1@3 on 1", "start d#1@4 on 1"]);
    core.now = 30_000;
    assert!(core.tick().is_empty(), "there is no room");
    assert_eq!(core.succeed("c").len(), 1);
    assert_eq!(core.succeed("d"), ["d Succeeded", "start a#2@5 on 1"]);
}

/// How long no worker could run it counts from when that began.
#[test]
fn to_shun_nobody_any_more_gives_no_more_time() {
    let mut core = of_two();
    core.configure(Settings { absence_grace_ms: 50_000, ..Settings::default() });
    core.submit(1, run([patient("a")]));
    core.miss("a");
    core.now = 1000;
    core.leave(1);
    core.leave(2);
    assert_eq!(core.state.next_deadline(), Some(31_000));
    core.now = 31_000;
    core.tick();
    assert_eq!(core.state.waits_for(core.id("a")), Some(Wait::Worker { until: 51_000 }));
    assert_eq!(core.state.next_deadline(), Some(51_000));
}

#[test]
fn it_goes_back_at_once_where_the_others_are_too_small() {
    let mut core = of_two();
    core.submit(1, run([StepSpec { cpu_millis: 4000, ..patient("a") }]));
    core.miss("a");
    assert_eq!(core.infra("a"), ["start a#2@2 on 1"]);
    // One comes that is not.
    core.join(3, 4);
    assert_eq!(core.infra("a"), ["start a#3@3 on 3"]);
}

#[test]
fn a_worker_that_is_started_again_is_the_same_machine() {
    let mut core = of_two();
    core.submit(1, run([patient("a"), StepSpec { cpu_millis: 2000, ..step("whole") }]));
    core.miss("a");
    core.drain(1);
    assert_eq!(core.miss("whole"), ["start whole#1@2 on 2"]);
    let again = WorkerSpec { incarnation: 2, ..worker_spec(1, 8) };
    assert!(
        core.apply(LogCommand::WorkerJoined { spec: again, at: 0 }).is_empty(),
        "it has all the room there is"
    );
    assert_eq!(core.succeed("whole"), ["whole Succeeded", "start a#2@3 on 2"]);
    assert_eq!(core.reason("a"), "worker w1 was lost: it was started again");
}

#[test]
fn a_worker_is_kept_free_for_it_and_not_the_one_it_shuns() {
    let mut core = Core::with_cpus(4);
    let large = StepSpec { cpu_millis: 4000, ..patient("large") };
    let small = (0..100).map(|i| step(&format!("s{i}")));
    core.submit(1, run(std::iter::once(large).chain(small).collect::<Vec<_>>()));
    core.miss("large");
    core.join(2, 4);
    for i in 0..100 {
        core.miss(&format!("s{i}"));
    }
    core.infra("large");
    for _ in 0..40 {
        let running = |core: &Core| {
            let mut names = (0..100).map(|i| format!("s{i}"));
            names.find(|name| core.view(name).phase == StepPhase::Running)
        };
        let name = running(&core).expect("small steps run");
        if core.succeed(&name).contains(&format!("start large#2@{} on 2", core.view("large").epoch)) {
            return;
        }
        assert!(core.state.reserved().is_none_or(|(kept, ..)| kept.0 == 2));
    }
    panic!("it starves");
}

/// There are only so many numbers for those that are shunned.
#[test]
fn an_end_while_it_waits_leaves_nothing_behind() {
    let mut core = Core::with_cpus(1);
    core.submit(1, run([step("whole")]));
    core.miss("whole");
    for other in 2..30 {
        core.join(other, 1);
        core.submit(other.into(), run([patient("a")]));
        assert_eq!(core.miss(&format!("{other}.a")).len(), 1);
        assert!(core.infra(&format!("{other}.a")).is_empty(), "the first worker could run it");
        assert_eq!(core.cancel(other.into()).len(), 2);
        core.leave(other);
    }
}

/// Few small workers, much to do, and machines that fail every other attempt.
fn trouble() -> impl Strategy<Value = (Vec<RunSpec>, Vec<Event>)> {
    let small = |i: u32| StepSpec {
        cpu_millis: 500 * (1 + i % 3),
        command: crate::steps::digest(&i.to_string()),
        ..patient(&format!("s{i}"))
    };
    let specs = (5..15_u32).prop_map(move |steps| vec![run((0..steps).map(small).collect::<Vec<_>>())]);
    let event = prop_oneof![
        8 => any::<u8>().prop_map(|pick| Event::Answer { pick, how: 1 }),
        8 => any::<u8>().prop_map(|pick| Event::Trouble { pick, how: 4 }),
        4 => Just(Event::Tick),
        2 => (0..3_u8, 3..5_u8, 0..2_u8)
            .prop_map(|(worker, cpus, incarnation)| Event::Join { worker, cpus, incarnation }),
        1 => (0..3_u8).prop_map(Event::Drain),
        1 => any::<u8>().prop_map(|how| Event::Configure(how | 3)),
    ];
    let join = |worker| Event::Join { worker, cpus: 3, incarnation: 0 };
    (specs, prop::collection::vec(event, 50..150)).prop_map(move |(specs, events)| {
        let first = [Event::Configure(0x43), join(0), join(1), Event::Submit(0)];
        (specs, first.into_iter().chain(events).collect())
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn machines_are_avoided_for_a_while_and_every_run_ends((specs, events) in trouble()) {
        play(specs, &events);
    }
}

/// Steps that are ready and must not go to a worker that could run them.
fn avoiding(state: &State) -> usize {
    let Some(run) = state.run(RunId(0)) else { return 0 };
    let all = (0..run.steps().len() as u32).map(|step| StepId { run: RunId(0), step });
    all.filter(|id| matches!(state.waits_for(*id), Some(Wait::OtherMachine { .. }))).count()
}

#[test]
fn the_histories_contain_steps_that_have_avoided_a_machine_for_long_enough() {
    let mut runner = TestRunner::deterministic();
    let mut seen = 0;
    for _ in 0..50 {
        let (specs, events) = trouble().new_tree(&mut runner).unwrap().current();
        let mut state = State::default();
        for (command, _) in &play(specs, &events).log {
            let before = avoiding(&state);
            state.apply(command);
            let ticks = matches!(command, LogCommand::Tick { .. });
            seen += usize::from(ticks && avoiding(&state) < before);
        }
    }
    assert!(seen >= 20, "{seen} times is too rare");
}
