//! What happened in a run can be read again from any point.

use cullet_core::spec::{RunSpec, StepSpec};
use cullet_core::{LogCommand, Note, RunEventKind, RunId, StepIndex};

use crate::driver::Core;
use crate::steps::{digest, reads, run, step};

fn journaled(steps: impl Into<Vec<StepSpec>>) -> RunSpec {
    RunSpec { journal: true, ..run(steps) }
}

/// Events after a number, as lines.
fn events(core: &Core, after: u64) -> Vec<String> {
    let run = core.state.run(RunId(1)).unwrap();
    let name = |step: StepIndex| run.spec().steps[step as usize].name.to_string();
    let line = |kind: &RunEventKind| match kind {
        RunEventKind::RunStarted => "started".to_owned(),
        RunEventKind::StepQueued { step } => format!("{} queued", name(*step)),
        RunEventKind::StepStarted { step, attempt, worker } => {
            format!("{}#{attempt} on {}", name(*step), run.worker_name(*worker).unwrap())
        }
        RunEventKind::AttemptFailed { step, end } => {
            format!("{}#{} failed: {}", name(*step), end.attempt, end.reason.as_deref().unwrap_or(""))
        }
        RunEventKind::StepFinished { step, end } => {
            format!("{} {:?} {}", name(*step), end.status, end.reason.as_deref().unwrap_or(""))
        }
        RunEventKind::StepRewound { step } => format!("{} rewound", name(*step)),
        RunEventKind::Noted { step, note } => format!("{:?}: {note:?}", step.map(name)),
        RunEventKind::RunFinished { status } => format!("{status:?}"),
    };
    run.events(after).map(|(number, event)| format!("{number}@{} {}", event.at, line(&event.kind))).collect()
}

#[test]
fn events_are_numbered_and_resumed_by_number() {
    let mut core = Core::with_cpus(1);
    core.now = 5;
    core.submit(1, journaled([StepSpec { retry_failure: 1, ..step("a") }, step("b")]));
    core.miss_all(&["a", "b"]);
    core.now = 9;
    core.fail("a");
    core.succeed("a");
    core.succeed("b");
    let all = [
        "1@5 started",
        "2@5 a#1 on w1",
        "3@5 b queued",
        "4@9 a#1 failed: it failed with exit code 3",
        "5@9 a#2 on w1",
        "6@9 a Succeeded ",
        "7@9 b#1 on w1",
        "8@9 b Succeeded ",
        "9@9 Succeeded",
    ];
    assert_eq!(events(&core, 0), all);
    assert_eq!(events(&core, 7), all[7..]);
    assert!(events(&core, 9).is_empty() && events(&core, u64::MAX).is_empty());
}

#[test]
fn an_end_stays_as_it_was_when_the_step_runs_again() {
    let mut core = Core::with_cpus(2);
    core.submit(1, journaled([step("a"), reads("b", &[0])]));
    core.miss("a");
    core.now = 30;
    core.succeed("a");
    core.miss("b");
    core.lost("b", &[0]);
    core.miss_as("a", "other");
    core.fail("a");
    let run = core.state.run(RunId(1)).unwrap();
    let ends = run.events(0).filter_map(|(_, event)| match &event.kind {
        RunEventKind::StepFinished { step: 0, end } => Some((
            end.duration_ms,
            end.action,
            end.exit_code,
            end.detail,
            end.usage.map(|usage| usage.cpu_ms),
        )),
        _ => None,
    });
    let first = (30, Some(digest("a")), None, Some(digest("a#1")), Some(1));
    let second = (0, Some(digest("other")), Some(3), Some(digest("a#2")), Some(2));
    assert_eq!(ends.collect::<Vec<_>>(), [first, second]);
    assert!(events(&core, 0).iter().any(|line| line.ends_with("a rewound")));
}

#[test]
fn what_was_taken_is_said_of_the_step_that_took_it() {
    let mut core = Core::with_cpus(2);
    core.submit(1, journaled([step("a"), step("same"), step("cached")]));
    core.miss("a");
    core.miss_as("same", "a");
    core.hit("cached");
    core.succeed("a");
    let run = core.state.run(RunId(1)).unwrap();
    let mut ends: Vec<_> = run
        .events(0)
        .filter_map(|(_, event)| match &event.kind {
            RunEventKind::StepFinished { step, end } => Some((*step, end.usage.map(|usage| usage.cpu_ms))),
            _ => None,
        })
        .collect();
    ends.sort_unstable();
    assert_eq!(ends, [(0, Some(1)), (1, None), (2, None)]);
}

#[test]
fn a_lost_worker_is_named_after_it_is_gone() {
    let mut core = Core::with_cpus(1);
    core.submit(1, journaled([step("a")]));
    core.miss("a");
    core.leave(1);
    core.join(2, 1);
    let expected = [
        "2@0 a#1 on w1",
        "3@0 a#1 failed: worker w1 was lost: no word from it",
        "4@0 a queued",
        "5@0 a#2 on w2",
    ];
    assert_eq!(events(&core, 1), expected);
}

#[test]
fn notes_are_kept_while_there_is_room_for_them() {
    let mut core = Core::default();
    core.submit(1, journaled([step("a")]));
    let note = |core: &mut Core, step, note| {
        let refused = core.state.refused();
        core.apply(LogCommand::Noted { run: RunId(1), step, note, at: 0 });
        core.state.refused() == refused
    };
    assert!(note(&mut core, Some(0), Note::Text("a word".into())));
    assert!(note(&mut core, None, Note::Blob(digest("many words"))));
    assert!(!note(&mut core, Some(1), Note::Text("about nothing".into())));
    assert!(!note(&mut core, None, Note::Text("x".repeat(1025).into())));
    let taken = (0..1_001).filter(|_| note(&mut core, None, Note::Text("again".into()))).count();
    assert_eq!(taken, 998);
    assert_eq!(events(&core, 1)[0], "2@0 Some(\"a\"): Text(\"a word\")");
    core.hit("a");
    assert!(!note(&mut core, None, Note::Text("too late".into())));
}

#[test]
fn a_run_whose_events_nobody_wants_has_none() {
    let mut core = Core::default();
    core.submit(1, run([step("a")]));
    core.hit("a");
    assert!(events(&core, 0).is_empty());
}
