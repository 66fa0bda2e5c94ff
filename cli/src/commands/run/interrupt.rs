//! Ctrl-C: once cancels, twice kills. A terminal that goes away cancels as well.

use cullet_coordinator::event::Note;
use cullet_coordinator::{Event, EventSink as _};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

use super::watchers::Watchers;
use crate::error::ExitStatus;

/// What is said of a terminal that goes away from a run.
const CANCELLING: &str =
    "the terminal went away (SIGHUP): cancelling; start it with `nohup` to go on without one";

/// Signals that came since somebody wanted to know of them, also while nobody listened yet.
pub(crate) struct Caught {
    interrupt: Signal,
    terminate: Signal,
    /// None if whoever started this wants it ignored, as `nohup` does.
    hangup: Option<Signal>,
}

impl Caught {
    /// Those that come from now on; none where they cannot be had, and then they end the process. Within a runtime.
    pub(crate) fn from_now_on() -> Option<Self> {
        let (interrupt, terminate) =
            (signal(SignalKind::interrupt()).ok()?, signal(SignalKind::terminate()).ok()?);
        let ignored = ignores_hangup(&std::fs::read_to_string("/proc/self/status").unwrap_or_default());
        let hangup = if ignored { None } else { signal(SignalKind::hangup()).ok() };
        Some(Self { interrupt, terminate, hangup })
    }

    /// Listens until the runtime ends. The first SIGINT or SIGTERM cancels the run, the second ends the process at once: the
    /// launcher of the steps sees that and kills whatever is left. SIGHUP cancels, however often it comes (closing a
    /// terminal may send it twice).
    pub(super) fn cancel(self, cancel: CancellationToken, watchers: Watchers) {
        self.cancel_saying(CANCELLING, cancel, watchers);
    }

    /// The same for whoever does something else when `cancel` is cancelled, and says so when a terminal goes away.
    pub(crate) fn cancel_saying(self, hung_up: &'static str, cancel: CancellationToken, watchers: Watchers) {
        tokio::spawn(until_killed(self.interrupt, self.terminate, cancel.clone()));
        if let Some(hangup) = self.hangup {
            tokio::spawn(until_hung_up(hangup, hung_up, cancel, watchers));
        }
    }
}

async fn until_killed(mut interrupt: Signal, mut terminate: Signal, cancel: CancellationToken) {
    loop {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        if cancel.is_cancelled() {
            crate::ui::abandon();
            std::process::exit(i32::from(ExitStatus::Interrupted.code()));
        }
        cancel.cancel();
    }
}

async fn until_hung_up(
    mut hangup: Signal,
    text: &'static str,
    cancel: CancellationToken,
    mut watchers: Watchers,
) {
    let mut said = false;
    while hangup.recv().await.is_some() {
        if !said && !cancel.is_cancelled() {
            let (level, text) = ("warning".to_owned(), text.to_owned());
            watchers.event(&Event::Note(Note { level, kind: None, step: None, text }));
        }
        said = true;
        cancel.cancel();
    }
}

/// Whether SIGHUP, the lowest bit, is in the set of ignored signals; see proc(5).
fn ignores_hangup(status: &str) -> bool {
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    ignored.and_then(|set| u64::from_str_radix(set.trim(), 16).ok()).is_some_and(|set| set & 1 != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ignored_hangup_is_seen() {
        assert!(ignores_hangup("SigBlk:\t0000000000000000\nSigIgn:\t0000000000001001\n"));
        assert!(!ignores_hangup("SigIgn:\t0000000000001000\nSigCgt:\t0000000000000001\n"));
        assert!(!ignores_hangup(""));
    }
}
