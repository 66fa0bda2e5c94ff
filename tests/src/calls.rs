//! What clients were told is linearizable: as if each call had happened at one moment between its begin and its end.
//!
//! A run is a register that only goes forward: it is not there, it is there, it has ended in some way; and a
//! cancellation that came before the end decides how. A history of such a register is linearizable if and only if no call
//! contradicts one that had ended before it began, which is what is checked here. Simulated clusters and clusters of
//! processes are checked by this.

use std::collections::BTreeMap;

/// What a client asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asked {
    /// To take in a run.
    Submit,
    /// How a run is.
    Get,
    /// To cancel a run.
    Cancel,
}

/// What it was told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answered {
    /// A submission was taken in.
    Taken {
        /// It was there before.
        existed: bool,
    },
    /// What a run's status is.
    Status(String),
    /// A run is cancelled, unless it had ended.
    Cancelled {
        /// It had.
        had_ended: bool,
    },
    /// There is no such run.
    Nothing,
    /// It does not know what became of it.
    Unknown,
}

/// One call of a client.
#[derive(Debug, Clone)]
pub struct Call {
    /// What was asked.
    pub asked: Asked,
    /// About which run, by the number of the request that it was submitted with.
    pub request: u64,
    /// When it was asked, on a clock that all clients share.
    pub began: u64,
    /// When the answer was there, or given up, on the same clock.
    pub ended: u64,
    /// The answer.
    pub answered: Answered,
}

/// Why the calls of all clients are not linearizable; none if they are. `ended_at` says when a request's run ended, on the
/// clock of the calls; where nobody saw that, 0 accepts whoever says that it had.
pub fn contradiction(calls: &[Call], ended_at: impl Fn(u64) -> Option<u64>) -> Option<String> {
    let mut by_request: BTreeMap<u64, Vec<&Call>> = BTreeMap::new();
    for call in calls {
        by_request.entry(call.request).or_default().push(call);
    }
    by_request.into_iter().find_map(|(request, calls)| {
        let wrong = wrong(&calls, ended_at(request))?;
        Some(format!("request {request}: {wrong}"))
    })
}

/// What is wrong with the calls about one run.
fn wrong(calls: &[&Call], ended_at: Option<u64>) -> Option<String> {
    let too_late = |call: &&&Call| {
        call.answered == Answered::Cancelled { had_ended: true } && ended_at.is_none_or(|at| at > call.ended)
    };
    if let Some(call) = calls.iter().find(too_late) {
        return Some(format!("it had not ended: {call:?}"));
    }
    for later in calls {
        let mut earlier = calls.iter().filter(|earlier| earlier.ended < later.began);
        if let Some(earlier) = earlier.find(|earlier| contradicts(earlier, later)) {
            return Some(format!("{later:?} contradicts {earlier:?}"));
        }
    }
    // Whoever asks at the same time may be told nothing new by each other, but an end is an end.
    let ends: Vec<&String> = calls.iter().filter_map(|call| end(&call.answered)).collect();
    if ends.windows(2).any(|pair| pair[0] != pair[1]) {
        return Some(format!("it ended in several ways: {ends:?}"));
    }
    let news = calls.iter().filter(|call| call.answered == Answered::Taken { existed: false }).count();
    let repeated = calls.iter().any(|call| call.asked == Asked::Submit && call.answered == Answered::Unknown);
    (news > 1 && !repeated).then(|| "it was new twice".to_owned())
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

#[cfg(test)]
mod tests {
    use super::*;

    const TAKEN: Answered = Answered::Taken { existed: false };
    const CANCELLED: Answered = Answered::Cancelled { had_ended: false };

    fn status(status: &str) -> Answered {
        Answered::Status(status.to_owned())
    }

    /// Calls about one run, each with its begin and its end.
    fn history(calls: &[(u64, u64, Answered)]) -> Option<String> {
        let call = |(began, ended, answered): &(u64, u64, Answered)| {
            let asked = match answered {
                Answered::Taken { .. } | Answered::Unknown => Asked::Submit,
                Answered::Cancelled { .. } => Asked::Cancel,
                Answered::Status(_) | Answered::Nothing => Asked::Get,
            };
            Call { asked, request: 1, began: *began, ended: *ended, answered: answered.clone() }
        };
        contradiction(&calls.iter().map(call).collect::<Vec<_>>(), |_| Some(50))
    }

    #[test]
    fn what_is_told_in_order_is_linearizable() {
        let had_ended = Answered::Cancelled { had_ended: true };
        assert_eq!(history(&[(0, 1, TAKEN), (2, 3, status("running")), (40, 60, had_ended)]), None);
        assert_eq!(history(&[(0, 1, TAKEN), (2, 3, CANCELLED), (4, 5, status("cancelled"))]), None);
        // Who asks at the same time may be told either, and a submission without an answer may count.
        assert_eq!(history(&[(0, 9, status("running")), (1, 8, status("succeeded"))]), None);
        assert_eq!(history(&[(0, 1, Answered::Unknown), (2, 9, TAKEN), (2, 9, TAKEN)]), None);
    }

    #[test]
    fn what_was_known_before_is_missed() {
        let stale = [
            vec![(0, 1, TAKEN), (2, 3, Answered::Nothing)],
            vec![(0, 1, TAKEN), (2, 3, TAKEN)],
            vec![(0, 9, TAKEN), (1, 8, TAKEN)],
            vec![(0, 1, status("succeeded")), (2, 3, status("running"))],
            vec![(0, 1, status("succeeded")), (2, 3, CANCELLED)],
            vec![(0, 1, CANCELLED), (2, 3, status("succeeded"))],
            vec![(0, 9, status("failed")), (1, 8, status("succeeded"))],
            vec![(0, 1, Answered::Cancelled { had_ended: true })],
        ];
        for calls in stale {
            assert!(history(&calls).is_some(), "{calls:?}");
        }
    }
}
