//! Workers come and go.

use cullet_core::spec::StepSpec;
use cullet_core::{LogCommand, StepPhase, WorkerId, WorkerSpec};

use crate::driver::{Core, worker_spec};
use crate::steps::{keep_going, run, step};

#[test]
fn what_a_lost_worker_ran_goes_elsewhere() {
    let mut core = Core::with_cpus(1);
    core.submit(1, run([step("a")]));
    core.miss("a");
    core.join(2, 1);
    assert_eq!(core.leave(1), ["start a#2@2 on 2"]);
    assert_eq!(core.reason("a"), "worker w1 was lost: no word from it");
    // That uses up no retry, of which it has none.
    assert_eq!(core.infra("a"), ["a InfraFailed", "run 1 InfraFailed"]);
}

#[test]
fn what_three_workers_did_not_survive_is_not_started_again_and_neither_is_the_same_work() {
    let mut core = Core::with_cpus(1);
    core.submit(1, run([step("a")]));
    core.submit(2, run([step("a")]));
    core.miss_as("a", "same");
    core.miss_as("2.a", "same");
    core.join(2, 1);
    assert_eq!(core.leave(1), ["start a#2@2 on 2"]);
    // The same name again is the same machine.
    let again = WorkerSpec { incarnation: 2, ..worker_spec(2, 1) };
    assert_eq!(core.apply(LogCommand::WorkerJoined { spec: again, at: 0 }), ["start a#3@3 on 3"]);
    assert_eq!(core.reason("a"), "worker w2 was lost: it was started again");
    core.join(4, 1);
    assert_eq!(core.leave(3), ["start a#4@4 on 4"]);
    let ended = ["a InfraFailed", "run 1 InfraFailed", "2.a InfraFailed shared", "run 2 InfraFailed"];
    assert_eq!(core.leave(4), ended);
    assert_eq!(core.reason("a"), "quarantined: 3 workers were lost while running it (w1, w2, w4)");
    assert_eq!(core.reason("2.a"), core.reason("a"));
}

#[test]
fn a_worker_that_comes_back_to_be_lost_again_does_not_go_on_for_ever() {
    let mut core = Core::with_cpus(1);
    core.submit(1, run([step("a")]));
    core.miss("a");
    for lost in 1..10 {
        core.leave(lost);
        assert_eq!(core.join(1, 1), [format!("start a#{0}@{0} on {0}", lost + 1)]);
    }
    assert_eq!(core.leave(10), ["a InfraFailed", "run 1 InfraFailed"]);
    assert_eq!(core.reason("a"), "quarantined: workers were lost 10 times while running it (w1)");
}

#[test]
fn a_draining_worker_finishes_what_it_runs_and_gets_nothing_new() {
    let mut core = Core::with_cpus(2);
    core.submit(1, run([step("a"), step("b")]));
    core.miss("a");
    assert!(core.drain(1).is_empty());
    assert!(core.miss("b").is_empty());
    assert_eq!(core.succeed("a"), ["a Succeeded"]);
    assert!(core.state.worker(WorkerId(1)).unwrap().draining);
    // It says once more that it is there.
    assert_eq!(core.join(1, 2), ["start b#1@2 on 1"]);
    core.drain(1);
    core.drain(1);
    assert_eq!(core.state.refused(), 1);
}

#[test]
fn a_worker_is_known_by_what_it_says_and_numbers_are_not_given_out_twice() {
    let mut core = Core::with_cpus(1);
    let labels = [("zone".into(), "b".into())].into();
    let spec = WorkerSpec { address: "http://10.0.0.1:7".into(), labels, ..worker_spec(1, 3) };
    core.apply(LogCommand::WorkerJoined { spec: spec.clone(), at: 0 });
    let view = core.state.worker_named("w1").unwrap();
    assert_eq!((view.id, view.spec, view.running), (WorkerId(1), &spec, 0));
    core.leave(1);
    core.join(1, 1);
    assert_eq!(core.state.worker_named("w1").unwrap().id, WorkerId(2));
    assert_eq!(core.state.worker(WorkerId(1)), None);
}

#[test]
fn a_worker_that_says_too_much_is_refused() {
    let many = (0..65).map(|i| (format!("l{i}").into(), "".into())).collect();
    let specs = [
        WorkerSpec { name: "".into(), ..worker_spec(1, 1) },
        WorkerSpec { name: "x".repeat(256).into(), ..worker_spec(1, 1) },
        WorkerSpec { address: "x".repeat(1025).into(), ..worker_spec(1, 1) },
        WorkerSpec { labels: many, ..worker_spec(1, 1) },
        WorkerSpec { labels: [("x".into(), "x".repeat(256).into())].into(), ..worker_spec(1, 1) },
    ];
    let mut core = Core::default();
    for spec in specs {
        core.apply(LogCommand::WorkerJoined { spec, at: 0 });
    }
    assert_eq!((core.state.refused(), core.state.workers().count()), (5, 0));
}

#[test]
fn what_acts_on_the_outside_world_ends_with_its_worker() {
    let mut core = Core::with_cpus(1);
    core.join(2, 1);
    core.submit(1, run([StepSpec { effects: true, retry_infra: 3, ..step("deploy") }]));
    core.miss("deploy");
    assert_eq!(core.leave(1), ["deploy InfraFailed", "run 1 InfraFailed"]);
    let reason = "worker w1 was lost: no word from it; what acts on the outside world is not started twice";
    assert_eq!(core.reason("deploy"), reason);
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
    let zombie = LogCommand::AttemptFinished {
        id: core.id("a"),
        attempt: 1,
        epoch: 1,
        outcome,
        duration_ms: 5,
        detail: None,
        at: 0,
    };
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
        let wrong = LogCommand::AttemptFinished {
            id: core.id("a"),
            attempt,
            epoch,
            outcome,
            duration_ms: 5,
            detail: None,
            at: 0,
        };
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
    assert_eq!(core.reason("a"), "it asks for 2.5 processors; the largest worker has 2");
    assert_eq!(core.miss("b"), ["b InfraFailed", "run 1 InfraFailed"]);
    assert_eq!(core.reason("b"), "it asks for 1073741825 bytes of memory; the largest worker has 1 GiB");
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
    assert!(core.apply(LogCommand::WorkerLeft { worker: WorkerId(9), reason: "".into(), at: 0 }).is_empty());
    assert_eq!(core.state.refused(), 1);
}
