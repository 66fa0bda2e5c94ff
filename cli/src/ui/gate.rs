//! Keeps a display quiet while somebody else has the terminal.

use cullet_coordinator::Event;

use super::observe::{Closing, Moment, Observer};

/// Events that wait at most. Steps go on printing while a person looks into one of them; what a step printed is in its
/// log all the same.
const MOST: usize = 10_000;

/// A display that can be held.
pub struct Gate {
    inner: Box<dyn Observer>,
    held: bool,
    waiting: Vec<(Event, Moment)>,
}

impl Gate {
    /// Of a display.
    pub fn of(inner: Box<dyn Observer>) -> Self {
        Self { inner, held: false, waiting: Vec::new() }
    }

    fn catch_up(&mut self) {
        self.held = false;
        for (event, then) in self.waiting.drain(..) {
            self.inner.event(&event, then);
        }
    }
}

impl Observer for Gate {
    fn event(&mut self, event: &Event, now: Moment) {
        if !self.held {
            self.inner.event(event, now);
        } else if self.waiting.len() < MOST || !matches!(event, Event::StepLog(_)) {
            // What happens to steps is bounded by their number.
            self.waiting.push((event.clone(), now));
        }
    }

    fn tick(&mut self, now: Moment) {
        if !self.held {
            self.inner.tick(now);
        }
    }

    fn hold(&mut self, now: Moment) {
        self.inner.hold(now);
        self.held = true;
    }

    fn release(&mut self, now: Moment) {
        self.catch_up();
        self.inner.release(now);
    }

    fn close(&mut self, closing: &Closing, now: Moment) {
        self.catch_up();
        self.inner.close(closing, now);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use cullet_coordinator::event::Note;

    use super::*;

    struct Seen(Arc<Mutex<Vec<String>>>);

    impl Observer for Seen {
        fn event(&mut self, event: &Event, _: Moment) {
            let Event::Note(note) = event else { return };
            self.0.lock().unwrap().push(note.text.clone());
        }

        fn tick(&mut self, _: Moment) {
            self.0.lock().unwrap().push("tick".to_owned());
        }

        fn close(&mut self, _: &Closing, _: Moment) {
            self.0.lock().unwrap().push("closed".to_owned());
        }
    }

    #[test]
    fn what_happens_meanwhile_is_shown_afterwards() {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let mut gate = Gate::of(Box::new(Seen(Arc::clone(&seen))));
        let now = Moment::default();
        let note = |text: &str| {
            Event::Note(Note { level: "warning".to_owned(), kind: None, step: None, text: text.to_owned() })
        };
        gate.event(&note("before"), now);
        gate.hold(now);
        gate.event(&note("meanwhile"), now);
        gate.tick(now);
        assert_eq!(*seen.lock().unwrap(), ["before"]);
        gate.release(now);
        gate.tick(now);
        assert_eq!(*seen.lock().unwrap(), ["before", "meanwhile", "tick"]);
        gate.hold(now);
        gate.event(&note("last"), now);
        gate.close(&Closing::default(), now);
        assert_eq!(seen.lock().unwrap()[3..], ["last", "closed"]);
    }
}
