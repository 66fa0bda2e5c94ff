//! The same work is done once.

use cullet_core::spec::{RunSpec, StepSpec};
use cullet_core::{AttemptOutcome, RunId, RunStatus, StepPhase};

use crate::driver::Core;
use crate::steps::{keep_going, run, step};

/// Steps with one action that is executing in run 1, step `a`.
fn in_flight(steps: &[StepSpec]) -> Core {
    let mut core = Core::with_cpus(4);
    core.submit(1, keep_going([step("a"), step("b")]));
    core.submit(2, keep_going(steps));
    core.now = 100;
    for name in ["a", "b", "2.c", "2.d"] {
        core.miss_as(name, "same");
    }
    core.now = 150;
    core
}

fn two() -> [StepSpec; 2] {
    [step("c"), step("d")]
}

#[test]
fn a_failure_says_nothing_about_a_step_with_other_limits() {
    let mut core = Core::with_cpus(4);
    let limited = |name, limits| StepSpec { limits, ..step(name) };
    core.submit(1, keep_going([limited("a", 1), limited("b", 2), limited("c", 1), limited("d", 2)]));
    for name in ["a", "b", "c", "d"] {
        core.miss_as(name, "same");
    }
    assert_eq!(core.fail("a"), ["a Failed", "c Failed shared", "start b#1@2 on 1"]);
    // A success is one, whatever it took.
    assert_eq!(core.succeed("b"), ["b Succeeded", "d Succeeded shared", "run 1 Failed"]);
}

#[test]
fn the_later_ones_wait_and_take_the_result() {
    let mut core = in_flight(&two());
    assert_eq!(core.view("a").phase, StepPhase::Running);
    assert_eq!(core.view("2.d").phase, StepPhase::WaitingForIdentical);
    let effects = core.succeed("a");
    assert_eq!(effects[..3], ["a Succeeded", "b Succeeded shared", "run 1 Succeeded"]);
    assert_eq!(effects[3..], ["2.c Succeeded shared", "2.d Succeeded shared", "run 2 Succeeded"]);
    let d = core.view("2.d");
    assert_eq!((d.outputs, d.saved_ms, d.cached, d.attempt), (core.view("a").outputs, 50, true, 0));
    assert_eq!(core.state.run(RunId(1)).unwrap().counts().cached, 1);
}

#[test]
fn what_runs_of_another_scope_execute_is_not_taken_and_nobody_waits_for_it() {
    let of = |scope: &str| RunSpec { scope: scope.into(), ..keep_going([step("a"), step("b")]) };
    let mut core = Core::with_cpus(4);
    for (number, scope) in [(1, "branch/x"), (2, RunSpec::SCOPE), (3, "branch/y"), (4, "branch/x")] {
        core.submit(number, of(scope));
    }
    let started = |core: &mut Core, name| core.miss_as(name, "same");
    assert_eq!(started(&mut core, "a"), ["start a#1@1 on 1"]);
    assert_eq!(started(&mut core, "2.a"), ["start 2.a#1@2 on 1"]);
    assert_eq!(started(&mut core, "3.a"), ["start 3.a#1@3 on 1"]);
    for follower in ["b", "2.b", "3.b", "4.a"] {
        assert!(started(&mut core, follower).is_empty(), "{follower}");
    }
    let effects = core.succeed("a");
    assert_eq!(effects, ["a Succeeded", "b Succeeded shared", "run 1 Succeeded", "4.a Succeeded shared"]);
    assert_eq!(core.fail("2.a"), ["2.a Failed", "2.b Failed shared", "run 2 Failed"]);
    // Its leader is gone with the machine, and none of the others takes over.
    assert_eq!(core.infra("3.a"), ["3.a InfraFailed", "start 3.b#1@4 on 1"]);
}

#[test]
fn they_fail_together() {
    let mut core = in_flight(&two());
    let effects = core.fail("a");
    assert_eq!(effects[1..3], ["b Failed shared", "run 1 Failed"]);
    assert_eq!(core.view("2.c").exit_code, Some(3));
    assert!(!core.view("2.c").cached);
}

#[test]
fn who_may_try_more_often_goes_on_alone() {
    let patient = |name| StepSpec { retry_failure: 1, ..step(name) };
    let mut core = in_flight(&[patient("c"), patient("d")]);
    let effects = core.fail("a");
    assert_eq!(effects, ["a Failed", "b Failed shared", "run 1 Failed", "start 2.c#1@2 on 1"]);
    assert_eq!(core.fail("2.c"), ["2.c Failed", "2.d Failed shared", "run 2 Failed"]);
}

#[test]
fn a_leader_that_the_machines_failed_is_followed_by_the_next() {
    let mut core = in_flight(&two());
    assert_eq!(core.infra("a"), ["a InfraFailed", "start b#1@2 on 1"]);
    assert_eq!(core.view("2.c").phase, StepPhase::WaitingForIdentical);
    assert_eq!(core.succeed("b").len(), 5);
}

#[test]
fn a_leader_that_no_machine_can_start_is_not_tried_again_and_is_followed_by_the_next() {
    let patient = |name| StepSpec { retry_infra: 9, ..step(name) };
    let mut core = in_flight(&[patient("c"), step("d")]);
    let impossible = || AttemptOutcome::Impossible { reason: "no such image".into() };
    // The next one may say of another place where its image is.
    assert_eq!(core.done("a", impossible()), ["a InfraFailed", "start b#1@2 on 1"]);
    assert_eq!(core.reason("a"), "no such image");
    assert_eq!(core.done("b", impossible())[0], "b InfraFailed");
    assert_eq!(core.view("2.c").phase, StepPhase::Running);
    assert_eq!(core.done("2.c", impossible())[..1], ["2.c InfraFailed"]);
    assert_eq!(core.succeed("2.d"), ["2.d Succeeded", "run 2 InfraFailed"]);
}

#[test]
fn a_leader_keeps_its_lead_while_it_retries() {
    let mut core = Core::with_cpus(4);
    core.submit(1, run([StepSpec { retry_infra: 1, ..step("a") }, step("b")]));
    core.miss_as("a", "same");
    core.miss_as("b", "same");
    assert_eq!(core.infra("a"), ["start a#2@2 on 1"]);
    assert_eq!(core.succeed("a"), ["a Succeeded", "b Succeeded shared", "run 1 Succeeded"]);
}

#[test]
fn a_cancelled_leader_hands_over_once_it_has_stopped() {
    let mut core = in_flight(&two());
    assert_eq!(core.cancel(1), ["stop a#1 on 1", "b Cancelled"]);
    let effects = core.done("a", AttemptOutcome::Cancelled);
    assert_eq!(effects, ["a Cancelled", "run 1 Cancelled", "start 2.c#1@2 on 1"]);
}

#[test]
fn a_cancelled_leader_that_made_it_still_gives_its_result() {
    let mut core = in_flight(&two());
    core.cancel(1);
    let effects = core.succeed("a");
    assert_eq!(effects[..2], ["a Cancelled", "run 1 Cancelled"]);
    assert_eq!(effects[2..], ["2.c Succeeded shared", "2.d Succeeded shared", "run 2 Succeeded"]);
}

#[test]
fn a_leader_that_waits_for_room_hands_over_too() {
    let mut core = Core::default();
    for run_id in 1..=2 {
        core.submit(run_id, run([step("a")]));
    }
    core.miss_as("a", "same");
    core.miss_as("2.a", "same");
    assert_eq!(core.cancel(1), ["a Cancelled", "run 1 Cancelled"]);
    assert_eq!(core.view("2.a").phase, StepPhase::Ready);
    assert_eq!(core.join(1, 1), ["start 2.a#1@1 on 1"]);
}

#[test]
fn cancelled_followers_get_nothing() {
    let mut core = in_flight(&two());
    assert_eq!(core.cancel(2), ["2.c Cancelled", "2.d Cancelled", "run 2 Cancelled"]);
    assert_eq!(core.succeed("a"), ["a Succeeded", "b Succeeded shared", "run 1 Succeeded"]);
}

#[test]
fn what_acts_on_the_outside_world_never_shares() {
    let deploy = |name| StepSpec { effects: true, ..step(name) };
    let mut core = Core::with_cpus(4);
    core.submit(1, run([deploy("a"), deploy("b"), step("c")]));
    assert_eq!(core.miss_as("a", "same"), ["start a#1@1 on 1"]);
    assert_eq!(core.miss_as("b", "same"), ["start b#1@2 on 1"]);
    assert_eq!(core.miss_as("c", "same"), ["start c#1@3 on 1"]);
    assert_eq!(core.succeed("a"), ["a Succeeded"]);
}

fn anew(name: &str) -> StepSpec {
    StepSpec { bypass_cache: true, ..step(name) }
}

#[test]
fn a_step_that_bypasses_the_cache_follows_nobody() {
    let mut core = in_flight(&[anew("c"), step("d")]);
    assert_eq!(core.view("2.c").phase, StepPhase::Running);
    assert_eq!(core.view("2.d").phase, StepPhase::WaitingForIdentical);
    // Its result is its own, and so is that of the others.
    assert_eq!(core.fail("2.c"), ["2.c Failed"]);
    let effects = core.succeed("a");
    assert_eq!(effects[..3], ["a Succeeded", "b Succeeded shared", "run 1 Succeeded"]);
    assert_eq!(effects[3..], ["2.d Succeeded shared", "run 2 Failed"]);
}

#[test]
fn a_step_that_bypasses_the_cache_leads_nobody() {
    let mut core = Core::with_cpus(4);
    core.submit(1, run([anew("a"), anew("b"), step("c")]));
    for (epoch, name) in (1..).zip(["a", "b", "c"]) {
        assert_eq!(core.miss_as(name, "same"), [format!("start {name}#1@{epoch} on 1")]);
    }
    assert_eq!(core.succeed("a"), ["a Succeeded"]);
    assert_eq!(core.cancel(1), ["stop b#1 on 1", "stop c#1 on 1"]);
}

#[test]
fn a_step_that_bypasses_the_cache_takes_no_result_that_landed_before() {
    let mut core = Core::with_cpus(4);
    core.submit(1, run([step("a"), anew("b"), anew("c"), step("d")]));
    core.miss_as("a", "same");
    core.succeed("a");
    assert_eq!(core.miss_as("b", "same"), ["start b#1@2 on 1"]);
    core.succeed("b");
    assert_eq!(core.miss_as("c", "same"), ["start c#1@3 on 1"]);
    assert_eq!(core.miss_as("d", "same"), ["d Succeeded shared"]);
}

#[test]
fn a_step_that_bypasses_the_cache_is_tried_again_alone() {
    let mut core = Core::with_cpus(4);
    core.submit(1, run([step("a"), StepSpec { retry_failure: 1, retry_infra: 1, ..anew("b") }]));
    core.miss_as("a", "same");
    core.miss_as("b", "same");
    assert_eq!(core.fail("b"), ["start b#2@3 on 1"]);
    assert_eq!(core.infra("b"), ["start b#3@4 on 1"]);
    assert_eq!(core.succeed("b"), ["b Succeeded"]);
}

#[test]
fn one_that_comes_too_late_to_wait_takes_the_result() {
    let mut core = Core::with_cpus(4);
    core.submit(1, keep_going([step("a"), step("b")]));
    core.now = 100;
    core.miss_as("a", "same");
    core.now = 130;
    core.succeed("a");
    assert_eq!(core.miss_as("b", "same"), ["b Succeeded shared", "run 1 Succeeded"]);
    assert_eq!((core.view("b").saved_ms, core.view("b").outputs), (30, core.view("a").outputs));
}

/// What is started one after the other where there is room for one step: two steps that stand in the way, and what of
/// these runs does not wait for an identical step. The first tenant and priority come first.
fn order(runs: &[(&str, i8)]) -> (Core, Vec<String>) {
    let mut core = Core::default();
    core.submit(1, run([step("x"), step("y")]));
    core.miss_all(&["x", "y"]);
    for (number, (tenant, priority)) in (2..).zip(runs) {
        let spec = RunSpec { tenant: (*tenant).into(), priority: *priority, ..run([step("a")]) };
        core.submit(number, spec);
        core.miss_as(&format!("{number}.a"), "same");
    }
    let mut lines = core.join(1, 1);
    let mut order = Vec::new();
    while let Some(name) = lines.iter().find_map(|line| Some(line.strip_prefix("start ")?.split_once('#')?.0))
    {
        order.push(name.to_owned());
        lines = core.succeed(name);
    }
    (core, order)
}

#[test]
fn the_most_urgent_of_identical_steps_leads() {
    let (core, started) = order(&[("default", -100), ("default", 100), ("default", 50)]);
    assert_eq!(started, ["3.a", "x", "y"]);
    for run in 2..=4 {
        assert!(
            core.state.run(RunId(run)).unwrap().status().is_some_and(|status| status == RunStatus::Succeeded)
        );
    }
    let (_, started) = order(&[("default", -100), ("default", -50), ("default", 0)]);
    assert_eq!(started, ["x", "4.a", "y"], "a turn later than a run that was there before");
}

#[test]
fn between_tenants_and_among_equals_who_came_first_leads() {
    assert_eq!(order(&[("default", 0), ("default", 0)]).1, ["x", "2.a", "y"]);
    assert_eq!(order(&[("other", -100), ("default", 100)]).1, ["x", "2.a", "y"]);
}

#[test]
fn who_is_overtaken_follows_and_leads_again_where_nobody_else_does() {
    let mut core = Core::default();
    for (number, priority) in [(1, -100), (2, 100), (3, 50)] {
        core.submit(number, RunSpec { priority, ..run([step("a")]) });
        core.miss_as(if number == 1 { "a".to_owned() } else { format!("{number}.a") }.as_str(), "same");
    }
    let phases = |core: &Core| ["a", "2.a", "3.a"].map(|name| core.view(name).phase);
    use StepPhase::{Ready, WaitingForIdentical as Follows};
    assert_eq!(phases(&core), [Follows, Ready, Follows]);
    core.cancel(2);
    assert_eq!(phases(&core)[0], Follows, "the most urgent is next");
    core.cancel(3);
    assert_eq!(phases(&core)[0], Ready);
    assert_eq!(core.join(1, 1), ["start a#1@1 on 1"]);
}

#[test]
fn what_failed_before_and_what_runs_keeps_its_lead() {
    let urgent = || RunSpec { priority: 100, ..run([step("a")]) };
    let mut core = Core::with_cpus(1);
    core.submit(1, run([StepSpec { retry_infra: 1, ..step("a") }]));
    core.miss_as("a", "same");
    core.submit(2, urgent());
    core.miss_as("2.a", "same");
    assert_eq!(core.view("2.a").phase, StepPhase::WaitingForIdentical);
    core.drain(1);
    core.infra("a");
    assert_eq!(core.view("a").phase, StepPhase::Ready);
    core.submit(3, urgent());
    core.miss_as("3.a", "same");
    assert_eq!(core.view("3.a").phase, StepPhase::WaitingForIdentical);
}
