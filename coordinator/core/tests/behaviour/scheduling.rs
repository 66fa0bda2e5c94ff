//! Who starts first, and where.

use cullet_core::spec::StepSpec;

use crate::driver::Core;
use crate::steps::{after, run, step};

#[test]
fn the_longest_chain_goes_first_then_the_oldest() {
    let mut core = Core::default();
    // `c` has two steps behind it, `b` one, `a` and `d` none.
    let steps =
        [step("a"), step("b"), step("c"), step("d"), after("e", &[1]), after("f", &[2]), after("g", &[5])];
    core.submit(1, run(steps));
    core.submit(2, run([step("a")]));
    core.miss_all(&["2.a", "d", "c", "b", "a"]);
    let started: Vec<_> = core.join(1, 5);
    let expected = ["start c#1@1", "start b#1@2", "start a#1@3", "start d#1@4", "start 2.a#1@5"];
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
