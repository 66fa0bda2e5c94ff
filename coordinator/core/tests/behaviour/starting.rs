//! From a submission to its end when nothing goes wrong.

use cullet_core::spec::RunSpec;
use cullet_core::{Counts, Resolution, RunId, RunStatus, StepPhase, StepStatus};

use crate::driver::Core;
use crate::steps::{after, digest, reads, run, step, tree};

#[test]
fn steps_without_dependencies_resolve_at_once_and_in_order() {
    let mut core = Core::default();
    let spec = run([step("a"), reads("b", &[0]), step("c"), after("d", &[1, 2])]);
    assert_eq!(core.submit(1, spec), ["resolve a", "resolve c"]);
    assert_eq!(core.view("d").phase, StepPhase::Waiting);
}

#[test]
fn a_hit_unlocks_what_waited_and_the_last_one_ends_the_run() {
    let mut core = Core::default();
    core.submit(1, run([step("a"), reads("b", &[0]), reads("c", &[0, 1])]));
    assert_eq!(core.hit("a"), ["a Succeeded cached", "resolve b"]);
    core.now = 50;
    assert_eq!(core.hit("b"), ["b Succeeded cached", "resolve c"]);
    assert_eq!(core.hit("c"), ["c Succeeded cached", "run 1 Succeeded"]);
    let run = core.state.run(RunId(1)).unwrap();
    assert_eq!(run.counts(), Counts { cached: 3, ..Counts::default() });
    assert_eq!((run.submitted_at(), run.finished_at()), (0, Some(50)));
    let a = core.view("a");
    assert_eq!((a.saved_ms, a.attempt, a.worker, a.started_at), (7, 0, None, None));
    assert_eq!((a.action, a.finished_at), (Some(digest("a")), Some(0)));
}

#[test]
fn a_miss_runs_on_a_worker_and_its_outputs_become_inputs() {
    let mut core = Core::with_cpus(1);
    core.submit(1, run([step("a"), reads("b", &[0])]));
    core.now = 10;
    assert_eq!(core.miss("a"), ["start a#1@1 on 1"]);
    core.now = 30;
    assert_eq!(core.succeed("a"), ["a Succeeded", "resolve b"]);
    let a = core.view("a");
    assert_eq!((a.started_at, a.finished_at, a.cached), (Some(10), Some(30), false));
    let run = core.state.run(RunId(1)).unwrap();
    let inputs: Vec<_> = run.resolved_inputs(1).unwrap().collect();
    assert_eq!(inputs, [("in0", tree("a/0")), ("src", tree("source"))]);
    assert_eq!(core.miss("b"), ["start b#1@2 on 1"]);
    assert_eq!(core.succeed("b"), ["b Succeeded", "run 1 Succeeded"]);
    assert_eq!(core.state.run(RunId(1)).unwrap().counts().executed, 2);
}

#[test]
fn inputs_are_all_known_or_not_given() {
    let mut core = Core::default();
    core.submit(1, run([step("a"), reads("b", &[0])]));
    let run = core.state.run(RunId(1)).unwrap();
    assert!(run.resolved_inputs(1).is_none());
    assert!(run.resolved_inputs(2).is_none());
    assert_eq!(run.resolved_inputs(0).unwrap().count(), 0);
}

#[test]
fn a_run_without_steps_succeeds_at_once() {
    assert_eq!(Core::default().submit(1, run([])), ["run 1 Succeeded"]);
}

#[test]
fn a_condition_skips_the_step_and_what_needs_it_but_not_the_run() {
    let mut core = Core::default();
    let mut spec = run([step("a"), step("b"), after("c", &[0, 1]), reads("d", &[2])]);
    spec.steps[1].skip = Some("only on Sundays".into());
    assert_eq!(core.submit(1, spec), ["resolve a", "b Skipped", "c Skipped", "d Skipped"]);
    assert_eq!(core.reason("b"), "only on Sundays");
    assert_eq!(core.reason("c"), "needs b, which was skipped");
    assert_eq!(core.reason("d"), "needs c, which was skipped");
    assert_eq!(core.hit("a"), ["a Succeeded cached", "run 1 Succeeded"]);
    assert_eq!(core.state.run(RunId(1)).unwrap().counts().skipped, 3);
}

#[test]
fn effects_and_bypassing_steps_are_not_looked_up() {
    let mut core = Core::with_cpus(4);
    let mut spec = run([step("deploy"), step("fresh")]);
    spec.steps[0].effects = true;
    spec.steps[1].bypass_cache = true;
    assert_eq!(core.submit(1, spec), ["resolve deploy anew", "resolve fresh anew"]);
    // A hit all the same is not used.
    assert_eq!(core.hit("deploy"), ["start deploy#1@1 on 1"]);
    assert_eq!(core.hit("fresh"), ["start fresh#1@2 on 1"]);
}

#[test]
fn a_hit_without_the_declared_outputs_is_a_miss() {
    let mut core = Core::with_cpus(1);
    core.submit(1, run([step("a")]));
    let hit = Resolution::Hit { action: digest("a"), outputs: Box::default(), saved_ms: 0 };
    assert_eq!(core.resolved("a", hit), ["start a#1@1 on 1"]);
}

#[test]
fn an_impossible_action_fails_the_step() {
    let mut core = Core::default();
    core.submit(1, run([step("a"), after("b", &[0])]));
    let ended = core.resolved("a", Resolution::Impossible { reason: "two inputs meet".into() });
    assert_eq!(ended, ["a Failed", "b Skipped", "run 1 Failed"]);
    assert_eq!((core.reason("a"), core.reason("b")), ("two inputs meet", "needs a, which failed"));
}

#[test]
fn an_action_that_cannot_be_stored_is_the_machines_failure() {
    let mut core = Core::default();
    core.submit(1, run([step("a"), after("b", &[0])]));
    let ended = core.resolved("a", Resolution::Trouble { reason: "read-only".into() });
    assert_eq!(ended, ["a InfraFailed", "b Skipped", "run 1 InfraFailed"]);
    assert_eq!(core.reason("a"), "read-only");
}

#[test]
fn what_the_submitter_wants_is_delivered_before_the_end() {
    let mut core = Core::default();
    core.submit(1, RunSpec { deliver: [0].into(), ..run([step("a")]) });
    assert_eq!(core.hit("a"), ["a Succeeded cached", "deliver 1"]);
    let run = core.state.run(RunId(1)).unwrap();
    assert!(run.is_delivering() && run.status().is_none());
    assert_eq!(core.delivered(1, &[]), ["run 1 Succeeded"]);
}

#[test]
fn nothing_is_delivered_from_a_run_that_failed() {
    let mut core = Core::with_cpus(1);
    core.submit(1, RunSpec { deliver: [0].into(), ..run([step("a"), step("b")]) });
    core.hit("a");
    core.miss("b");
    assert_eq!(core.fail("b"), ["b Failed", "run 1 Failed"]);
    assert_eq!(core.state.run(RunId(1)).unwrap().status(), Some(RunStatus::Failed));
    assert_eq!(core.view("b").phase, StepPhase::Finished(StepStatus::Failed));
}
