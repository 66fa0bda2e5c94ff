//! Lost outputs are made again, and the run stays green.

use cullet_core::spec::{RunSpec, StepSpec};
use cullet_core::{Counts, RunId, StepPhase};

use crate::driver::Core;
use crate::steps::{after, keep_going, reads, run, step, tree};

/// `a` is cached, `b` reads it and runs.
fn reader_runs(steps: impl Into<Vec<StepSpec>>) -> Core {
    let mut core = Core::with_cpus(4);
    core.submit(1, keep_going(steps));
    core.hit("a");
    core.miss("b");
    core
}

#[test]
fn the_producer_runs_again_without_the_cache() {
    let mut core = reader_runs([step("a"), reads("b", &[0])]);
    assert_eq!(core.lost("b", &[0]), ["rewound a", "resolve a anew"]);
    assert_eq!(core.view("b").phase, StepPhase::Waiting);
    assert_eq!(core.state.run(RunId(1)).unwrap().counts(), Counts::default());
    assert_eq!(core.miss("a"), ["start a#1@2 on 1"]);
    assert_eq!(core.succeed("a"), ["a Succeeded", "resolve b"]);
    assert_eq!(core.miss("b"), ["start b#2@3 on 1"]);
    assert_eq!(core.succeed("b"), ["b Succeeded", "run 1 Succeeded"]);
    let counts = core.state.run(RunId(1)).unwrap().counts();
    assert_eq!(counts, Counts { executed: 2, ..Counts::default() });
}

#[test]
fn it_is_the_same_when_the_action_could_not_be_made() {
    let mut core = Core::default();
    core.submit(1, run([step("a"), reads("b", &[0])]));
    core.hit("a");
    assert_eq!(core.resolve_lost("b", &[0]), ["rewound a", "resolve a anew"]);
}

#[test]
fn a_producer_whose_own_inputs_are_lost_goes_one_further_back() {
    let mut core = Core::with_cpus(1);
    core.submit(1, run([step("a"), reads("b", &[0]), reads("c", &[1])]));
    core.hit("a");
    core.hit("b");
    assert_eq!(core.resolve_lost("c", &[0]), ["rewound b", "resolve b anew"]);
    assert_eq!(core.resolve_lost("b", &[0]), ["rewound a", "resolve a anew"]);
    core.miss("a");
    assert_eq!(core.succeed("a"), ["a Succeeded", "resolve b anew"]);
    core.miss("b");
    assert_eq!(core.succeed("b"), ["b Succeeded", "resolve c"]);
}

#[test]
fn two_lost_inputs_of_which_one_needs_the_other_come_back_in_order() {
    let mut core = Core::default();
    core.submit(1, run([step("a"), reads("b", &[0]), reads("c", &[0, 1])]));
    core.hit("a");
    core.hit("b");
    assert_eq!(core.resolve_lost("c", &[0, 1]), ["rewound a", "resolve a anew", "rewound b"]);
    assert_eq!(core.view("b").phase, StepPhase::Waiting);
}

#[test]
fn finished_readers_stay_and_waiting_ones_wait_for_the_producer_again() {
    let mut core = Core::with_cpus(1);
    let steps =
        [step("a"), reads("b", &[0]), reads("c", &[0]), reads("d", &[0]), step("e"), reads("f", &[0, 4])];
    core.submit(1, run(steps));
    core.hit("a");
    core.hit("c");
    core.miss_all(&["b", "d"]);
    assert_eq!(core.view("d").phase, StepPhase::Ready);
    assert_eq!(core.lost("b", &[0]), ["rewound a", "resolve a anew"]);
    for name in ["b", "d", "f"] {
        assert_eq!(core.view(name).phase, StepPhase::Waiting, "{name}");
    }
    assert_eq!(core.view("c").outputs, [tree("c/0")]);
    assert!(core.view("c").cached);
    assert_eq!(core.hit("e"), ["e Succeeded cached"]);
    core.miss("a");
    assert_eq!(core.succeed("a"), ["a Succeeded", "resolve b", "resolve d", "resolve f"]);
}

#[test]
fn a_reader_that_was_resolving_meanwhile_resolves_afresh() {
    let mut core = Core::with_cpus(2);
    core.submit(1, run([step("a"), reads("b", &[0]), reads("c", &[0])]));
    core.hit("a");
    core.resolve_lost("b", &[0]);
    core.miss("a");
    core.succeed("a");
    // It was made of outputs that are lost: the answer to the first effect is not used.
    assert_eq!(core.miss("c"), ["resolve c"]);
    assert_eq!(core.miss("c"), ["start c#1@2 on 1"]);
}

#[test]
fn two_readers_that_lose_the_same_output_rewind_its_producer_once() {
    let mut core = Core::with_cpus(4);
    core.submit(1, run([step("a"), reads("b", &[0]), reads("c", &[0])]));
    core.hit("a");
    core.miss_all(&["b", "c"]);
    assert_eq!(core.lost("b", &[0]), ["rewound a", "resolve a anew"]);
    assert!(core.lost("c", &[0]).is_empty());
    core.miss("a");
    assert_eq!(core.succeed("a"), ["a Succeeded", "resolve b", "resolve c"]);
    assert_eq!(core.view("a").rewinds, 1);
}

#[test]
fn an_answer_that_is_late_does_not_rewind_what_was_made_again() {
    let mut core = Core::with_cpus(4);
    core.submit(1, run([step("a"), reads("b", &[0]), reads("c", &[0])]));
    core.hit("a");
    core.miss_all(&["b", "c"]);
    core.lost("b", &[0]);
    core.miss("a");
    core.succeed("a");
    assert_eq!(core.lost("c", &[0]), ["resolve c"]);
}

#[test]
fn what_no_step_makes_is_stored_again_and_uses_up_no_retry() {
    for inputs in [&[][..], &[1]] {
        let mut core = reader_runs([step("a"), reads("b", &[0])]);
        assert_eq!(core.lost("b", inputs), ["resolve b"]);
        assert_eq!(core.reason("b"), "its inputs could not be read from the cache");
        assert_eq!(core.miss("b"), ["start b#2@2 on 1"]);
        assert_eq!(core.succeed("b"), ["b Succeeded", "run 1 Succeeded"]);
        assert_eq!(core.view("b").reason, None);
    }
}

#[test]
fn a_source_is_stored_again_while_the_lost_output_beside_it_is_made_again() {
    let mut core = reader_runs([step("a"), reads("b", &[0])]);
    assert_eq!(core.lost("b", &[0, 1]), ["rewound a", "resolve a anew"]);
    core.miss("a");
    assert_eq!(core.succeed("a"), ["a Succeeded", "resolve b"]);
}

#[test]
fn what_is_lost_each_time_it_is_stored_fails_the_step_in_the_end() {
    for (inputs, reason) in [
        (&[][..], "its input root was lost 4 times"),
        (&[1], "its input 'src' is a source that can no longer be read"),
    ] {
        let mut core = reader_runs([step("a"), reads("b", &[0])]);
        for _ in 0..3 {
            assert_eq!(core.lost("b", inputs), ["resolve b"]);
            core.miss("b");
        }
        assert_eq!(core.lost("b", inputs), ["b InfraFailed", "run 1 InfraFailed"]);
        assert_eq!(core.reason("b"), reason);
    }
}

#[test]
fn an_input_that_does_not_exist_is_the_machines_failure() {
    let mut core = reader_runs([step("a"), reads("b", &[0])]);
    assert_eq!(core.lost("b", &[9]), ["b InfraFailed", "run 1 InfraFailed"]);
}

#[test]
fn what_acts_on_the_outside_world_is_not_made_again() {
    let mut core = Core::with_cpus(1);
    core.submit(1, run([StepSpec { effects: true, ..step("a") }, reads("b", &[0])]));
    core.miss("a");
    core.succeed("a");
    core.miss("b");
    assert_eq!(core.lost("b", &[0]), ["b InfraFailed", "run 1 InfraFailed"]);
    let reason = "its input 'in0' is lost: a acts on the outside world and is not run twice";
    assert_eq!(core.reason("b"), reason);
}

#[test]
fn a_producer_is_rewound_three_times_and_no_more() {
    let mut core = reader_runs([step("a"), reads("b", &[0])]);
    for _ in 0..3 {
        assert_eq!(core.lost("b", &[0])[0], "rewound a");
        core.miss("a");
        core.succeed("a");
        core.miss("b");
    }
    assert_eq!(core.lost("b", &[0]), ["b InfraFailed", "run 1 InfraFailed"]);
    assert_eq!(core.reason("b"), "its input 'in0' is lost: the outputs of a were lost 4 times");
}

#[test]
fn a_producer_that_now_fails_takes_its_readers_along() {
    let mut core = reader_runs([step("a"), reads("b", &[0]), after("c", &[0])]);
    core.lost("b", &[0]);
    core.miss("a");
    // `c` was resolving when `a` was rewound: it answers first.
    assert_eq!(core.fail("a"), ["a Failed", "b Skipped"]);
    assert_eq!(core.miss("c"), ["c Skipped", "run 1 Failed"]);
}

#[test]
fn identical_readers_take_turns_when_the_first_lost_its_input() {
    let mut core = Core::with_cpus(1);
    for id in 1..=2 {
        core.submit(id, run([step("a"), reads("b", &[0])]));
    }
    core.hit("a");
    core.hit("2.a");
    core.miss_as("b", "same");
    core.miss_as("2.b", "same");
    assert_eq!(core.lost("b", &[0]), ["rewound a", "resolve a anew", "start 2.b#1@2 on 1"]);
    assert_eq!(core.succeed("2.b"), ["2.b Succeeded", "run 2 Succeeded"]);
}

#[test]
fn identical_readers_in_one_run_wait_for_the_producer_together() {
    let mut core = reader_runs([step("a"), reads("b", &[0]), reads("c", &[0])]);
    core.miss_as("c", "b");
    assert_eq!(core.lost("b", &[0]), ["rewound a", "resolve a anew"]);
    assert_eq!(core.view("c").phase, StepPhase::Waiting);
}

#[test]
fn lost_deliveries_are_made_again_and_delivered_again() {
    let mut core = Core::with_cpus(1);
    core.submit(1, RunSpec { deliver: [0, 1].into(), ..run([step("a"), step("b")]) });
    core.hit("a");
    core.hit("b");
    for _ in 0..3 {
        assert_eq!(core.delivered(1, &[1]), ["rewound b", "resolve b anew"]);
        core.miss("b");
        assert_eq!(core.succeed("b"), ["b Succeeded", "deliver 1"]);
    }
    assert_eq!(core.delivered(1, &[1]), ["run 1 InfraFailed"]);
    let reason = core.state.run(RunId(1)).unwrap().reason();
    assert_eq!(reason, Some("outputs could not be delivered: they were lost 4 times"));
}

#[test]
fn a_delivery_cannot_lose_what_was_never_there() {
    let mut core = Core::default();
    core.submit(1, RunSpec { deliver: [0].into(), ..run([step("a")]) });
    core.hit("a");
    assert_eq!(core.delivered(1, &[7]), ["run 1 InfraFailed"]);
}
