//! Workers come and go.

use cullet_core::spec::StepSpec;
use cullet_core::{LogCommand, StepPhase, WorkerId};

use crate::driver::Core;
use crate::steps::{keep_going, run, step};

#[test]
fn what_a_lost_worker_ran_goes_elsewhere() {
    let mut core = Core::with_cpus(1);
    core.submit(1, run([StepSpec { retry_infra: 1, ..step("a") }]));
    core.miss("a");
    core.join(2, 1);
    assert_eq!(core.leave(1), ["start a#2@2 on 2"]);
    assert_eq!(core.leave(2), ["a InfraFailed", "run 1 InfraFailed"]);
    assert_eq!(core.reason("a"), "worker 2 was lost");
}

#[test]
fn what_acts_on_the_outside_world_ends_with_its_worker() {
    let mut core = Core::with_cpus(1);
    core.join(2, 1);
    core.submit(1, run([StepSpec { effects: true, retry_infra: 3, ..step("deploy") }]));
    core.miss("deploy");
    assert_eq!(core.leave(1), ["deploy InfraFailed", "run 1 InfraFailed"]);
}

#[test]
fn the_result_of_a_worker_that_was_given_up_is_refused() {
    let mut core = Core::with_cpus(1);
    core.submit(1, run([StepSpec { retry_infra: 1, ..step("a") }]));
    core.miss("a");
    core.leave(1);
    let late = core.outputs("a");
    core.join(2, 1);
    let outcome = cullet_core::AttemptOutcome::Succeeded { outputs: late };
    let zombie = LogCommand::AttemptFinished { id: core.id("a"), attempt: 1, epoch: 1, outcome, at: 0 };
    assert!(core.apply(zombie).is_empty());
    assert_eq!((core.view("a").phase, core.state.refused()), (StepPhase::Running, 1));
}

#[test]
fn the_right_attempt_with_a_wrong_epoch_is_refused() {
    let mut core = Core::with_cpus(1);
    core.submit(1, run([step("a")]));
    core.miss("a");
    for (attempt, epoch) in [(1, 0), (1, 2), (0, 1), (2, 1)] {
        let outcome = cullet_core::AttemptOutcome::TimedOut;
        let wrong = LogCommand::AttemptFinished { id: core.id("a"), attempt, epoch, outcome, at: 0 };
        assert!(core.apply(wrong).is_empty());
    }
    assert_eq!(core.state.refused(), 4);
    assert_eq!(core.succeed("a"), ["a Succeeded", "run 1 Succeeded"]);
    // And once more.
    assert!(core.succeed("a").is_empty());
}

#[test]
fn without_a_worker_steps_wait_for_one() {
    let mut core = Core::default();
    core.submit(1, run([step("a")]));
    assert!(core.miss("a").is_empty());
    assert_eq!(core.join(1, 1), ["start a#1@1 on 1"]);
}

#[test]
fn a_step_too_large_for_every_worker_fails_with_the_reason() {
    let mut core = Core::with_cpus(2);
    let large = StepSpec { cpu_millis: 2500, ..step("a") };
    let hungry = StepSpec { memory_bytes: (1 << 30) + 1, ..step("b") };
    core.submit(1, keep_going([large, hungry]));
    assert_eq!(core.miss("a"), ["a InfraFailed"]);
    let reason = "no worker is large enough: it asks for 2.500 processors and 0 bytes of memory";
    assert_eq!(core.reason("a"), reason);
    assert_eq!(core.miss("b"), ["b InfraFailed", "run 1 InfraFailed"]);
}

#[test]
fn a_worker_that_shrinks_finishes_what_it_runs_and_takes_less() {
    let mut core = Core::with_cpus(2);
    core.submit(1, run([step("a"), step("b"), step("c")]));
    core.miss_all(&["a", "b", "c"]);
    assert!(core.join(1, 1).is_empty());
    assert_eq!(core.succeed("a"), ["a Succeeded"]);
    assert_eq!(core.succeed("b"), ["b Succeeded", "start c#1@3 on 1"]);
}

#[test]
fn an_unknown_worker_cannot_leave() {
    let mut core = Core::default();
    assert!(core.apply(LogCommand::WorkerLeft { worker: WorkerId(9), at: 0 }).is_empty());
    assert_eq!(core.state.refused(), 1);
}
