use std::path::Path;

use cullet_cli::history::keys::KeyRecorder;
use cullet_cli::history::{Meta, RunRecorder, Store};
use cullet_cli::ui::{Closing, Moment, Observer as _};
use cullet_coordinator::{Event, RunEnd, RunStart, StepEnd, StepStart};

use crate::{run, stderr, stdout};

pub(crate) fn begin(home: &Path, name: &str, steps: &[&str]) -> RunRecorder {
    let meta = Meta {
        run: name.to_owned(),
        pipeline: "app".to_owned(),
        started_at_ms: 1_700_000_000_000,
        command_line: vec!["cullet".to_owned(), "run".to_owned(), "a b".to_owned()],
        ..Meta::of_this_process()
    };
    let mut recorder = RunRecorder::create(&Store::open(home.join(".cache/cullet/runs")), &meta).unwrap();
    let steps = steps.iter().map(|step| (*step).to_owned()).collect();
    record(
        &mut recorder,
        Event::RunStarted(RunStart { run: name.to_owned(), pipeline: "app".to_owned(), steps }),
    );
    recorder
}

pub(crate) fn record(recorder: &mut RunRecorder, event: Event) {
    recorder.event(&event, Moment { wall_ms: 1_700_000_001_000, ..Moment::default() });
    recorder.tick(Moment::default());
}

pub(crate) fn finish(
    recorder: &mut RunRecorder,
    step: &str,
    status: &str,
    change: impl FnOnce(&mut StepEnd),
) {
    let (step, status) = (step.to_owned(), status.to_owned());
    let mut end = StepEnd { step, status, duration_ms: 1500, ..StepEnd::default() };
    change(&mut end);
    record(recorder, Event::StepFinished(end));
}

pub(crate) fn end(mut recorder: RunRecorder, name: &str, status: &str) {
    let (run, status) = (name.to_owned(), status.to_owned());
    let end =
        RunEnd { run, status, executed: 1, cached: 1, failed: 1, duration_ms: 2500, ..RunEnd::default() };
    record(&mut recorder, Event::RunFinished(end));
    recorder.close(&Closing::default(), Moment { wall_ms: 1_700_000_002_500, ..Moment::default() });
}

#[test]
fn runs_and_status_tell_of_finished_live_and_interrupted_runs() {
    let home = tempfile::tempdir().unwrap();
    let mut done = begin(home.path(), "aaaa", &["lint", "build"]);
    finish(&mut done, "lint", "succeeded", |end| end.cached = true);
    finish(&mut done, "build", "failed", |end| end.exit_code = Some(2));
    end(done, "aaaa", "failed");
    drop(begin(home.path(), "bbbb", &["x"]));
    let mut live = begin(home.path(), "cccc", &["build", "test"]);
    let start = StepStart { step: "build".to_owned(), attempt: 1, worker: "local".to_owned() };
    record(&mut live, Event::StepStarted(start));

    let text = stdout(&run(home.path(), &["runs"]));
    let words: Vec<Vec<&str>> = text.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(words[1][..3], ["cccc", "app", "running"], "{text}");
    assert_eq!(words[2][..3], ["bbbb", "app", "interrupted"], "{text}");
    assert_eq!(words[3][..7], ["aaaa", "app", "failed", "1", "1", "1", "2.5s"], "{text}");
    let text = stdout(&run(home.path(), &["runs", "--format", "json", "-n", "3"]));
    let objects: Vec<serde_json::Value> =
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(objects[2]["duration_ms"], 2500);

    let text = stdout(&run(home.path(), &["status", "aa"]));
    for part in ["cullet run 'a b'", "+ lint cached\n", "x build 1.5s, exit code 2\n", "x failed app in 2.5s"]
    {
        assert!(text.contains(part), "{part}\n{text}");
    }
    let text = stdout(&run(home.path(), &["status"]));
    for part in ["* build", "0/2 done after", "1 running"] {
        assert!(text.contains(part), "{part}\n{text}");
    }
    let text = stdout(&run(home.path(), &["status", "bbbb"]));
    assert!(text.contains("interrupted") && text.contains("did not finish"), "{text}");
    let text = stdout(&run(home.path(), &["status", "aaaa", "--format", "json"]));
    assert_eq!(text.lines().count(), 4);
    drop(live);
}

#[test]
fn names_that_fit_no_run_or_several_are_2() {
    let home = tempfile::tempdir().unwrap();
    let output = run(home.path(), &["status"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("no run yet") && stderr(&output).contains("hint: "));
    drop([begin(home.path(), "ab1", &["x"]), begin(home.path(), "ab2", &["x"])]);
    for name in ["ab", "zz", "../runs"] {
        for command in ["status", "cancel"] {
            let output = run(home.path(), &[command, name]);
            assert_eq!(output.status.code(), Some(2), "{command} {name}");
        }
    }
    let output = run(home.path(), &["cancel", "ab1"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("is over"), "{}", stderr(&output));
}

/// Bounds the history's part of a run of 10,000 steps that the cache answers: some tens of milliseconds in a
/// release build; ten times that is allowed here.
#[test]
fn a_large_run_is_written_down_quickly() {
    let home = tempfile::tempdir().unwrap();
    let names: Vec<String> = (0..10_000).map(|n| format!("step-number-{n}[shard=1]")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let digest = Some(format!("{}/123", "ab".repeat(32)));
    let once = || {
        let start = std::time::Instant::now();
        let mut keys = KeyRecorder::new(home.path().join("keys"), home.path().join("cullet.yaml"));
        let mut recorder =
            begin(home.path(), &format!("{:?}", start).replace(|c: char| !c.is_ascii_digit(), ""), &[]);
        let app = RunStart { run: "r".to_owned(), pipeline: "app".to_owned(), steps: Vec::new() };
        keys.event(&Event::RunStarted(app), Moment::default());
        for name in &names {
            let (step, action_digest) = ((*name).to_owned(), digest.clone());
            let status = "succeeded".to_owned();
            let end =
                StepEnd { step, status, cached: true, action_digest, saved_ms: 5, ..StepEnd::default() };
            let event = Event::StepFinished(end);
            recorder.event(&event, Moment::default());
            keys.event(&event, Moment::default());
        }
        end(recorder, "r", "succeeded");
        keys.close(&Closing::default(), Moment::default());
        start.elapsed()
    };
    let (first, second) = (once(), once());
    println!("first {first:?}, unchanged {second:?}");
    // Some tenths of a second even here; the benchmarks look closer, and on a quiet machine.
    assert!(first.as_secs() < 10 && second.as_secs() < 10, "first {first:?}, unchanged {second:?}");
}
