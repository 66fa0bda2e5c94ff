//! Runs that are operations of clients which know no pipelines.

use std::collections::VecDeque;

use cullet_core::spec::{RunSpec, StepSpec};
use cullet_core::{Settings, StepPhase};

use crate::driver::Core;
use crate::steps::{digest, run, step};

/// One action, whatever it leaves.
fn operation(name: &str) -> RunSpec {
    let step = StepSpec { outputs: 0, ..step(name) };
    RunSpec { operation: true, submission: Some(digest(name)), ..run([step]) }
}

/// What the step of an operation is called here.
fn named(number: u128) -> String {
    if number == 1 { "x1".to_owned() } else { format!("{number}.x{number}") }
}

/// Submits an operation of a client, and its own action.
fn ask(core: &mut Core, client: u64, number: u128) {
    core.submit(number, RunSpec { client, ..operation(&format!("x{number}")) });
    core.miss(&named(number));
}

/// Ends what runs, one operation at a time, until nothing runs any more. Gives their numbers in the order of their starts.
fn order(core: &mut Core, first: u128) -> Vec<u128> {
    let (mut order, mut running) = (Vec::new(), vec![first]);
    while let Some(number) = running.pop() {
        order.push(number);
        running.extend(started(&core.succeed(&named(number))));
    }
    order
}

/// The numbers of those that start.
fn started(lines: &[String]) -> Vec<u128> {
    let number = |line: &String| {
        let (name, _) = line.strip_prefix("start ")?.split_once('#')?;
        if name == "x1" { Some(1) } else { name.split_once(".x")?.0.parse().ok() }
    };
    lines.iter().filter_map(number).collect()
}

#[test]
fn clients_have_turns_however_much_one_of_them_asks_for() {
    let mut core = Core::with_cpus(1);
    (1..=20).for_each(|number| ask(&mut core, 7, number));
    ask(&mut core, 8, 30);
    ask(&mut core, 8, 31);
    ask(&mut core, 9, 40);
    // None of the others had come when the first one started, and who came first goes first.
    assert_eq!(order(&mut core, 1)[..8], [1, 2, 30, 40, 3, 31, 4, 5]);
}

#[test]
fn a_client_that_asks_for_one_at_a_time_never_waits_for_one_that_floods() {
    let mut core = Core::with_cpus(4);
    let mut running = VecDeque::new();
    let mut next = 10;
    let flood = |core: &mut Core, running: &mut VecDeque<u128>, next: &mut u128| {
        core.submit(*next, RunSpec { client: 7, ..operation(&format!("x{next}")) });
        running.extend(started(&core.miss(&named(*next))));
        *next += 1;
    };
    (0..200).for_each(|_| flood(&mut core, &mut running, &mut next));
    let end = |core: &mut Core, running: &mut VecDeque<u128>| {
        let first = running.pop_front().unwrap();
        running.extend(started(&core.succeed(&named(first))));
    };
    // However long that goes on.
    for number in 10_000..10_300 {
        ask(&mut core, 8, number);
        end(&mut core, &mut running);
        assert_eq!(running.back(), Some(&number), "it is the first that starts");
        (0..4).for_each(|_| end(&mut core, &mut running));
        assert!(!running.contains(&number));
        (0..4).for_each(|_| flood(&mut core, &mut running, &mut next));
    }
}

#[test]
fn clients_share_what_there_is() {
    let mut core = Core::with_cpus(4);
    (1..=20).for_each(|number| ask(&mut core, 7, number));
    (30..=40).for_each(|number| ask(&mut core, 8, number));
    let mut running = VecDeque::from([1, 2, 3, 4]);
    for _ in 0..10 {
        let first = running.pop_front().unwrap();
        running.extend(started(&core.succeed(&named(first))));
    }
    assert_eq!(running.iter().filter(|number| **number >= 30).count(), 2, "{running:?}");
}

#[test]
fn what_one_client_wants_most_goes_first_and_the_rest_by_age() {
    let mut core = Core::with_cpus(1);
    ask(&mut core, 7, 1);
    ask(&mut core, 7, 2);
    core.submit(3, RunSpec { client: 7, priority: 5, ..operation("x3") });
    core.miss("3.x3");
    ask(&mut core, 7, 4);
    assert_eq!(order(&mut core, 1), [1, 3, 2, 4]);
}

#[test]
fn a_pipeline_has_its_turns_among_operations() {
    let mut core = Core::with_cpus(2);
    (1..=20).for_each(|number| ask(&mut core, 7, number));
    core.submit(50, run([step("a"), step("b"), step("c")]));
    core.miss_all(&["50.a", "50.b", "50.c"]);
    let starts = |lines: Vec<String>| lines.iter().any(|line| line.starts_with("start 50."));
    assert!(starts(core.succeed("x1")), "it had nothing yet");
    assert!(
        starts(core.succeed("50.a")),
        "the other one has the place that operations have beside steps, too"
    );
}

#[test]
fn clients_of_whom_nothing_waits_or_runs_are_forgotten() {
    let size = |client: fn(u128) -> u64| {
        let mut core = Core::with_cpus(1);
        // Keeps the tenant.
        core.submit(5000, run([step("a")]));
        for number in 1..=1000 {
            ask(&mut core, client(number), number);
            core.succeed(&named(number));
        }
        rmp_serde::to_vec_named(&core.state).unwrap().len()
    };
    let (one, many) = (size(|_| 7), size(|number| number as u64));
    // Their numbers are longer.
    assert!(many < one + 1000 * 3, "{one} and {many}");
}

fn of_cpus(name: &str, cpus: u32) -> StepSpec {
    StepSpec { cpu_millis: cpus * 1000, ..step(name) }
}

/// Submits an operation of its own action.
fn operate(core: &mut Core, number: u128, name: &str) -> Vec<String> {
    core.submit(number, operation(name));
    core.miss(&format!("{number}.{name}"))
}

#[test]
fn one_has_a_place_beside_steps_that_take_all_there_is() {
    let mut core = Core::with_cpus(1);
    core.submit(1, run([step("a")]));
    core.miss("a");
    // The step may be a build that waits for it.
    assert_eq!(operate(&mut core, 2, "x"), ["start 2.x#1@2 on 1"]);
    // A second one waits for the first, and not for the step.
    assert_eq!(operate(&mut core, 3, "y"), [""; 0]);
    assert_eq!(core.succeed("2.x"), ["2.x Succeeded", "run 2 Succeeded", "start 3.y#1@3 on 1"]);
    let used = |core: &Core| core.state.workers().map(|worker| worker.used_cpu_millis).sum::<u64>();
    assert_eq!(used(&core), 1000);
    core.succeed("a");
    assert_eq!(used(&core), 0);
    // What has the place takes none of the room.
    core.submit(4, run([step("b")]));
    assert_eq!(core.miss("4.b"), ["start 4.b#1@4 on 1"]);
    core.succeed("3.y");
    assert_eq!(used(&core), 1000);
    core.succeed("4.b");
    assert_eq!(used(&core), 0);
}

#[test]
fn among_operations_none_has_more_than_there_is_room() {
    let mut core = Core::with_cpus(1);
    assert_eq!(operate(&mut core, 1, "x"), ["start x#1@1 on 1"]);
    assert_eq!(operate(&mut core, 2, "y"), [""; 0]);
    // A step of a pipeline takes the room in its turn, and may wait for the one that is next.
    core.submit(3, RunSpec { priority: 1, ..run([step("a")]) });
    assert_eq!(core.miss("3.a"), [""; 0]);
    let after = core.succeed("x");
    assert_eq!(after, ["x Succeeded", "run 1 Succeeded", "start 3.a#1@2 on 1", "start 2.y#1@3 on 1"]);
}

#[test]
fn a_worker_that_is_kept_free_has_a_place_for_one_and_no_room() {
    let mut core = Core::with_cpus(2);
    core.submit(1, run([step("a")]));
    core.miss("a");
    core.submit(2, run([of_cpus("large", 2)]));
    core.miss("2.large");
    // The large one is passed until the worker is kept free for it.
    for number in 10..40 {
        core.submit(number, run([step("s")]));
        core.miss(&format!("{number}.s"));
        if core.view(&format!("{number}.s")).phase == StepPhase::Running {
            core.succeed(&format!("{number}.s"));
        }
    }
    assert!(core.state.reserved().is_some());
    assert_eq!(operate(&mut core, 50, "x").len(), 1);
    assert_eq!(core.view("50.x").phase, StepPhase::Running);
    // It holds up nobody.
    core.succeed("a");
    assert_eq!(core.view("2.large").phase, StepPhase::Running);
}

#[test]
fn an_operation_and_a_step_with_one_action_are_executed_once() {
    let mut core = Core::with_cpus(4);
    core.submit(1, run([step("a")]));
    core.miss_as("a", "same");
    core.submit(2, operation("x"));
    core.miss_as("2.x", "same");
    assert_eq!(core.view("2.x").phase, StepPhase::WaitingForIdentical);
    let told = core.succeed("a");
    assert_eq!(told, ["a Succeeded", "run 1 Succeeded", "2.x Succeeded shared", "run 2 Succeeded"]);

    // The other way round, the step finds what it declares where the result is.
    core.submit(3, operation("y"));
    core.miss_as("3.y", "other");
    core.submit(4, run([step("b")]));
    core.miss_as("4.b", "other");
    assert_eq!(core.view("4.b").phase, StepPhase::WaitingForIdentical);
    assert_eq!(core.succeed("3.y"), ["resolve 4.b", "3.y Succeeded", "run 3 Succeeded"]);
    assert_eq!(core.hit("4.b"), ["4.b Succeeded cached", "run 4 Succeeded"]);
    // A failure is one for both.
    core.submit(5, operation("z"));
    core.miss_as("5.z", "bad");
    core.submit(6, run([step("c")]));
    core.miss_as("6.c", "bad");
    assert_eq!(core.fail("5.z"), ["5.z Failed", "run 5 Failed", "6.c Failed shared", "run 6 Failed"]);
}

#[test]
fn operations_take_nothing_of_what_is_kept_of_runs() {
    let mut core = Core::with_cpus(1);
    core.configure(Settings { keep_finished_runs: 4, ..Settings::default() });
    for number in 1..6 {
        core.submit(number, run([step("a")]));
        core.hit(&format!("{number}.a"));
    }
    for number in 11..22 {
        core.submit(number, operation("x"));
        core.hit(&format!("{number}.x"));
    }
    let kept: Vec<u128> = core.state.runs().map(|(id, _)| id.0).collect();
    assert_eq!(kept, [2, 3, 4, 5, 18, 19, 20, 21]);
    core.submit(6, run([step("a")]));
    core.hit("6.a");
    assert!(
        core.state.run(cullet_core::RunId(18)).is_some() && core.state.run(cullet_core::RunId(2)).is_none()
    );
    // Nobody asks for their names again, so others have the room among those that are remembered.
    assert!(!core.state.has_forgotten(cullet_core::RunId(11)));
}
