use std::sync::Mutex;

use cullet_coordinator::StepEnd;
use cullet_proto::v1::run_event::Event as Wire;

use super::*;
use crate::cluster::testing::{Script, broken, chunk, cluster, numbered, serve};

fn run_started(steps: &[&str]) -> Wire {
    let steps = steps.iter().map(|step| (*step).to_owned()).collect();
    Wire::RunStarted(v1::RunStarted { run: "r".to_owned(), pipeline: "app".to_owned(), steps })
}

fn step_started(step: &str) -> Wire {
    Wire::StepStarted(v1::StepStarted { step: step.to_owned(), attempt: 1, worker: "w".to_owned() })
}

fn step_finished(step: &str) -> Wire {
    let (step, status) = (step.to_owned(), "succeeded".to_owned());
    Wire::StepFinished(v1::StepFinished { step, status, ..Default::default() })
}

fn run_finished() -> Wire {
    let summary =
        v1::RunSummary { run: "r".to_owned(), status: "succeeded".to_owned(), ..Default::default() };
    Wire::RunFinished(v1::RunFinished { summary: Some(summary), ..Default::default() })
}

fn shown(event: &Event) -> String {
    match event {
        Event::RunStarted(start) => format!("run {}", start.run),
        Event::StepStarted(start) => format!("{} starts", start.step),
        Event::StepLog(log) => format!("{} {} {}", log.step, log.stream, log.text),
        Event::StepFinished(StepEnd { step, .. }) => format!("{step} ends"),
        Event::Note(note) => format!("{}: {}", note.step.as_deref().unwrap_or_default(), note.text),
        other => format!("{other:?}"),
    }
}

async fn told(script: Script, past: Past) -> (Vec<String>, Ended) {
    let server = serve(script).await;
    let mut told = Vec::new();
    let mut tell = |event: &Event, _: Option<u64>| told.push(shown(event));
    let ended = follow(&cluster(&[&server.url]), "r", past, &mut tell).await.unwrap();
    (told, ended)
}

#[tokio::test]
async fn the_lines_of_a_step_come_before_its_end_whatever_breaks() {
    let watches = [
        vec![numbered(1, run_started(&["a"])), numbered(2, step_started("a")), broken()],
        vec![numbered(2, step_started("a")), numbered(3, step_finished("a")), numbered(4, run_finished())],
    ];
    // "é" is cut by the break, and a line by another one.
    let log = [
        vec![chunk(0, false, b"one\ncaf\xc3"), chunk(8, true, b"err"), broken()],
        vec![chunk(11, false, b"\xa9\r"), chunk(13, false, b"\nlast"), chunk(18, true, b"or\n")],
    ];
    let logs = Mutex::new([("a".to_owned(), log.into())].into());
    let script = Script { watches: Mutex::new(watches.into()), logs, ..Script::default() };
    let (told, ended) = told(script, Past::default()).await;
    let expected = [
        "run r",
        "a starts",
        "a stdout one",
        "a stdout caf\u{e9}",
        "a stderr error",
        "a stdout last",
        "a ends",
    ];
    assert_eq!(told, expected);
    assert_eq!((ended.end.status.as_str(), ended.at_ms), ("succeeded", 1004));
}

#[tokio::test]
async fn what_was_over_before_has_no_lines_and_a_log_that_is_refused_is_a_note() {
    let events = vec![
        numbered(1, run_started(&["a", "b"])),
        numbered(2, step_started("a")),
        numbered(3, step_finished("a")),
        numbered(4, step_started("b")),
        numbered(5, step_finished("b")),
        numbered(6, run_finished()),
    ];
    let refused = vec![Err(tonic::Status::permission_denied("not for you"))];
    let logs = Mutex::new([("b".to_owned(), [refused].into())].into());
    let script = Script { watches: Mutex::new([events].into()), logs, ..Script::default() };
    let state = |name: &str, status: &str| v1::StepState {
        name: name.to_owned(),
        status: status.to_owned(),
        attempt: 1,
        ..Default::default()
    };
    let past = Past::of(&v1::Run {
        steps: vec![state("a", "succeeded"), state("b", "failed")],
        ..Default::default()
    });
    let (told, _) = told(script, past).await;
    let expected =
        ["run r", "a starts", "a ends", "b starts", "b: not all of its log is here: not for you", "b ends"];
    assert_eq!(told, expected);
}
