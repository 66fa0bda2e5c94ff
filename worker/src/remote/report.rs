//! The end of an attempt as it is sent.

use cullet_cache::Usage;
use cullet_cache::v1::tree_to_wire;
use cullet_proto::v1::{self, attempt_finished};

use super::key::AttemptKey;
use crate::{Conclusion, Outcome};

/// The largest result that is reported, in bytes. A message holds 4 MiB, and a result is tens of kilobytes unless a
/// step declares tens of thousands of outputs.
const MAX_RESULT_BYTES: usize = 3 << 20;

/// The most sentences besides, and the most bytes of each: what goes wrong besides does so a few times.
const MAX_NOTES: usize = 100;
const MAX_NOTE_BYTES: usize = 4 << 10;

/// The message that reports it.
pub(super) fn report(key: AttemptKey, conclusion: Conclusion) -> v1::AttemptFinished {
    let Conclusion { outcome, duration_ms, exit_code, reason, result, tests, notes } = conclusion;
    let usage = result.as_ref().map(|result| result.usage).filter(|usage| *usage != Usage::default());
    let result = result.map(|result| result.encode()).unwrap_or_default();
    if result.len() > MAX_RESULT_BYTES {
        let size = result.len();
        let reason =
            format!("its result has {size} bytes, more than the {MAX_RESULT_BYTES} that can be reported");
        return report(key, Conclusion::bare(Outcome::Infra { reason }));
    }
    v1::AttemptFinished {
        attempt: Some(key.to_wire()),
        outcome: Some(wire_outcome(outcome)),
        duration_ms,
        exit_code: exit_code.unwrap_or_default(),
        has_exit_code: exit_code.is_some(),
        reason: reason.map(short).unwrap_or_default(),
        result: result.into(),
        // The leader does that, when it knows that the epoch is the newest.
        recorded: false,
        tests: tests.map(|tests| v1::TestSummary {
            tests: tests.tests,
            failed: tests.failed,
            skipped: tests.skipped,
            failures: tests.failures,
        }),
        notes: notes.into_iter().take(MAX_NOTES).map(short).collect(),
        usage: usage.map(|usage| {
            let Usage { cpu_ms, peak_memory_bytes, read_bytes, written_bytes } = usage;
            v1::Usage { cpu_ms, peak_memory_bytes, read_bytes, written_bytes }
        }),
    }
}

fn wire_outcome(outcome: Outcome) -> attempt_finished::Outcome {
    use attempt_finished::Outcome as Wire;
    match outcome {
        Outcome::Succeeded { outputs } => {
            Wire::Succeeded(v1::Succeeded { outputs: outputs.iter().map(tree_to_wire).collect() })
        }
        Outcome::Failed { exit_code } => Wire::Failed(v1::Failed { exit_code }),
        Outcome::TimedOut => Wire::TimedOut(v1::TimedOut {}),
        Outcome::Cancelled => Wire::Cancelled(v1::Cancelled {}),
        Outcome::Infra { reason } => Wire::Infra(v1::Infra { reason: short(reason), r#final: false }),
        Outcome::Impossible { reason } => Wire::Infra(v1::Infra { reason: short(reason), r#final: true }),
        Outcome::InputLost { inputs } => {
            Wire::InputLost(v1::InputLost { inputs: inputs.iter().map(|&input| input.into()).collect() })
        }
    }
}

fn short(mut text: String) -> String {
    if text.len() > MAX_NOTE_BYTES {
        text.truncate(text.floor_char_boundary(MAX_NOTE_BYTES));
        text.push('…');
    }
    text
}
