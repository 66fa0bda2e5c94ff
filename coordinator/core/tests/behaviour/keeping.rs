//! What is kept of runs at their end, and how the state is copied.

use cullet_core::spec::{RunSpec, StepSpec};
use cullet_core::{RunId, Settings};

use crate::driver::Core;
use crate::memory::held;
use crate::steps::{reads, run, step};

fn steps(count: usize) -> Vec<StepSpec> {
    (0..count).map(|i| step(&format!("s{i}"))).collect()
}

fn one_by_one(core: &mut Core, runs: std::ops::RangeInclusive<u128>, count: usize) -> Vec<String> {
    let mut last = Vec::new();
    for id in runs {
        core.submit(id, run(steps(count)));
        for i in 0..count {
            last = core.hit(&format!("{id}.s{i}"));
        }
    }
    last
}

/// Runs of a tenant, one after the other, each ended by its only lookup or by having no steps.
fn of_tenant(core: &mut Core, tenant: &str, runs: std::ops::RangeInclusive<u128>, count: usize) {
    for id in runs {
        core.submit(id, RunSpec { tenant: tenant.into(), ..run(steps(count)) });
        for i in 0..count {
            core.hit(&format!("{id}.s{i}"));
        }
    }
}

fn kept(core: &Core) -> Vec<u128> {
    core.state.runs().map(|(id, _)| id.0).collect()
}

#[test]
fn the_oldest_finished_runs_go_first() {
    let mut core = Core::default();
    core.configure(Settings { keep_finished_runs: 2, ..Settings::default() });
    core.submit(9, run([step("a")]));
    let last = one_by_one(&mut core, 2..=4, 1);
    assert_eq!(last, ["4.s0 Succeeded cached", "run 4 Succeeded", "forgotten 2"]);
    // The one that is under way is older than all of them.
    assert_eq!(kept(&core), [3, 4, 9]);
    core.hit("9.a");
    assert_eq!(kept(&core), [4, 9]);
}

#[test]
fn of_each_tenant_only_so_many_are_kept() {
    let mut core = Core::default();
    core.configure(Settings { keep_finished_runs_per_tenant: 2, ..Settings::default() });
    of_tenant(&mut core, "a", 2..=6, 1);
    of_tenant(&mut core, "b", 10..=13, 0);
    assert_eq!(kept(&core), [5, 6, 12, 13]);
    core.configure(Settings { keep_finished_runs_per_tenant: 1, ..Settings::default() });
    assert_eq!(kept(&core), [6, 13]);
}

#[test]
fn large_ones_take_the_room_of_many() {
    let mut core = Core::default();
    core.configure(Settings { keep_finished_steps: 5, ..Settings::default() });
    one_by_one(&mut core, 2..=3, 2);
    assert_eq!(kept(&core), [2, 3]);
    one_by_one(&mut core, 4..=4, 3);
    assert_eq!(kept(&core), [3, 4]);
    assert_eq!(core.configure(Settings { keep_finished_runs: 0, ..Settings::default() }).len(), 2);
}

#[test]
fn a_flood_of_runs_leaves_what_others_have() {
    let mut core = Core::default();
    core.configure(Settings { keep_finished_runs: 5, ..Settings::default() });
    of_tenant(&mut core, "a", 2..=3, 4);
    // However few steps they have: none at all, in the end.
    of_tenant(&mut core, "b", 10..=19, 1);
    assert_eq!(kept(&core), [2, 3, 17, 18, 19]);
    of_tenant(&mut core, "b", 20..=29, 0);
    assert_eq!(kept(&core), [2, 3, 27, 28, 29]);
    // A third one takes from who has the most; of two that have as much, from who has the older one.
    of_tenant(&mut core, "c", 30..=30, 1);
    assert_eq!(kept(&core), [2, 3, 28, 29, 30]);
    of_tenant(&mut core, "c", 31..=31, 1);
    assert_eq!(kept(&core), [3, 28, 29, 30, 31]);
}

#[test]
fn a_huge_run_leaves_what_others_have() {
    let mut core = Core::default();
    core.configure(Settings { keep_finished_steps: 10, ..Settings::default() });
    of_tenant(&mut core, "a", 2..=4, 2);
    of_tenant(&mut core, "b", 5..=6, 1);
    // It can be seen until the next one ends, and its own tenant's older ones make room before it.
    of_tenant(&mut core, "b", 7..=7, 30);
    assert_eq!(kept(&core), [2, 3, 4, 7]);
    of_tenant(&mut core, "a", 8..=8, 2);
    assert_eq!(kept(&core), [2, 3, 4, 8]);
    // The room is nobody's: who has most of it makes some for others, until they have as much.
    of_tenant(&mut core, "b", 9..=9, 5);
    assert_eq!(kept(&core), [4, 8, 9]);
    of_tenant(&mut core, "b", 10..=10, 5);
    assert_eq!(kept(&core), [4, 8, 10]);
}

#[test]
fn what_just_ended_can_be_seen_once() {
    let mut core = Core::default();
    core.configure(Settings { keep_finished_runs: 0, ..Settings::default() });
    one_by_one(&mut core, 2..=2, 1);
    assert_eq!(kept(&core), [2]);
    core.configure(core.state.settings().clone());
    assert_eq!(kept(&core), [0_u128; 0]);
}

#[test]
fn a_finished_run_takes_less() {
    let count = 1_000;
    let mut core = Core::default();
    core.submit(1, run((0..count).map(|i| reads(&format!("s{i}"), &[])).collect::<Vec<_>>()));
    for i in 0..count - 1 {
        core.hit(&format!("s{i}"));
    }
    core.log.clear();
    let before = held();
    core.hit(&format!("s{}", count - 1));
    assert!(held() < before, "it gave something back");
}

#[test]
fn copying_the_state_does_not_copy_steps() {
    let mut core = Core::default();
    core.submit(1, RunSpec { journal: true, ..run(steps(10_000)) });
    let before = held();
    let copy = core.state.clone();
    assert!(held() - before < 4096, "{} bytes", held() - before);
    let hash = copy.state_hash();
    core.hit("s7");
    assert_eq!(copy.state_hash(), hash);
    assert_ne!(core.state.run(RunId(1)), copy.run(RunId(1)));
}
