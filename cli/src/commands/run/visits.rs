//! People who look into steps of a run of this machine: `cullet shell`, and `cullet run --shell-on-failure`.

use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use cullet_worker::{TerminalHost, Visit};

use super::watchers::Watchers;
use crate::ui::model::Tail;
use crate::ui::{clean, seat};

/// Who looks into which step, with what.
#[derive(Debug, Clone)]
pub(super) struct Visits {
    /// This step, in place of its program; none for each that fails.
    pub(super) step: Option<String>,
    /// What gets the terminal.
    pub(super) arguments: Vec<String>,
    /// The terminal's kind, as `TERM` says it.
    pub(super) term: Option<String>,
    pub(super) seat: Arc<Seat>,
}

/// The terminal, which one step has at a time.
#[derive(Debug, Default)]
pub(super) struct Seat {
    watchers: Watchers,
    taken: AtomicBool,
    visitor: Mutex<Option<JoinHandle<()>>>,
}

/// A shell that a person likes better than `sh`, where there is one. How it ends says nothing about the step.
const SHELL: &str = "if command -v bash >/dev/null 2>&1; then bash; else sh; fi; exit 0";

/// A shell.
pub(super) fn shell() -> Vec<String> {
    ["/bin/sh", "-c", SHELL].map(str::to_owned).into()
}

impl Visits {
    /// The visit to a step of this name, if somebody wants to look into it, and who has to hear what the step prints.
    pub(super) fn to(&self, step: &str) -> Option<(Visit, Arc<Guest>)> {
        if self.step.as_deref().is_some_and(|wanted| wanted != step) {
            return None;
        }
        let after_failure = self.step.is_none();
        let guest = Arc::new(Guest {
            seat: Arc::clone(&self.seat),
            step: step.to_owned(),
            after_failure,
            printed: Mutex::default(),
        });
        let env = self.term.iter().map(|term| ("TERM".to_owned(), term.clone())).collect();
        let host = Arc::clone(&guest) as Arc<dyn TerminalHost>;
        Some((Visit { arguments: self.arguments.clone(), env, after_failure, host }, guest))
    }
}

impl Seat {
    /// Where nothing else is shown meanwhile.
    pub(super) fn of(watchers: Watchers) -> Arc<Self> {
        Arc::new(Self { watchers, ..Self::default() })
    }

    /// Waits until the terminal is free again. To be called when all steps are over, and so every visit.
    pub(super) fn clear(&self) {
        let visitor = self.visitor.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(visitor) = visitor {
            // It can only have panicked, which its message has said already.
            let _ = visitor.join();
        }
    }
}

/// Lines of a failed step's log that are shown above the shell.
const LINES: usize = 20;

/// A step that would like to have the terminal.
#[derive(Debug)]
pub(super) struct Guest {
    seat: Arc<Seat>,
    step: String,
    after_failure: bool,
    /// Nobody has seen yet what a step that fails printed.
    printed: Mutex<Tail>,
}

impl Guest {
    /// Takes a line that the step printed.
    pub(super) fn hear(&self, line: &str) {
        self.printed.lock().unwrap_or_else(PoisonError::into_inner).push(line);
    }

    fn greeting(&self) -> String {
        let step = clean::line(&self.step);
        if !self.after_failure {
            return format!("cullet: this is a shell in the root of '{step}'; leave it to go on\n");
        }
        let mut text = String::new();
        for line in self.printed.lock().unwrap_or_else(PoisonError::into_inner).last(LINES) {
            text.push_str(&format!("    {line}\n"));
        }
        format!("{text}cullet: '{step}' failed. This is a shell in its root; leave it to go on\n")
    }
}

impl TerminalHost for Guest {
    /// While another step has the terminal, this one goes on without a visit: to wait would keep it from ending.
    fn attach(&self, master: OwnedFd) {
        if self.seat.taken.swap(true, Ordering::SeqCst) {
            return;
        }
        let (seat, greeting) = (Arc::clone(&self.seat), self.greeting());
        let visit = move || {
            seat.watchers.hold(true);
            crate::diagnostics::report(&greeting);
            seat::lend(master);
            seat.watchers.hold(false);
            seat.taken.store(false, Ordering::SeqCst);
        };
        let visitor = std::thread::Builder::new().name("visit".to_owned()).spawn(visit);
        match visitor {
            Ok(visitor) => *self.seat.visitor.lock().unwrap_or_else(PoisonError::into_inner) = Some(visitor),
            // Without a thread the terminal was dropped, which ends the visit.
            Err(_) => self.seat.taken.store(false, Ordering::SeqCst),
        }
    }
}
