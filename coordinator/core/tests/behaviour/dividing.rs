//! Who gets how much, and what goes first.

use cullet_core::Settings;
use cullet_core::spec::{RunSpec, StepSpec};

use crate::driver::Core;
use crate::steps::{after, run, step};

fn of(tenant: &str, steps: usize) -> RunSpec {
    let steps: Vec<StepSpec> = (0..steps).map(|i| step(&format!("{tenant}{i}"))).collect();
    RunSpec { tenant: tenant.into(), ..run(steps) }
}

/// Tenants `x` and `y` have twenty ready steps each, `x` came first.
fn crowd(settings: Settings) -> Core {
    let mut core = Core::default();
    core.configure(settings);
    core.submit(1, of("x", 20));
    core.submit(2, of("y", 20));
    for i in 0..20 {
        core.miss(&format!("x{i}"));
    }
    for i in 0..20 {
        core.miss(&format!("2.y{i}"));
    }
    core
}

fn running(core: &Core) -> Vec<(String, u64)> {
    core.state.tenants().map(|tenant| (tenant.name.to_owned(), tenant.used_cpu_millis)).collect()
}

#[test]
fn tenants_share_equally_whoever_came_first() {
    let mut core = crowd(Settings::default());
    let started = core.join(1, 4);
    let expected = ["start x0#1@1", "start 2.y0#1@2", "start x1#1@3", "start 2.y1#1@4"];
    assert_eq!(started, expected.map(|line| format!("{line} on 1")));
    // What is free goes to who has less.
    assert_eq!(core.succeed("2.y0")[1], "start 2.y2#1@5 on 1");
}

/// Steps that take no time at all are no reason to go first again.
#[test]
fn tenants_take_turns_where_there_is_room_for_one_step_only() {
    let mut core = crowd(Settings::default());
    assert_eq!(core.join(1, 1), ["start x0#1@1 on 1"]);
    assert_eq!(core.succeed("x0")[1], "start 2.y0#1@2 on 1");
    assert_eq!(core.succeed("2.y0")[1], "start x1#1@3 on 1");
}

#[test]
fn or_by_weight() {
    let weights = [("y".into(), 3), ("x".into(), 0)].into();
    let mut core = crowd(Settings { tenant_weights: weights, ..Settings::default() });
    core.join(1, 8);
    assert_eq!(running(&core), [("x".to_owned(), 2000), ("y".to_owned(), 6000)]);
}

#[test]
fn what_one_tenant_cannot_use_another_gets() {
    let mut core = Core::with_cpus(4);
    core.submit(1, of("x", 1));
    core.submit(2, of("y", 9));
    core.miss("x0");
    for i in 0..9 {
        core.miss(&format!("2.y{i}"));
    }
    assert_eq!(running(&core), [("x".to_owned(), 1000), ("y".to_owned(), 3000)]);
    let ready: Vec<_> = core.state.tenants().map(|tenant| tenant.ready).collect();
    assert_eq!(ready, [0, 6]);
}

#[test]
fn priority_comes_before_the_chain_and_that_before_age() {
    let mut core = Core::default();
    core.submit(1, run([step("a"), step("b"), after("c", &[1])]));
    core.submit(2, RunSpec { priority: 1, ..run([step("a")]) });
    core.submit(3, RunSpec { priority: -1, ..run([step("a"), after("b", &[0]), after("c", &[1])]) });
    core.miss_all(&["a", "b", "2.a", "3.a"]);
    let started = core.join(1, 4);
    let expected = ["start 2.a#1@1", "start b#1@2", "start a#1@3", "start 3.a#1@4"];
    assert_eq!(started, expected.map(|line| format!("{line} on 1")));
}

/// Steps `short` and `long`, each with nothing behind it, ready in this order; what is started first.
fn first_of_two(core: &mut Core, run_id: u128) -> String {
    core.submit(run_id, run([step("short"), step("long")]));
    core.miss_as(&format!("{run_id}.short"), &format!("short {run_id}"));
    core.miss_as(&format!("{run_id}.long"), &format!("long {run_id}"));
    core.join(run_id as u64, 1).remove(0)
}

#[test]
fn what_took_longer_before_goes_first() {
    let mut core = Core::default();
    core.submit(1, run([step("long"), step("short")]));
    core.miss("long");
    core.join(1, 1);
    core.now = 60_000;
    core.succeed("long");
    core.miss("short");
    core.now = 60_500;
    core.succeed("short");
    core.leave(1);
    assert_eq!(first_of_two(&mut core, 2), "start 2.long#1@3 on 2");
}

#[test]
fn only_so_many_durations_are_remembered() {
    let mut core = Core::with_cpus(1);
    core.configure(Settings { max_durations: 1, ..Settings::default() });
    core.submit(1, run([step("long"), step("other")]));
    for name in ["long", "other"] {
        core.miss(name);
        core.now += 60_000;
        core.succeed(name);
    }
    core.leave(1);
    assert_eq!(first_of_two(&mut core, 2), "start 2.short#1@3 on 2");
}
