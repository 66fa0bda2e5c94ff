//! What is wrong, unknown or repeated does no harm.

use cullet_core::spec::{InputSource, InputSpec, Label, RunSpec, StepSpec};
use cullet_core::{LogCommand, Resolution, RunId, RunStatus, Settings, StepId};

use crate::driver::Core;
use crate::steps::{after, digest, reads, run, step};

#[test]
fn a_specification_that_is_not_valid_fails_with_the_reason() {
    let input = |step, output| {
        let source = InputSource::Output { step, output };
        StepSpec { inputs: [InputSpec { path: "x".into(), source }].into(), ..crate::steps::step("b") }
    };
    let long_label: Box<str> = "x".repeat(256).into();
    let long: Box<str> = "x".repeat(5000).into();
    let cases: Vec<(RunSpec, &str)> = vec![
        (run([step("a"), after("b", &[1])]), "step 1: it needs step 1, which is not before it"),
        (run([after("a", &[4_000_000_000])]), "step 0: it needs step 4000000000, which is not before it"),
        (run([step("a"), input(1, 0)]), "step 1: its input 'x' comes from step 1, which is not before it"),
        (run([step("a"), input(0, 1)]), "step 1: its input 'x' is output 1 of step 0, which has fewer"),
        (run([step("")]), "step 0: its name is empty or longer than 4096 bytes"),
        (run([step(&long)]), "step 0: its name is empty or longer than 4096 bytes"),
        (run([StepSpec { skip: Some(long), ..step("a") }]), "step 0: the reason to skip it is longer"),
        (
            RunSpec { deliver: [1].into(), ..run([step("a")]) },
            "step 1, which is to be delivered, does not exist",
        ),
        (RunSpec { tenant: "".into(), ..run([]) }, "the tenant's name is empty or longer than 255 bytes"),
        (RunSpec { scope: "".into(), ..run([]) }, "the scope's name is empty or longer than 255 bytes"),
        (RunSpec { priority: 101, ..run([]) }, "priority 101 is not between -100 and 100"),
        (
            RunSpec { requirements: (0..257).map(|_| Box::default()).collect(), ..run([]) },
            "257 sets of labels are more than 256",
        ),
        (
            RunSpec { requirements: [(0..65).map(|_| Label::default()).collect()].into(), ..run([]) },
            "65 labels in one set are more than 64",
        ),
        (
            RunSpec { requirements: [[("x".into(), long_label)].into()].into(), ..run([]) },
            "a label is longer than 255 bytes",
        ),
        (
            run([StepSpec { requires: 1, ..step("a") }]),
            "step 0: it requires set 1 of labels, which is not there",
        ),
    ];
    for (spec, reason) in cases {
        let mut core = Core::default();
        assert_eq!(core.submit(1, spec), ["run 1 Failed"]);
        let run = core.state.run(RunId(1)).unwrap();
        let said = run.reason().unwrap();
        assert!(said.starts_with("the specification is not valid: ") && said.contains(reason), "{said}");
        assert_eq!((run.steps().len(), run.step(0), run.resolved_inputs(0).is_none()), (0, None, true));
        // Nothing that is said about its steps matters.
        assert!(core.cancel(1).is_empty());
        assert_eq!(core.state.refused(), 1);
    }
}

#[test]
fn a_second_submission_changes_nothing() {
    let mut core = Core::default();
    core.submit(1, run([step("a")]));
    core.hit("a");
    assert_eq!(core.submit(1, run([step("other")])), ["known 1"]);
    assert_eq!(core.state.run(RunId(1)).unwrap().status(), Some(RunStatus::Succeeded));
    assert_eq!(core.state.applied_commands(), 3);
}

#[test]
fn answers_nobody_waits_for_change_nothing() {
    let mut core = Core::with_cpus(1);
    core.submit(1, run([step("a"), reads("b", &[0])]));
    let before = core.state.clone();
    let resolution = || Resolution::miss(digest("x"));
    let id = |run, step| StepId { run: RunId(run), step };
    for id in [id(1, 1), id(1, 2), id(2, 0)] {
        assert!(core.apply(LogCommand::Resolved { id, resolution: resolution(), at: 1 }).is_empty());
    }
    assert!(core.delivered(1, &[]).is_empty());
    assert!(core.delivered(9, &[0]).is_empty());
    assert_eq!(core.state.refused(), 5);
    for (run, kept) in before.runs() {
        assert_eq!(core.state.run(run), Some(kept));
    }
}

#[test]
fn only_finished_runs_are_forgotten_and_their_ids_never_name_others() {
    let mut core = Core::default();
    let forget = |core: &mut Core| core.apply(LogCommand::Forget { run: RunId(1) });
    core.submit(1, run([step("a")]));
    forget(&mut core);
    assert!(core.state.run(RunId(1)).is_some());
    core.hit("a");
    forget(&mut core);
    assert!(core.state.run(RunId(1)).is_none());
    forget(&mut core);
    assert_eq!(core.state.refused(), 2);
    assert!(core.state.has_forgotten(RunId(1)) && !core.state.has_forgotten(RunId(2)));
    let refused = "refused 1: it was submitted before, has ended and is no longer remembered, again in None";
    for spec in [run([step("a")]), run([step("another")])] {
        assert_eq!(core.submit(1, spec), [refused]);
        assert!(core.state.run(RunId(1)).is_none());
    }
    assert_eq!(core.submit(2, run([step("a")])), ["resolve 2.a"]);
}

#[test]
fn what_acted_and_was_dropped_acts_no_second_time() {
    let deploy = || run([StepSpec { effects: true, ..step("deploy") }]);
    let mut core = Core::with_cpus(1);
    core.configure(Settings { keep_finished_runs: 0, ..Settings::default() });
    core.submit(1, deploy());
    assert_eq!(core.miss("deploy"), ["start deploy#1@1 on 1"]);
    core.succeed("deploy");
    // The next one that ends drops it.
    core.submit(2, run([step("a")]));
    assert!(core.hit("2.a").contains(&"forgotten 1".to_owned()));
    let copy = postcard::to_allocvec(&core.state).unwrap();
    core.state = postcard::from_bytes(&copy).unwrap();
    let answer = core.submit(1, deploy());
    assert!(answer.len() == 1 && answer[0].starts_with("refused 1:"), "{answer:?}");
    assert!(core.outstanding().is_empty());
}
