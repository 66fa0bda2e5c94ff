use serde_json::{Value, json};

use super::*;
use crate::ui::testing::{Paper, at, ended, finished, log, run, started};

/// Every shape that docs/events.md promises.
#[test]
fn events_have_the_promised_shapes() {
    let paper = Paper::default();
    let mut json = Json::new(paper.output());
    let events = [
        run(&["a"]),
        Event::StepQueued { step: "a".to_owned() },
        started("a", 1),
        log("a", "two\nlines \x1b[0m"),
        finished("a", "failed", |end| {
            end.exit_code = Some(2);
            end.action_digest = Some("ab/12".to_owned());
            end.result = Some("never shown".to_owned());
        }),
        ended("failed", |end| (end.executed, end.failed) = (1, 1)),
    ];
    for (position, event) in events.iter().enumerate() {
        json.event(event, at(position as u64));
    }
    json.close(&Closing::default(), at(10));
    let lines: Vec<Value> =
        paper.text().lines().map(|line| serde_json::from_str(line).expect("one object a line")).collect();
    let run = "0123456789abcdef0123456789abcdef";
    let expected = [
        json!({"event": "run_started", "run": run, "pipeline": "app", "steps": ["a"], "time": "1970-01-01T00:00:10.000Z"}),
        json!({"event": "step_queued", "step": "a", "time": "1970-01-01T00:00:10.001Z"}),
        json!({"event": "step_started", "step": "a", "attempt": 1, "worker": "local", "time": "1970-01-01T00:00:10.002Z"}),
        json!({"event": "step_log", "step": "a", "stream": "stdout", "text": "two\nlines \u{1b}[0m", "time": "1970-01-01T00:00:10.003Z"}),
        json!({"event": "step_finished", "step": "a", "status": "failed", "cached": false, "duration_ms": 1500,
               "action_digest": "ab/12", "exit_code": 2, "saved_ms": 0, "allow_failure": false,
               "time": "1970-01-01T00:00:10.004Z"}),
        json!({"event": "run_finished", "run": run, "status": "failed", "executed": 1, "cached": 0, "failed": 1,
               "skipped": 0, "duration_ms": 2500, "saved_ms": 0, "time": "1970-01-01T00:00:10.005Z"}),
    ];
    assert_eq!(lines, expected);
}

#[test]
fn what_matters_is_written_at_once_and_the_rest_within_a_tick() {
    let paper = Paper::default();
    let mut json = Json::new(paper.output());
    json.event(&run(&["a"]), at(0));
    assert_eq!(paper.text().lines().count(), 1);
    json.event(&log("a", "x"), at(0));
    assert_eq!(paper.text().lines().count(), 1);
    json.tick(at(100));
    assert_eq!(paper.text().lines().count(), 2);
}
