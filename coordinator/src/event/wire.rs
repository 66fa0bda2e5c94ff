//! Events as they travel, and as everybody here knows them.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use cullet_proto::v1;
use cullet_proto::v1::run_event;

use super::{Event, Note, RunEnd, RunStart, StepEnd, StepStart, TestSummary, Usage};

/// The event; none for one that this version does not know.
pub fn from_wire(event: v1::RunEvent) -> Option<Event> {
    Some(match event.event? {
        run_event::Event::RunStarted(v1::RunStarted { run, pipeline, steps }) => {
            Event::RunStarted(RunStart { run, pipeline, steps })
        }
        run_event::Event::StepQueued(v1::StepQueued { step }) => Event::StepQueued { step },
        run_event::Event::StepStarted(v1::StepStarted { step, attempt, worker }) => {
            Event::StepStarted(StepStart { step, attempt, worker })
        }
        run_event::Event::StepFinished(end) => Event::StepFinished(step_end(end)),
        run_event::Event::Note(v1::Note { level, kind, step, text }) => {
            Event::Note(Note { level, kind: some(kind), step: some(step), text })
        }
        run_event::Event::RunFinished(end) => Event::RunFinished(run_end(end)),
    })
}

fn step_end(end: v1::StepFinished) -> StepEnd {
    StepEnd {
        step: end.step,
        status: end.status,
        cached: end.cached,
        duration_ms: end.duration_ms,
        action_digest: end.action.map(|digest| format!("{}/{}", digest.hash, digest.size_bytes)),
        exit_code: end.has_exit_code.then_some(end.exit_code),
        reason: some(end.reason),
        saved_ms: end.saved_ms,
        allow_failure: end.allow_failure,
        tests: end.tests.map(|tests| TestSummary {
            tests: tests.tests,
            failed: tests.failed,
            skipped: tests.skipped,
            failures: tests.failures,
        }),
        usage: end.usage.map(Usage::from),
        result: (!end.result.is_empty()).then(|| STANDARD.encode(&end.result)),
        from: None,
    }
}

fn run_end(end: v1::RunFinished) -> RunEnd {
    let summary = end.summary.unwrap_or_default();
    RunEnd {
        run: summary.run,
        status: summary.status,
        executed: summary.executed,
        cached: summary.cached,
        failed: summary.failed,
        skipped: summary.skipped,
        duration_ms: end.duration_ms,
        saved_ms: end.saved_ms,
        reason: some(summary.reason),
        // A cluster has one store, and nothing behind it.
        shared_cache: None,
    }
}

/// Where the wire has no text there is none.
fn some(text: String) -> Option<String> {
    (!text.is_empty()).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mapped(inner: run_event::Event) -> Event {
        from_wire(v1::RunEvent { sequence: 1, time_ms: 2, event: Some(inner) }).unwrap()
    }

    #[test]
    fn an_end_keeps_what_it_says_and_nothing_stands_for_nothing() {
        let bare =
            v1::StepFinished { step: "a".to_owned(), status: "skipped".to_owned(), ..Default::default() };
        let expected = StepEnd { step: "a".to_owned(), status: "skipped".to_owned(), ..StepEnd::default() };
        assert_eq!(mapped(run_event::Event::StepFinished(bare.clone())), Event::StepFinished(expected));

        let full = v1::StepFinished {
            action: Some(v1::Digest { hash: "ab".to_owned(), size_bytes: 7 }),
            has_exit_code: true,
            reason: "x".to_owned(),
            tests: Some(v1::TestSummary { tests: 3, failed: 1, ..Default::default() }),
            result: b"\0\x01".to_vec().into(),
            usage: Some(v1::Usage { cpu_ms: 5, peak_memory_bytes: 6, read_bytes: 7, written_bytes: 8 }),
            ..bare
        };
        let Event::StepFinished(end) = mapped(run_event::Event::StepFinished(full)) else { panic!() };
        assert_eq!((end.action_digest.as_deref(), end.exit_code), (Some("ab/7"), Some(0)));
        assert_eq!((end.reason.as_deref(), end.result.as_deref()), (Some("x"), Some("AAE=")));
        assert_eq!(end.tests.map(|tests| (tests.tests, tests.failed)), Some((3, 1)));
        let usage = Usage { cpu_ms: 5, peak_memory_bytes: 6, read_bytes: 7, written_bytes: 8 };
        assert_eq!(end.usage, Some(usage));
    }

    #[test]
    fn notes_and_the_end_of_a_run_are_mapped() {
        let note = v1::Note { level: "warning".to_owned(), text: "t".to_owned(), ..Default::default() };
        let expected = Note { level: "warning".to_owned(), kind: None, step: None, text: "t".to_owned() };
        assert_eq!(mapped(run_event::Event::Note(note)), Event::Note(expected));
        let summary =
            v1::RunSummary { run: "r".to_owned(), status: "failed".to_owned(), ..Default::default() };
        let end = v1::RunFinished { summary: Some(summary), duration_ms: 5, saved_ms: 6 };
        let Event::RunFinished(end) = mapped(run_event::Event::RunFinished(end)) else { panic!() };
        assert_eq!(
            (end.run.as_str(), end.status.as_str(), end.duration_ms, end.saved_ms),
            ("r", "failed", 5, 6)
        );
    }

    #[test]
    fn an_event_of_a_later_version_is_passed_over() {
        assert_eq!(from_wire(v1::RunEvent { sequence: 1, time_ms: 2, event: None }), None);
    }
}
