use cullet_coordinator::{RunStart, StepLog};

use super::*;

fn started(step: &str) -> Event {
    Event::StepStarted(StepStart { step: step.to_owned(), attempt: 1, worker: "local".to_owned() })
}

fn finished(step: &str, status: &str) -> Event {
    Event::StepFinished(StepEnd { step: step.to_owned(), status: status.to_owned(), ..StepEnd::default() })
}

fn model(steps: &[&str], events: &[Event]) -> Model {
    let mut model = Model::default();
    let steps = steps.iter().map(|step| (*step).to_owned()).collect();
    let start = RunStart { run: "1".to_owned(), pipeline: "app".to_owned(), steps };
    model.event(&Event::RunStarted(start), Duration::ZERO);
    for event in events {
        model.event(event, Duration::ZERO);
    }
    model
}

#[test]
fn every_step_is_counted_once() {
    let cached = Event::StepFinished(StepEnd {
        step: "b".to_owned(),
        status: "succeeded".to_owned(),
        cached: true,
        ..StepEnd::default()
    });
    let queued = Event::StepQueued { step: "c".to_owned() };
    let events = [started("a"), finished("a", "failed"), cached, queued, finished("d", "skipped")];
    let counts = model(&["a", "b", "c", "d", "e"], &events).counts;
    let expected = Counts { waiting: 1, queued: 1, cached: 1, failed: 1, skipped: 1, ..Counts::default() };
    assert_eq!(counts, expected);
    assert_eq!(counts.done(), 3);
}

#[test]
fn a_step_that_is_made_again_is_not_counted_twice() {
    let events = [finished("a", "succeeded"), started("a"), finished("a", "succeeded")];
    let model = model(&["a"], &events);
    assert_eq!((model.counts.executed, model.counts.done(), model.running.len()), (1, 1, 0));
}

#[test]
fn a_new_attempt_starts_with_an_empty_log() {
    let log = |text: &str| {
        Event::StepLog(StepLog { step: "a".to_owned(), stream: "stdout".to_owned(), text: text.to_owned() })
    };
    let events = [started("a"), log("first"), started("a"), log("second"), finished("a", "failed")];
    let model = model(&["a"], &events);
    assert_eq!(model.failures[0].tail.lines().collect::<Vec<_>>(), ["second"]);
}

#[test]
fn a_thousand_failures_do_not_keep_a_thousand_logs() {
    let names: Vec<String> = (0..1500).map(|n| format!("s{n}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut model = model(&names, &[]);
    for name in &names {
        let log = StepLog { step: (*name).to_owned(), stream: "stdout".to_owned(), text: "no".to_owned() };
        for event in [started(name), Event::StepLog(log), finished(name, "failed")] {
            model.event(&event, Duration::ZERO);
        }
    }
    assert_eq!(model.counts.failed, 1500);
    assert_eq!(model.failures.len(), FAILURES_KEPT);
    assert_eq!(model.failures.iter().filter(|failure| !failure.tail.is_empty()).count(), LOGS_KEPT);
}
