//! In which order the events of a run are told, when the logs of its steps come by other ways.
//!
//! Events stay in the order in which they happened, with one exception: what follows an attempt (the end of its step,
//! or another attempt) waits until the attempt's log has been read. The events behind it wait as well, but not for
//! long: after [`PATIENCE`] those of other steps pass those of a step whose log is still on its way.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::time::Duration;

use cullet_coordinator::{Event, Note};
use tokio::time::Instant;

/// How long a log may hold up the events of other steps: too short to be noticed as a stop, long enough for the last
/// lines of nearly every log.
const PATIENCE: Duration = Duration::from_secs(1);

/// Events that wait, all together. Beyond, no more are read: what waits is bounded, and so is what a slow reader costs.
const WAITING: usize = 4096;

/// An event, and when it happened in milliseconds since the Unix epoch.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Timed {
    pub(super) event: Event,
    pub(super) at_ms: u64,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Order {
    waiting: VecDeque<Timed>,
    /// Attempts whose logs are being read, by step.
    open: HashMap<String, u32>,
    /// Events of steps that wait for nothing but a log of the step, and let those of others pass.
    late: BTreeMap<String, VecDeque<Timed>>,
    /// Since when the first event waits.
    held_since: Option<Instant>,
}

/// What to do now.
#[derive(Debug, PartialEq)]
#[expect(clippy::large_enum_variant, reason = "there is one at a time, and it is taken apart at once")]
pub(super) enum Next {
    /// Tell this.
    Tell(Timed),
    /// Nothing, before something comes or the time is reached.
    Wait(Option<Instant>),
}

impl Order {
    /// Whether more events may come.
    pub(super) fn has_room(&self) -> bool {
        let late: usize = self.late.values().map(VecDeque::len).sum();
        self.waiting.len() + late < WAITING
    }

    /// Whether nothing is left to tell.
    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty() && self.late.is_empty()
    }

    /// The next event came.
    pub(super) fn push(&mut self, timed: Timed) {
        self.waiting.push_back(timed);
    }

    /// The log of an attempt is read from now on.
    pub(super) fn log_begins(&mut self, step: &str, attempt: u32) {
        self.open.insert(step.to_owned(), attempt);
    }

    /// Nothing more comes of the log of an attempt.
    pub(super) fn log_ended(&mut self, step: &str, attempt: u32) {
        if self.open.get(step) == Some(&attempt) {
            self.open.remove(step);
        }
    }

    /// The first event that waits and says that the step's attempt is over.
    pub(super) fn end_of(&self, step: &str) -> Option<&Event> {
        let late = self.late.get(step).into_iter().flatten();
        let mut events = late.chain(&self.waiting).map(|timed| &timed.event);
        events.find(|event| matches!(event, Event::RunFinished(_)) || attempt_over(event) == Some(step))
    }

    /// What to do at `now`.
    pub(super) fn next(&mut self, now: Instant) -> Next {
        if let Some(timed) = self.take_late() {
            return Next::Tell(timed);
        }
        loop {
            let Some(Timed { event, .. }) = self.waiting.front() else { return Next::Wait(None) };
            let step = match step_of(event) {
                Some(step) if self.late.contains_key(step) => step.to_owned(),
                Some(step) if attempt_over(event).is_some() && self.open.contains_key(step) => {
                    let until = *self.held_since.get_or_insert(now) + PATIENCE;
                    if now < until {
                        return Next::Wait(Some(until));
                    }
                    step.to_owned()
                }
                // The last event: after it nobody listens.
                None if matches!(event, Event::RunFinished(_))
                    && !(self.open.is_empty() && self.late.is_empty()) =>
                {
                    return Next::Wait(None);
                }
                _ => {
                    self.held_since = None;
                    return self.waiting.pop_front().map_or(Next::Wait(None), Next::Tell);
                }
            };
            self.held_since = None;
            if let Some(first) = self.waiting.pop_front() {
                self.late.entry(step).or_default().push_back(first);
            }
        }
    }

    /// The next event of a step that waits for no log any more.
    fn take_late(&mut self) -> Option<Timed> {
        let step = self.late.keys().find(|step| !self.open.contains_key(*step))?.clone();
        let queue = self.late.get_mut(&step)?;
        let first = queue.pop_front();
        if queue.is_empty() {
            self.late.remove(&step);
        }
        first
    }
}

/// The step that this is about.
fn step_of(event: &Event) -> Option<&str> {
    match event {
        Event::StepQueued { step } => Some(step),
        Event::StepStarted(start) => Some(&start.step),
        Event::StepLog(log) => Some(&log.step),
        Event::StepFinished(end) => Some(&end.step),
        Event::Note(note) => note.step.as_deref(),
        Event::RunStarted(_) | Event::RunFinished(_) => None,
    }
}

/// The step whose last attempt is over when this happens.
pub(super) fn attempt_over(event: &Event) -> Option<&str> {
    match event {
        Event::StepQueued { step } => Some(step),
        Event::StepStarted(start) => Some(&start.step),
        Event::StepFinished(end) => Some(&end.step),
        Event::Note(note) if note.kind.as_deref() == Some(Note::RETRY) => note.step.as_deref(),
        Event::Note(_) | Event::StepLog(_) | Event::RunStarted(_) | Event::RunFinished(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use cullet_coordinator::{RunEnd, StepEnd, StepStart};

    use super::*;

    fn started(step: &str, attempt: u32) -> Event {
        Event::StepStarted(StepStart { step: step.to_owned(), attempt, worker: "w".to_owned() })
    }

    fn finished(step: &str) -> Event {
        Event::StepFinished(StepEnd { step: step.to_owned(), ..StepEnd::default() })
    }

    fn ended() -> Event {
        Event::RunFinished(RunEnd::default())
    }

    fn order(events: impl IntoIterator<Item = Event>, open: &[&str]) -> Order {
        let mut order = Order::default();
        open.iter().for_each(|step| order.log_begins(step, 1));
        events.into_iter().for_each(|event| order.push(Timed { event, at_ms: 0 }));
        order
    }

    /// Everything that can be told at `now`.
    fn told(order: &mut Order, now: Instant) -> Vec<Event> {
        let mut told = Vec::new();
        while let Next::Tell(timed) = order.next(now) {
            told.push(timed.event);
        }
        told
    }

    #[test]
    fn without_logs_the_order_is_that_in_which_it_happened() {
        let events = [started("a", 1), started("b", 1), finished("b"), finished("a"), ended()];
        assert_eq!(told(&mut order(events.clone(), &[]), Instant::now()), events);
    }

    #[test]
    fn an_end_waits_for_its_log_and_others_wait_a_while() {
        let now = Instant::now();
        let mut order = order([finished("a"), started("b", 1), ended()], &["a"]);
        assert_eq!(order.next(now), Next::Wait(Some(now + PATIENCE)));
        order.log_ended("a", 1);
        assert_eq!(told(&mut order, now), [finished("a"), started("b", 1), ended()]);
    }

    #[test]
    fn a_log_that_takes_long_lets_other_steps_pass_but_not_the_end_of_the_run() {
        let now = Instant::now();
        let events = [finished("a"), started("b", 1), finished("b"), started("a", 2), finished("c"), ended()];
        let mut order = order(events, &["a"]);
        assert_eq!(told(&mut order, now), []);
        assert_eq!(told(&mut order, now + PATIENCE), [started("b", 1), finished("b"), finished("c")]);
        order.log_ended("a", 1);
        assert_eq!(told(&mut order, now), [finished("a"), started("a", 2), ended()]);
    }

    #[test]
    fn another_attempt_waits_for_the_log_of_the_one_before_and_its_end_for_its_own() {
        let now = Instant::now();
        let retry = Event::Note(Note {
            level: "info".to_owned(),
            kind: Some(Note::RETRY.to_owned()),
            step: Some("a".to_owned()),
            text: "again".to_owned(),
        });
        let mut order = order([retry.clone(), started("a", 2), finished("a"), started("b", 1)], &["a"]);
        assert_eq!(told(&mut order, now), []);
        assert_eq!(told(&mut order, now + PATIENCE), [started("b", 1)]);
        order.log_ended("a", 7);
        assert_eq!(told(&mut order, now), []);
        order.log_ended("a", 1);
        assert_eq!(order.end_of("a"), Some(&retry));
        assert_eq!(order.next(now), Next::Tell(Timed { event: retry, at_ms: 0 }));
        assert_eq!(order.next(now), Next::Tell(Timed { event: started("a", 2), at_ms: 0 }));
        order.log_begins("a", 2);
        assert_eq!(told(&mut order, now), []);
        order.log_ended("a", 2);
        assert_eq!(told(&mut order, now), [finished("a")]);
    }

    #[test]
    fn what_waits_is_bounded() {
        let mut order = order((0..WAITING).map(|_| finished("a")), &["a"]);
        assert!(!order.has_room());
        order.log_ended("a", 1);
        assert!(matches!(order.next(Instant::now()), Next::Tell(_)) && order.has_room());
    }
}
