//! What a machine failed is tried on another one, if there is one.

use cullet_core::spec::StepSpec;
use cullet_core::{LogCommand, StepPhase, Wait, WorkerSpec};

use crate::driver::{Core, worker_spec};
use crate::steps::{run, step};

/// Tried again as often as machines fail it.
fn patient(name: &str) -> StepSpec {
    StepSpec { retry_infra: 9, retry_failure: 9, ..step(name) }
}

/// The first worker has most room, so everything would go there.
fn of_two() -> Core {
    let mut core = Core::with_cpus(8);
    core.join(2, 2);
    core
}

#[test]
fn what_a_machine_failed_goes_to_the_other_one() {
    let mut core = of_two();
    core.submit(1, run([patient("a")]));
    assert_eq!(core.miss("a"), ["start a#1@1 on 1"]);
    assert_eq!(core.infra("a"), ["start a#2@2 on 2"]);
    // Only the last one is avoided.
    assert_eq!(core.infra("a"), ["start a#3@3 on 1"]);
    // It failed by itself: no machine is at fault.
    assert_eq!(core.fail("a"), ["start a#4@4 on 1"]);
    assert_eq!(core.succeed("a"), ["a Succeeded", "run 1 Succeeded"]);
}

#[test]
fn it_waits_for_the_other_one_to_have_room_and_holds_nobody_up() {
    let mut core = of_two();
    let whole = StepSpec { cpu_millis: 2000, ..step("whole") };
    let large = StepSpec { cpu_millis: 7000, ..step("large") };
    core.submit(1, run([patient("a"), large, whole, step("b")]));
    core.miss("a");
    core.miss("large");
    assert_eq!(core.miss("whole"), ["start whole#1@3 on 2"]);
    assert!(core.infra("a").is_empty());
    assert_eq!(core.state.waits_for(core.id("a")), Some(Wait::Room));
    assert_eq!(core.miss("b"), ["start b#1@4 on 1"]);
    assert!(core.succeed("b")[1..].is_empty(), "the room there is not for it");
    assert_eq!(core.succeed("whole"), ["whole Succeeded", "start a#2@5 on 2"]);
}

#[test]
fn it_goes_back_as_soon_as_no_other_worker_could_ever_run_it() {
    for change in ["is emptied", "leaves", "shrinks"] {
        let mut core = of_two();
        let whole = StepSpec { cpu_millis: 2000, retry_infra: 9, ..step("whole") };
        let hungry = StepSpec { memory_bytes: 2, ..patient("a") };
        core.submit(1, run([hungry, StepSpec { cpu_millis: 7000, ..step("large") }, whole]));
        core.miss("a");
        core.miss("large");
        core.miss("whole");
        assert!(core.infra("a").is_empty());
        let effects = match change {
            "is emptied" => core.drain(2),
            "leaves" => core.leave(2),
            _ => {
                let spec = WorkerSpec { memory_bytes: 1, ..worker_spec(2, 2) };
                core.apply(LogCommand::WorkerJoined { spec, at: 0 })
            }
        };
        assert!(effects.contains(&"start a#2@4 on 1".to_owned()), "it {change}: {effects:?}");
    }
}

#[test]
fn it_goes_back_at_once_where_the_others_are_too_small() {
    let mut core = of_two();
    core.submit(1, run([StepSpec { cpu_millis: 4000, ..patient("a") }]));
    core.miss("a");
    assert_eq!(core.infra("a"), ["start a#2@2 on 1"]);
    // One comes that is not.
    core.join(3, 4);
    assert_eq!(core.infra("a"), ["start a#3@3 on 3"]);
}

#[test]
fn a_worker_that_is_started_again_is_the_same_machine() {
    let mut core = of_two();
    core.submit(1, run([patient("a"), StepSpec { cpu_millis: 2000, ..step("whole") }]));
    core.miss("a");
    core.drain(1);
    assert_eq!(core.miss("whole"), ["start whole#1@2 on 2"]);
    let again = WorkerSpec { incarnation: 2, ..worker_spec(1, 8) };
    assert!(
        core.apply(LogCommand::WorkerJoined { spec: again, at: 0 }).is_empty(),
        "it has all the room there is"
    );
    assert_eq!(core.succeed("whole"), ["whole Succeeded", "start a#2@3 on 2"]);
    assert_eq!(core.reason("a"), "worker w1 was lost: it was started again");
}

#[test]
fn a_worker_is_kept_free_for_it_and_not_the_one_it_shuns() {
    let mut core = Core::with_cpus(4);
    let large = StepSpec { cpu_millis: 4000, ..patient("large") };
    let small = (0..100).map(|i| step(&format!("s{i}")));
    core.submit(1, run(std::iter::once(large).chain(small).collect::<Vec<_>>()));
    core.miss("large");
    core.join(2, 4);
    for i in 0..100 {
        core.miss(&format!("s{i}"));
    }
    core.infra("large");
    for _ in 0..40 {
        let running = |core: &Core| {
            let mut names = (0..100).map(|i| format!("s{i}"));
            names.find(|name| core.view(name).phase == StepPhase::Running)
        };
        let name = running(&core).expect("small steps run");
        if core.succeed(&name).contains(&format!("start large#2@{} on 2", core.view("large").epoch)) {
            return;
        }
        assert!(core.state.reserved().is_none_or(|(kept, ..)| kept.0 == 2));
    }
    panic!("it starves");
}

/// There are only so many numbers for those that are shunned.
#[test]
fn an_end_while_it_waits_leaves_nothing_behind() {
    let mut core = Core::with_cpus(1);
    core.submit(1, run([step("whole")]));
    core.miss("whole");
    for other in 2..30 {
        core.join(other, 1);
        core.submit(other.into(), run([patient("a")]));
        assert_eq!(core.miss(&format!("{other}.a")).len(), 1);
        assert!(core.infra(&format!("{other}.a")).is_empty(), "the first worker could run it");
        assert_eq!(core.cancel(other.into()).len(), 2);
        core.leave(other);
    }
}
