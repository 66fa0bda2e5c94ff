//! Who starts first, and where.

use cullet_core::StepPhase;
use cullet_core::spec::StepSpec;

use crate::driver::Core;
use crate::steps::{after, run, step};

#[test]
fn the_longest_chain_goes_first_then_the_order_of_the_run() {
    let mut core = Core::default();
    // `c` has two steps behind it, `b` one, `a` and `d` none.
    let steps =
        [step("a"), step("b"), step("c"), step("d"), after("e", &[1]), after("f", &[2]), after("g", &[5])];
    core.submit(1, run(steps));
    core.miss_all(&["d", "c", "b", "a"]);
    let started: Vec<_> = core.join(1, 4);
    let expected = ["start c#1@1", "start b#1@2", "start a#1@3", "start d#1@4"];
    assert_eq!(started, expected.map(|line| format!("{line} on 1")));
}

#[test]
fn processors_and_memory_both_limit() {
    let mut core = Core::with_cpus(3);
    let hungry = |name| StepSpec { memory_bytes: 700 << 20, ..step(name) };
    core.submit(1, run([hungry("a"), hungry("b"), step("c"), step("d"), step("e")]));
    core.miss_all(&["a", "b", "c", "d"]);
    // `b` lacks memory, `e` lacks a processor.
    assert!(core.miss("e").is_empty());
    let running: Vec<_> = core.state.workers().map(|worker| worker.running).collect();
    assert_eq!(running, [3]);
    assert_eq!(core.succeed("c"), ["c Succeeded", "start e#1@4 on 1"]);
    assert_eq!(core.succeed("a"), ["a Succeeded", "start b#1@5 on 1"]);
}

#[test]
fn work_spreads_over_workers() {
    let mut core = Core::with_cpus(2);
    core.join(2, 2);
    core.join(3, 1);
    core.submit(1, run(["a", "b", "c", "d", "e", "f"].map(step)));
    core.miss_all(&["a", "b", "c", "d", "e"]);
    let on = |name| core.view(name).worker.map(|worker| worker.0);
    assert_eq!(["a", "b", "c", "d", "e"].map(on), [1, 2, 1, 2, 3].map(Some));
    assert!(core.miss("f").is_empty());
}

#[test]
fn a_step_that_takes_nothing_takes_the_least() {
    let mut core = Core::default();
    let nothing = |name: String| StepSpec { cpu_millis: 0, ..step(&name) };
    core.submit(1, run((0..1001).map(|i| nothing(format!("s{i}"))).collect::<Vec<_>>()));
    for i in 0..1001 {
        core.miss(&format!("s{i}"));
    }
    assert_eq!(core.join(1, 1).len(), 1000);
}

#[test]
fn steps_that_start_together_share_the_memory_there_is() {
    let mut core = Core::default();
    let hungry = |name| StepSpec { memory_bytes: 700 << 20, ..step(name) };
    core.submit(1, run([hungry("a"), hungry("b")]));
    core.miss_all(&["a", "b"]);
    assert_eq!(core.join(1, 4), ["start a#1@1 on 1"]);
}

/// A step of four processors among steps of one, of which there are always more.
fn crowded(workers: u64) -> Core {
    let mut core = Core::default();
    let large = StepSpec { cpu_millis: 4000, ..step("large") };
    let small = (0..400).map(|i| StepSpec { retry_infra: 3, ..step(&format!("s{i}")) });
    core.submit(1, run(std::iter::once(large).chain(small).collect::<Vec<_>>()));
    for worker in 1..=workers {
        core.join(worker, 4);
    }
    for i in 0..4 * workers {
        core.miss(&format!("s{i}"));
    }
    core.miss("large");
    for i in 4 * workers..400 {
        core.miss(&format!("s{i}"));
    }
    core
}

/// Ends running small steps, the oldest first, until the large one starts; gives how many that took.
fn until_large_starts(core: &mut Core) -> usize {
    for ended in 1..=400 {
        let running = (0..400).map(|i| format!("s{i}"));
        let oldest = running.filter(|name| core.view(name).phase == StepPhase::Running);
        let name = oldest.min_by_key(|name| core.view(name).epoch).unwrap();
        if core.succeed(&name).iter().any(|line| line.starts_with("start large")) {
            return ended;
        }
    }
    panic!("it starves");
}

#[test]
fn a_large_step_is_not_passed_for_ever() {
    for workers in 1..4 {
        let mut core = crowded(workers);
        // Sixteen that pass, and all that runs at that time.
        let bound = 16 + 4 * workers as usize;
        let took = until_large_starts(&mut core);
        assert!(took <= bound, "{took} small steps ended first, with {workers} workers");
        assert_eq!(core.state.reserved(), None);
    }
}

#[test]
fn while_a_worker_is_kept_free_others_go_on() {
    let mut core = crowded(2);
    while core.state.reserved().is_none() {
        let name = (0..400).map(|i| format!("s{i}")).find(|s| core.view(s).phase == StepPhase::Running);
        core.succeed(&name.unwrap());
    }
    let (kept, cpu_millis, _) = core.state.reserved().unwrap();
    assert_eq!(cpu_millis, 4000);
    let on = |core: &Core, kept: bool, worker| {
        let running = (0..400).map(|i| format!("s{i}"));
        let mut running = running.filter(|s| core.view(s).phase == StepPhase::Running);
        running.find(|s| (core.view(s).worker == Some(worker)) == kept).unwrap()
    };
    let name = on(&core, false, kept);
    assert_eq!(core.succeed(&name).len(), 2, "the other worker takes the next small step");
    let name = on(&core, true, kept);
    assert_eq!(core.succeed(&name).len(), 1, "the kept one does not");
}

#[test]
fn a_kept_worker_that_leaves_is_replaced() {
    let mut core = crowded(2);
    while core.state.reserved().is_none() {
        let name = (0..400).map(|i| format!("s{i}")).find(|s| core.view(s).phase == StepPhase::Running);
        core.succeed(&name.unwrap());
    }
    let (kept, ..) = core.state.reserved().unwrap();
    core.leave(kept.0);
    let other = core.state.reserved().unwrap().0;
    assert_ne!(other, kept);
    // What ran there fails the run unless it may be tried again; here the other worker empties.
    assert_eq!(core.state.workers().count(), 1);
}
