//! What clients were told is linearizable: as if each call had happened at one moment between its begin and its end.
//!
//! A run is a register that only goes forward: it is not there, it is there, it has ended in some way; and a
//! cancellation that came before the end decides how. A history of such a register is linearizable if and only if no call
//! contradicts one that had ended before it began, which is what is checked here.

use std::collections::BTreeMap;

use super::ledger::{Answered, Asked, Call};
use crate::invariants::Broken;

/// Checks the calls of all clients.
pub(super) fn are_linearizable(calls: &[Call], ended_at: impl Fn(u64) -> Option<u64>, broken: &Broken) {
    let mut by_request: BTreeMap<u64, Vec<&Call>> = BTreeMap::new();
    for call in calls {
        by_request.entry(call.request).or_default().push(call);
    }
    for (request, calls) in by_request {
        let too_late = |call: &&&Call| {
            call.answered == Answered::Cancelled { had_ended: true }
                && ended_at(request).is_none_or(|at| at > call.ended)
        };
        let wrong = calls.iter().find(too_late);
        broken.check(wrong.is_none(), || format!("request {request} had not ended: {wrong:?}"));
        for later in &calls {
            for earlier in calls.iter().filter(|earlier| earlier.ended < later.began) {
                broken.check(!contradicts(earlier, later), || {
                    format!("request {request}: {later:?} contradicts {earlier:?}")
                });
            }
        }
        // Whoever asks at the same time may be told nothing new by each other, but an end is an end.
        let ends: Vec<&String> = calls.iter().filter_map(|call| end(&call.answered)).collect();
        broken.check(ends.windows(2).all(|pair| pair[0] == pair[1]), || {
            format!("request {request} ended in several ways: {ends:?}")
        });
        let news = calls.iter().filter(|call| call.answered == Answered::Taken { existed: false });
        let repeated =
            calls.iter().any(|call| call.asked == Asked::Submit && call.answered == Answered::Unknown);
        broken.check(news.count() <= 1 || repeated, || format!("request {request} was new twice"));
    }
}

fn end(answered: &Answered) -> Option<&String> {
    match answered {
        Answered::Status(status) if status != "running" => Some(status),
        _ => None,
    }
}

/// Whether the later call cannot have been answered like that after the earlier one.
fn contradicts(earlier: &Call, later: &Call) -> bool {
    let is_there = !matches!(earlier.answered, Answered::Nothing | Answered::Unknown);
    let had_ended =
        end(&earlier.answered).is_some() || earlier.answered == Answered::Cancelled { had_ended: true };
    let is_cancelled = earlier.answered == Answered::Cancelled { had_ended: false };
    match &later.answered {
        Answered::Unknown => false,
        Answered::Nothing => is_there,
        Answered::Taken { existed } => is_there && !existed,
        Answered::Cancelled { had_ended: false } => {
            had_ended && end(&earlier.answered).is_none_or(|status| status != "cancelled")
        }
        Answered::Cancelled { had_ended: true } => false,
        Answered::Status(status) if status == "running" => had_ended,
        Answered::Status(status) => is_cancelled && status != "cancelled",
    }
}
