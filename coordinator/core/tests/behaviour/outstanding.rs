//! What somebody who takes over has to do.

use cullet_core::spec::RunSpec;
use cullet_core::{AttemptOutcome, StepPhase};

use crate::driver::Core;
use crate::steps::{digest, keep_going, reads, run, step};

#[test]
fn it_is_every_effect_that_was_not_answered() {
    let mut core = Core::with_cpus(2);
    assert!(core.outstanding().is_empty());
    core.submit(1, run([step("a"), step("b"), step("c"), reads("d", &[0])]));
    assert_eq!(core.outstanding(), ["resolve a", "resolve b", "resolve c"]);
    core.miss_all(&["a", "b"]);
    assert_eq!(core.outstanding(), ["start a#1@1 on 1", "start b#1@2 on 1", "resolve c"]);
    core.hit("c");
    core.submit(2, RunSpec { deliver: [0].into(), ..run([step("e")]) });
    core.hit("2.e");
    core.fail("a");
    assert_eq!(core.outstanding(), ["stop b#1 on 1", "deliver 2"]);
    core.done("b", AttemptOutcome::Cancelled);
    core.delivered(2, &[]);
    assert!(core.outstanding().is_empty());
}

#[test]
fn what_is_made_again_is_looked_up_by_nobody() {
    let mut core = Core::with_cpus(2);
    core.submit(1, run([step("a"), reads("b", &[0])]));
    core.hit("a");
    core.miss("b");
    core.lost("b", &[0]);
    assert_eq!(core.outstanding(), ["resolve a anew"]);
}

#[test]
fn two_answers_to_the_same_count_once() {
    let mut core = Core::with_cpus(2);
    core.submit(1, run([step("a")]));
    core.miss("a");
    assert!(core.miss("a").is_empty());
    assert_eq!(core.view("a").phase, StepPhase::Running);
    core.succeed("a");
    assert!(core.succeed("a").is_empty());
    assert_eq!(core.state.refused(), 2);
}

#[test]
fn what_the_worker_said_stays_with_the_step_until_it_runs_again() {
    let mut core = Core::with_cpus(4);
    core.submit(1, keep_going([step("a"), step("b"), step("c"), reads("d", &[0])]));
    core.now = 10;
    core.miss_all(&["a", "b"]);
    core.miss_as("c", "b");
    core.now = 35;
    core.fail("b");
    core.succeed("a");
    let of =
        |core: &Core, name| (core.view(name).duration_ms, core.view(name).saved_ms, core.view(name).detail);
    assert_eq!(of(&core, "a"), (25, 0, Some(digest("a#1"))));
    assert_eq!(of(&core, "b"), (25, 0, Some(digest("b#1"))));
    // It failed as the one it waited for did: whoever asks is shown the same.
    assert_eq!(of(&core, "c"), (0, 0, Some(digest("b#1"))));
    core.resolve_lost("d", &[0]);
    assert_eq!(of(&core, "a"), (0, 0, None));
}
