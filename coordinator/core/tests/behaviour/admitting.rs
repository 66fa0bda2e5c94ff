//! How much is taken in.

use cullet_core::spec::RunSpec;
use cullet_core::{RunId, Settings};

use crate::driver::Core;
use crate::steps::{run, step};

fn of(tenant: &str) -> RunSpec {
    RunSpec { tenant: tenant.into(), ..run([step("a"), step("b")]) }
}

fn core(settings: Settings) -> Core {
    let mut core = Core::with_cpus(1);
    core.configure(settings);
    core
}

#[test]
fn only_so_many_runs_are_under_way() {
    let mut core = core(Settings { max_live_runs: 1, ..Settings::default() });
    core.submit(1, of("x"));
    let refused = ["refused 2: 1 runs are under way, and no more may be, again in Some(2000)"];
    assert_eq!(core.submit(2, of("y")), refused);
    assert!(core.state.run(RunId(2)).is_none());
    // One that is known is no further one.
    assert_eq!(core.submit(1, of("x")), ["known 1"]);
    core.hit("a");
    core.hit("b");
    assert_eq!(core.submit(2, of("y")), ["resolve 2.a", "resolve 2.b"]);
}

#[test]
fn they_have_only_so_many_steps_together_and_by_tenant() {
    let mut core = core(Settings { max_live_steps: 5, max_live_steps_per_tenant: 2, ..Settings::default() });
    core.submit(1, of("x"));
    let refused = "refused 2: the runs of one tenant together may have 2 steps, again in Some(2000)";
    assert_eq!(core.submit(2, of("x")), [refused]);
    core.submit(3, of("y"));
    let refused = "refused 4: all runs together may have 5 steps, again in Some(1000)";
    assert_eq!(core.submit(4, of("z")), [refused]);
    let tenants: Vec<_> = core.state.tenants().map(|t| (t.name.to_owned(), t.live_steps)).collect();
    assert_eq!(tenants, [("x".to_owned(), 2), ("y".to_owned(), 2)]);
    core.cancel(1);
    assert_eq!(core.state.tenants().count(), 1);
}

#[test]
fn a_tenant_has_only_so_many_runs_under_way() {
    let mut core = core(Settings { max_live_runs_per_tenant: 1, ..Settings::default() });
    core.submit(1, of("x"));
    let refused = ["refused 2: 1 runs of the tenant are under way, and no more may be, again in Some(2000)"];
    assert_eq!(core.submit(2, of("x")), refused);
    assert_eq!(core.submit(3, of("y")), ["resolve 3.a", "resolve 3.b"]);
    core.cancel(1);
    assert_eq!(core.submit(2, of("x")), ["resolve 2.a", "resolve 2.b"]);
}

#[test]
fn what_can_never_have_room_is_not_told_to_come_back() {
    let mut core = core(Settings { max_live_steps: 1, ..Settings::default() });
    assert_eq!(core.submit(1, of("x")), ["refused 1: all runs together may have 1 steps, again in None"]);
}

#[test]
fn the_more_is_under_way_the_longer_the_wait() {
    let many = |count| run((0..count).map(|i| step(&format!("s{i}"))).collect::<Vec<_>>());
    let mut core = core(Settings { max_live_runs: 1, ..Settings::default() });
    core.submit(1, many(100));
    assert!(core.submit(2, of("x"))[0].ends_with("again in Some(30000)"));
    for i in 0..100 {
        core.miss(&format!("s{i}"));
    }
    core.join(2, 9);
    assert!(core.submit(2, of("x"))[0].ends_with("again in Some(10000)"), "ten run side by side");
}

#[test]
fn smaller_limits_take_nothing_back() {
    let mut core = core(Settings::default());
    core.submit(1, of("x"));
    core.configure(Settings { max_live_runs: 0, ..Settings::default() });
    assert_eq!(core.state.settings().max_live_runs, 0);
    core.hit("a");
    assert_eq!(core.hit("b"), ["b Succeeded cached", "run 1 Succeeded"]);
    assert!(core.submit(2, of("x"))[0].ends_with("again in None"));
}
