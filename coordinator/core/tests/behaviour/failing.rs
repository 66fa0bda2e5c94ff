//! Failures, retries, and what becomes of the rest.

use cullet_core::spec::StepSpec;
use cullet_core::{AttemptOutcome, RunId};

use crate::driver::Core;
use crate::steps::{after, keep_going, run, step};

#[test]
fn a_failure_stops_what_runs_and_skips_what_waits() {
    let mut core = Core::with_cpus(2);
    let steps = [step("a"), step("b"), step("c"), after("d", &[0]), after("e", &[3]), after("f", &[1])];
    core.submit(1, run(steps));
    core.miss_all(&["a", "b", "c"]);
    let effects = ["a Failed", "stop b#1 on 1", "c Skipped", "d Skipped", "e Skipped", "f Skipped"];
    assert_eq!(core.fail("a"), effects);
    assert_eq!(core.reason("c"), "not started: a failed");
    assert_eq!(core.reason("d"), "needs a, which failed");
    assert_eq!(core.reason("e"), "needs d, which was skipped");
    assert_eq!(core.reason("f"), "not started: a failed");
    assert_eq!(core.view("a").exit_code, Some(3));
    assert_eq!(core.done("b", AttemptOutcome::Cancelled), ["b Cancelled", "run 1 Failed"]);
    assert_eq!(core.reason("b"), "stopped: a failed");
    let counts = core.state.run(RunId(1)).unwrap().counts();
    assert_eq!((counts.failed, counts.skipped, counts.cancelled), (1, 4, 1));
}

#[test]
fn a_step_that_was_told_to_stop_is_cancelled_whatever_it_answers() {
    for outcome in
        [AttemptOutcome::TimedOut, AttemptOutcome::Succeeded { outputs: [crate::steps::tree("x")].into() }]
    {
        let mut core = Core::with_cpus(2);
        core.submit(1, run([step("a"), step("b")]));
        core.miss_all(&["a", "b"]);
        core.fail("a");
        assert_eq!(core.done("b", outcome), ["b Cancelled", "run 1 Failed"]);
    }
}

#[test]
fn keeping_going_skips_only_what_needs_the_failed_step() {
    let mut core = Core::with_cpus(2);
    core.submit(1, keep_going([step("a"), step("b"), after("c", &[0]), after("d", &[2]), after("e", &[1])]));
    core.miss_all(&["a", "b"]);
    assert_eq!(core.fail("a"), ["a Failed", "c Skipped", "d Skipped"]);
    assert_eq!(core.reason("d"), "needs c, which was skipped");
    assert_eq!(core.succeed("b"), ["b Succeeded", "resolve e"]);
    assert_eq!(core.hit("e"), ["e Succeeded cached", "run 1 Failed"]);
}

#[test]
fn a_step_that_may_fail_fails_neither_the_run_nor_others() {
    let mut core = Core::with_cpus(2);
    let lenient = StepSpec { allow_failure: true, ..step("a") };
    core.submit(1, run([lenient, after("b", &[0]), step("c")]));
    core.miss_all(&["a", "c"]);
    assert_eq!(core.fail("a"), ["a Failed", "b Skipped"]);
    assert_eq!(core.reason("b"), "needs a, which failed");
    assert_eq!(core.succeed("c"), ["c Succeeded", "run 1 Succeeded"]);
}

#[test]
fn failures_and_machine_failures_are_retried_as_often_as_allowed() {
    let mut core = Core::with_cpus(1);
    core.submit(1, run([StepSpec { retry_failure: 1, retry_infra: 2, ..step("a") }]));
    core.miss("a");
    assert_eq!(core.infra("a"), ["start a#2@2 on 1"]);
    assert_eq!(core.fail("a"), ["start a#3@3 on 1"]);
    assert_eq!(core.infra("a"), ["start a#4@4 on 1"]);
    assert_eq!(core.infra("a"), ["a InfraFailed", "run 1 InfraFailed"]);
    assert_eq!(core.reason("a"), "no space");
}

#[test]
fn a_timeout_is_a_failure_with_a_name_of_its_own() {
    let mut core = Core::with_cpus(1);
    core.submit(1, run([StepSpec { retry_failure: 1, ..step("a") }, after("b", &[0])]));
    core.miss("a");
    assert_eq!(core.done("a", AttemptOutcome::TimedOut), ["start a#2@2 on 1"]);
    let effects = ["a TimedOut", "b Skipped", "run 1 Failed"];
    assert_eq!(core.done("a", AttemptOutcome::TimedOut), effects);
    assert_eq!(core.reason("b"), "needs a, which timed out");
}

#[test]
fn what_acts_on_the_outside_world_is_started_once() {
    let deploy = StepSpec { effects: true, retry_failure: 3, retry_infra: 3, ..step("deploy") };
    let outcomes = [
        (AttemptOutcome::Failed { exit_code: 1 }, "deploy Failed"),
        (AttemptOutcome::TimedOut, "deploy TimedOut"),
        (AttemptOutcome::Infra { reason: "?".into() }, "deploy InfraFailed"),
        (AttemptOutcome::Cancelled, "deploy InfraFailed"),
    ];
    for (outcome, end) in outcomes {
        let mut core = Core::with_cpus(1);
        core.submit(1, run([deploy.clone()]));
        core.miss("deploy");
        assert_eq!(core.done("deploy", outcome)[0], end);
    }
}

#[test]
fn a_result_without_the_declared_outputs_is_the_machines_failure() {
    let mut core = Core::with_cpus(1);
    core.submit(1, run([step("a")]));
    core.miss("a");
    let none = AttemptOutcome::Succeeded { outputs: Box::default() };
    assert_eq!(core.done("a", none), ["a InfraFailed", "run 1 InfraFailed"]);
    assert_eq!(core.reason("a"), "the worker reported 0 outputs of 1");
}

#[test]
fn a_steps_own_failure_tells_more_than_the_machines() {
    let mut core = Core::with_cpus(2);
    core.submit(1, keep_going([step("a"), step("b")]));
    core.miss_all(&["a", "b"]);
    assert_eq!(core.infra("a"), ["a InfraFailed"]);
    assert_eq!(core.fail("b"), ["b Failed", "run 1 Failed"]);
}

#[test]
fn retries_end_whatever_is_allowed() {
    let mut core = Core::with_cpus(1);
    core.submit(1, run([StepSpec { retry_failure: u8::MAX, retry_infra: u8::MAX, ..step("a") }]));
    core.miss("a");
    for _ in 0..254 {
        assert!(core.fail("a")[0].starts_with("start") && core.infra("a")[0].starts_with("start"));
    }
    assert_eq!(core.fail("a"), ["a Failed", "run 1 Failed"]);
}

#[test]
fn a_step_that_is_tried_again_says_why() {
    let mut core = Core::with_cpus(1);
    core.submit(1, run([StepSpec { retry_failure: 2, retry_infra: 1, ..step("a") }]));
    core.miss("a");
    core.infra("a");
    assert_eq!(core.reason("a"), "no space");
    core.fail("a");
    assert_eq!(core.reason("a"), "it failed with exit code 3");
    core.done("a", AttemptOutcome::TimedOut);
    assert_eq!(core.reason("a"), "it timed out");
    core.succeed("a");
    assert_eq!(core.reason("a"), "");
}
