//! Cancellation wins.

use cullet_core::spec::RunSpec;
use cullet_core::{AttemptOutcome, RunId, RunStatus};

use crate::driver::Core;
use crate::steps::{after, run, step};

#[test]
fn what_has_not_started_ends_at_once_and_what_runs_after_its_answer() {
    let mut core = Core::with_cpus(1);
    core.submit(1, run([step("a"), step("b"), step("c"), after("d", &[0])]));
    core.miss_all(&["a", "b"]);
    assert_eq!(core.cancel(1), ["stop a#1 on 1", "b Cancelled", "c Cancelled", "d Cancelled"]);
    assert!(core.state.run(RunId(1)).unwrap().status().is_none());
    assert_eq!(core.done("a", AttemptOutcome::Cancelled), ["a Cancelled", "run 1 Cancelled"]);
    assert_eq!(core.reason("d"), "the run was cancelled");
    // The answer to its resolve effect comes late.
    assert!(core.hit("c").is_empty());
    assert_eq!(core.state.refused(), 1);
}

#[test]
fn a_later_success_does_not_count() {
    let mut core = Core::with_cpus(1);
    core.submit(1, run([step("a"), after("b", &[0])]));
    core.miss("a");
    core.cancel(1);
    assert_eq!(core.succeed("a"), ["a Cancelled", "run 1 Cancelled"]);
}

#[test]
fn a_failure_that_was_there_before_does_not_hide_the_cancellation() {
    let mut core = Core::with_cpus(2);
    core.submit(1, run([step("a"), step("b")]));
    core.miss_all(&["a", "b"]);
    core.fail("a");
    // It was told to stop already.
    assert!(core.cancel(1).is_empty());
    assert_eq!(core.done("b", AttemptOutcome::Cancelled), ["b Cancelled", "run 1 Cancelled"]);
}

#[test]
fn a_delivery_is_waited_for() {
    let mut core = Core::default();
    core.submit(1, RunSpec { deliver: [0].into(), ..run([step("a")]) });
    core.hit("a");
    assert!(core.cancel(1).is_empty());
    assert_eq!(core.delivered(1, &[0]), ["run 1 Cancelled"]);
}

#[test]
fn it_comes_too_late_for_a_finished_run_and_once_is_enough() {
    let mut core = Core::default();
    core.submit(1, run([step("a")]));
    core.hit("a");
    assert!(core.cancel(1).is_empty());
    let run = core.state.run(RunId(1)).unwrap();
    assert_eq!((run.status(), run.is_cancelled()), (Some(RunStatus::Succeeded), false));
    assert!(core.cancel(2).is_empty());
    assert_eq!(core.state.refused(), 2);
}

#[test]
fn a_worker_that_is_lost_answers_for_what_it_was_to_stop() {
    let mut core = Core::with_cpus(1);
    core.submit(1, run([step("a")]));
    core.miss("a");
    core.cancel(1);
    assert_eq!(core.leave(1), ["a Cancelled", "run 1 Cancelled"]);
}
