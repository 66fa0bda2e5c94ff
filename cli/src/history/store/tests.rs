use std::io::Write as _;

use cullet_coordinator::{Event, RunEnd, RunStart, StepEnd, StepLog};

use super::*;
use crate::history::{Meta, RunRecorder, RunState};
use crate::ui::{Closing, Moment, Observer as _};

fn record(store: &Store, run: &str, started_at_ms: u64) -> RunRecorder {
    let meta = Meta { run: run.to_owned(), started_at_ms, ..Meta::of_this_process() };
    RunRecorder::create(store, &meta).unwrap()
}

fn at(wall_ms: u64) -> Moment {
    Moment { wall_ms, ..Moment::default() }
}

fn start(run: &str) -> Event {
    Event::RunStarted(RunStart {
        run: run.to_owned(),
        pipeline: "app".to_owned(),
        steps: vec!["a".to_owned()],
    })
}

fn finished(step: &str) -> Event {
    let (step, status) = (step.to_owned(), "failed".to_owned());
    Event::StepFinished(StepEnd { step, status, result: Some("AA==".to_owned()), ..StepEnd::default() })
}

fn end(run: &str) -> RunEnd {
    RunEnd { run: run.to_owned(), status: "succeeded".to_owned(), ..RunEnd::default() }
}

fn events(run: &StoredRun) -> Vec<(Event, u64)> {
    let mut events = Vec::new();
    run.events(|event, at| events.push((event, at))).unwrap();
    events
}

#[test]
fn a_run_reads_back_as_it_happened_without_its_log() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path().join("runs"));
    let mut recorder = record(&store, "abc", 1000);
    let log = StepLog { step: "a".to_owned(), stream: "stdout".to_owned(), text: "x".to_owned() };
    for event in [start("abc"), Event::StepLog(log), finished("a")] {
        recorder.event(&event, at(1500));
    }
    recorder.tick(at(1600));
    let run = store.find(Some("ab")).unwrap();
    assert_eq!(run.state(), RunState::Running);
    assert_eq!(events(&run), [(start("abc"), 500), (finished("a"), 500)]);

    recorder.event(&Event::RunFinished(end("abc")), at(1700));
    recorder.close(&Closing::default(), at(1700));
    drop(recorder);
    assert_eq!(store.find(None).unwrap().state(), RunState::Finished(end("abc")));
}

#[test]
fn a_run_without_an_end_is_running_or_interrupted() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path());
    let mut recorder = record(&store, "abc", 1000);
    recorder.event(&start("abc"), at(1000));
    assert_eq!(store.find(None).unwrap().state(), RunState::Running);
    drop(recorder);
    assert_eq!(store.find(None).unwrap().state(), RunState::Interrupted);
}

#[test]
fn a_torn_last_line_is_passed_over() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path());
    let mut recorder = record(&store, "abc", 1000);
    recorder.event(&start("abc"), at(1000));
    recorder.event(&Event::RunFinished(end("abc")), at(1000));
    drop(recorder);
    let path = dir.path().join("abc.jsonl");
    let whole = std::fs::read(&path).unwrap();
    let first = whole.iter().position(|byte| *byte == b'\n').unwrap() + 1;
    for cut in first..whole.len() {
        std::fs::write(&path, &whole[..cut]).unwrap();
        let run = store.find(None).unwrap();
        let lines = whole[first..cut].iter().filter(|byte| **byte == b'\n').count();
        assert_eq!(events(&run).len(), lines, "cut at {cut}");
        assert_eq!(run.state(), RunState::Interrupted, "cut at {cut}");
    }
    let mut file = std::fs::OpenOptions::new().append(true).open(&path).unwrap();
    file.write_all(b"\nnot json\n").unwrap();
    let run = store.find(None).unwrap();
    assert_eq!((events(&run).len(), run.state()), (2, RunState::Finished(end("abc"))));
}

#[test]
fn names_may_be_shortened_as_long_as_they_are_clear() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path());
    assert!(matches!(store.find(None), Err(HistoryError::Empty { .. })));
    let _recorders = [record(&store, "abc1", 1), record(&store, "abc2", 3), record(&store, "b", 2)];
    assert_eq!(store.find(Some("b")).unwrap().meta().run, "b");
    assert_eq!(store.find(None).unwrap().meta().run, "abc2");
    assert!(matches!(store.find(Some("abc")), Err(HistoryError::Ambiguous { .. })));
    for unknown in ["c", "", "..", "abc1/"] {
        assert!(matches!(store.find(Some(unknown)), Err(HistoryError::Unknown { .. })), "{unknown}");
    }
    let newest_first: Vec<String> = store.runs().unwrap().iter().map(|run| run.meta().run.clone()).collect();
    assert_eq!(newest_first, ["abc2", "b", "abc1"]);
}

#[test]
fn a_run_that_two_processes_follow_is_written_down_by_one_of_them() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path());
    let mut first = record(&store, "abc", 1);
    let meta = Meta { run: "abc".to_owned(), started_at_ms: 2, ..Meta::of_this_process() };
    let refused = RunRecorder::create(&store, &meta).unwrap_err();
    assert!(matches!(&refused, HistoryError::Recorded { run } if run == "abc"), "{refused}");
    first.event(&start("abc"), at(1));
    first.tick(at(1));
    assert_eq!(events(&store.find(None).unwrap()).len(), 1);
    let left: Vec<_> =
        std::fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["abc.jsonl"]);
    // Once that one is gone, whoever follows the run again has the whole of it.
    drop(first);
    let _second = RunRecorder::create(&store, &meta).unwrap();
    assert_eq!(store.find(None).unwrap().meta().started_at_ms, 2);
    // Nor is one in the way of another that has only just begun.
    std::fs::write(dir.path().join(".new-xyz"), "").unwrap();
    drop(record(&store, "xyz", 3));
}

#[test]
fn a_damaged_run_hides_no_other() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path());
    drop(record(&store, "good", 1));
    drop(record(&store, "bad", 2));
    std::fs::write(dir.path().join("bad.jsonl"), "{").unwrap();
    assert_eq!(store.find(None).unwrap().meta().run, "good");
    assert!(matches!(store.find(Some("bad")), Err(HistoryError::Damaged { .. })));
}
