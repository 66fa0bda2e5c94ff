//! Which worker may and should run a step.

use cullet_core::spec::{RunSpec, StepSpec};
use cullet_core::{LogCommand, Resolution, Settings, Wait, WorkerId, WorkerSpec};

use crate::driver::{Core, worker_spec};
use crate::steps::{after, digest, keep_going, run, step};

fn join_labelled(core: &mut Core, worker: u64, labels: &[(&str, &str)]) -> Vec<String> {
    let labels = labels.iter().map(|(label, value)| ((*label).into(), (*value).into())).collect();
    let spec = WorkerSpec { labels, ..worker_spec(worker, 8) };
    core.apply(LogCommand::WorkerJoined { spec, at: core.now })
}

/// Steps ask for `gpu=yes`.
fn on_gpu(steps: impl Into<Vec<StepSpec>>) -> RunSpec {
    RunSpec { requirements: [[("gpu".into(), "yes".into())].into()].into(), ..keep_going(steps) }
}

#[test]
fn a_step_runs_only_where_the_labels_are() {
    let mut core = Core::with_cpus(8);
    join_labelled(&mut core, 2, &[("gpu", "yes"), ("zone", "b")]);
    core.submit(1, on_gpu([step("a")]));
    assert_eq!(core.miss("a"), ["start a#1@1 on 2"]);
}

#[test]
fn a_worker_that_gets_the_labels_later_is_as_good() {
    let mut core = Core::with_cpus(1);
    core.configure(Settings { placement_grace_ms: 1000, ..Settings::default() });
    core.submit(1, on_gpu([step("a")]));
    assert!(core.miss("a").is_empty());
    assert_eq!(join_labelled(&mut core, 1, &[("gpu", "yes")]), ["start a#1@1 on 1"]);
    assert_eq!(core.state.next_deadline(), None);
    assert_eq!(core.succeed("a").len(), 2);
    // Nobody asks for the label any more, and then somebody does again.
    core.submit(2, on_gpu([step("a")]));
    assert_eq!(core.miss("2.a"), ["start 2.a#1@2 on 1"]);
}

#[test]
fn what_no_worker_could_run_waits_for_another_one_and_then_says_what_lacks() {
    let mut core = Core::with_cpus(8);
    core.configure(Settings { placement_grace_ms: 1000, ..Settings::default() });
    join_labelled(&mut core, 2, &[("gpu", "no")]);
    core.submit(1, on_gpu([step("a")]));
    core.now = 500;
    assert!(core.miss("a").is_empty());
    let reason = "no worker has labels gpu=yes (2 workers: w1, w2)".to_owned();
    let wait = Wait::OtherWorker { reason: reason.clone(), until: 1500 };
    assert_eq!((core.state.waits_for(core.id("a")), core.state.next_deadline()), (Some(wait), Some(1500)));
    assert!(core.apply(LogCommand::Tick { at: 1499 }).is_empty());
    assert_eq!(core.apply(LogCommand::Tick { at: 1500 }), ["a InfraFailed", "run 1 InfraFailed"]);
    assert_eq!((core.reason("a"), core.state.next_deadline()), (&*reason, None));
}

#[test]
fn a_reason_names_the_largest_there_is() {
    let mut core = Core::with_cpus(2);
    join_labelled(&mut core, 2, &[("gpu", "yes")]);
    let large = StepSpec { cpu_millis: 64_000, ..step("large") };
    let hungry = StepSpec { memory_bytes: 100 << 30, ..step("hungry") };
    core.submit(1, on_gpu([large.clone(), hungry]));
    core.miss_all(&["large", "hungry"]);
    let reason = "it asks for 64 processors; the largest worker with labels gpu=yes has 8";
    assert_eq!(core.reason("large"), reason);
    let reason = "it asks for 100 GiB of memory; the largest worker with labels gpu=yes has 1 GiB";
    assert_eq!(core.reason("hungry"), reason);
    let more = WorkerSpec { cpu_millis: 500, memory_bytes: 2 << 30, ..worker_spec(3, 1) };
    core.apply(LogCommand::WorkerJoined { spec: more, at: 0 });
    core.submit(2, run([StepSpec { cpu_millis: 5000, memory_bytes: 2 << 30, ..step("both") }]));
    core.miss("2.both");
    let reason = "it asks for 5 processors and 2 GiB of memory; no worker has both";
    assert_eq!(core.reason("2.both"), reason);
}

#[test]
fn without_workers_everything_waits_for_one_but_not_for_ever() {
    let mut core = Core::default();
    core.configure(Settings { absence_grace_ms: 9000, ..Settings::default() });
    core.submit(1, on_gpu([step("a")]));
    core.submit(2, run([step("b")]));
    assert!(core.miss("a").is_empty());
    assert!(core.miss("2.b").is_empty());
    let wait = Wait::Worker { until: 9000 };
    assert_eq!((core.state.waits_for(core.id("a")), core.state.next_deadline()), (Some(wait), Some(9000)));
    assert!(core.apply(LogCommand::Tick { at: 8999 }).is_empty());
    let mut came = Core { state: core.state.clone(), now: 8999, log: Vec::new() };
    assert_eq!(join_labelled(&mut came, 1, &[("gpu", "yes")]).len(), 2, "both start");
    assert_eq!((came.state.waits_for(came.id("a")), came.state.next_deadline()), (None, None));

    let ended = core.apply(LogCommand::Tick { at: 9000 });
    assert_eq!(ended, ["2.b InfraFailed", "run 2 InfraFailed", "a InfraFailed", "run 1 InfraFailed"]);
    assert_eq!(core.reason("a"), "no worker has labels gpu=yes (there is none that takes steps)");
    assert_eq!(core.reason("2.b"), "no worker takes steps");
    assert_eq!(core.state.next_deadline(), None);
}

/// One machine of a kind that a run is pinned to, which runs its first steps.
fn pinned() -> Core {
    let mut core = Core::default();
    core.configure(Settings { placement_grace_ms: 1000, absence_grace_ms: 9000, ..Settings::default() });
    join_labelled(&mut core, 1, &[("gpu", "yes")]);
    core.submit(1, on_gpu([step("a"), after("b", &[0]), step("c"), after("d", &[2])]));
    core.miss_all(&["a", "c"]);
    core
}

#[test]
fn a_run_whose_last_worker_leaves_for_good_ends_with_the_reason() {
    let mut core = pinned();
    core.now = 500;
    core.leave(1);
    assert_eq!(core.state.next_deadline(), Some(9500));
    // Another kind is back first, and this one may follow: time begins anew.
    core.now = 9400;
    assert!(join_labelled(&mut core, 2, &[("gpu", "no")]).is_empty());
    assert_eq!(core.state.next_deadline(), Some(10_400));
    let ends = ["a InfraFailed", "c InfraFailed", "b Skipped", "d Skipped", "run 1 InfraFailed"];
    assert_eq!(core.apply(LogCommand::Tick { at: 10_400 }), ends);
    assert_eq!(core.reason("a"), "no worker has labels gpu=yes (1 worker: w2)");
}

#[test]
fn a_run_whose_last_worker_comes_back_in_time_goes_on() {
    let mut core = pinned();
    core.now = 500;
    core.leave(1);
    core.now = 9499;
    assert!(core.apply(LogCommand::Tick { at: 9499 }).is_empty());
    assert_eq!(join_labelled(&mut core, 1, &[("gpu", "yes")]).len(), 2);
    assert_eq!((core.view("a").attempt, core.state.next_deadline()), (2, None));
    core.succeed("a");
    assert_eq!(core.miss("b"), ["start b#1@5 on 2"]);
}

#[test]
fn what_becomes_ready_after_the_last_worker_left_has_the_same_grace() {
    let mut core = pinned();
    core.succeed("a");
    core.succeed("c");
    core.now = 500;
    core.leave(1);
    assert_eq!(core.state.next_deadline(), None, "nothing waits for a worker");
    core.now = 50_000;
    assert_eq!(core.hit("d"), ["d Succeeded cached"], "a result needs no worker");
    core.miss("b");
    assert_eq!(core.state.next_deadline(), Some(59_000));
    core.now = 59_000;
    assert_eq!(core.apply(LogCommand::Tick { at: 59_000 }), ["b InfraFailed", "run 1 InfraFailed"]);
}

#[test]
fn identical_steps_that_no_worker_could_run_end_together() {
    let mut core = Core::with_cpus(1);
    core.configure(Settings { placement_grace_ms: 1000, ..Settings::default() });
    for run in 1..=3 {
        core.submit(run, on_gpu([step("a")]));
    }
    core.submit(4, run([StepSpec { cpu_millis: 500, ..step("a") }]));
    for name in ["a", "2.a", "3.a", "4.a"] {
        assert!(core.miss_as(name, "same").is_empty());
    }
    let ended = core.apply(LogCommand::Tick { at: 1000 });
    let ends = |run| {
        [
            format!("{}a InfraFailed", if run == 1 { String::new() } else { format!("{run}.") }),
            format!("run {run} InfraFailed"),
        ]
    };
    let mut expected: Vec<String> = (1..=3).flat_map(ends).collect();
    // This one asks for something else, which is there.
    expected.push("start 4.a#1@1 on 1".into());
    assert_eq!(ended, expected);
}

#[test]
fn a_step_that_waits_because_the_last_able_worker_left_has_the_same_grace() {
    let mut core = Core::with_cpus(1);
    core.configure(Settings { placement_grace_ms: 1000, ..Settings::default() });
    join_labelled(&mut core, 2, &[("gpu", "yes")]);
    core.submit(1, on_gpu([step("a")]));
    core.miss("a");
    core.now = 300;
    core.drain(2);
    assert_eq!(core.state.next_deadline(), None, "it runs");
    core.leave(2);
    assert_eq!(core.state.next_deadline(), Some(1300));
    core.cancel(1);
    assert_eq!(core.state.next_deadline(), None);
}

fn miss_near(core: &mut Core, name: &str, near: &[(u64, u64)]) -> Vec<String> {
    let near = near.iter().map(|(worker, bytes)| (WorkerId(*worker), *bytes)).collect();
    core.resolved(name, Resolution::Miss { action: digest(name), near })
}

#[test]
fn the_worker_with_most_of_the_inputs_is_preferred_if_it_has_room() {
    let mut core = Core::with_cpus(9);
    core.join(2, 1);
    core.join(3, 2);
    core.submit(1, run(["a", "b", "c", "d"].map(step)));
    assert_eq!(miss_near(&mut core, "a", &[(2, 9 << 20), (3, 5 << 20)]), ["start a#1@1 on 2"]);
    // The next best, as the best is busy.
    assert_eq!(miss_near(&mut core, "b", &[(2, 9 << 20), (3, 5 << 20)]), ["start b#1@2 on 3"]);
    // Within a megabyte the one with most processors left.
    assert_eq!(miss_near(&mut core, "c", &[(3, 1 << 20)]), ["start c#1@3 on 1"]);
    // A worker that is not there any more is nobody.
    assert_eq!(miss_near(&mut core, "d", &[(7, 9 << 20)]), ["start d#1@4 on 1"]);
}

#[test]
fn nobody_waits_for_a_near_worker_that_is_busy() {
    let mut core = Core::with_cpus(1);
    core.join(2, 1);
    core.submit(1, run(["a", "b"].map(step)));
    miss_near(&mut core, "a", &[(1, 1 << 40)]);
    assert_eq!(miss_near(&mut core, "b", &[(1, 1 << 40)]), ["start b#1@2 on 2"]);
}
