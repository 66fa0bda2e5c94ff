//! Hands the events of a run to everybody who watches it, and wakes them while nothing happens.

use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use cullet_coordinator::{Event, EventSink};

use super::duration::now_ms;

/// How often watchers are woken: as often as an eye follows, and rarely enough to cost nothing.
const TICK: Duration = Duration::from_millis(100);

/// When something happens.
#[derive(Debug, Clone, Copy, Default)]
pub struct Moment {
    /// Since the run's start, on a clock that nobody sets.
    pub elapsed: Duration,
    /// Milliseconds since the Unix epoch.
    pub wall_ms: u64,
}

/// What only the command knows, for the summary.
#[derive(Debug, Clone, Default)]
pub struct Closing {
    /// Where outputs were written and how many, if they were.
    pub outputs: Option<(PathBuf, usize)>,
    /// Nobody wrote the run down, so no other command knows it.
    pub unrecorded: bool,
    /// It was run by a cluster, whose store is the only cache that it asks.
    pub cluster: bool,
}

/// Watches a run. Nothing here can fail: whoever cannot write any more falls silent, and the run goes on.
pub trait Observer: Send {
    /// Takes the next event.
    fn event(&mut self, event: &Event, now: Moment);

    /// Is called about every 100 ms while the run lasts.
    fn tick(&mut self, now: Moment);

    /// Somebody else has the terminal from now on: leave it as they should find it.
    fn hold(&mut self, _now: Moment) {}

    /// It is free again.
    fn release(&mut self, _now: Moment) {}

    /// Is called once, after the last event.
    fn close(&mut self, closing: &Closing, now: Moment);
}

/// All who watch one run.
pub struct Observers {
    shared: Arc<Shared>,
    ticker: Option<JoinHandle<()>>,
}

struct Shared {
    state: Mutex<State>,
    stopped: Condvar,
    start: Instant,
    /// The same in milliseconds since the Unix epoch.
    started_ms: u64,
}

struct State {
    list: Vec<Box<dyn Observer>>,
    stop: bool,
}

impl Observers {
    /// Starts the clock of the run. Where the system gives no thread, nobody is woken between events.
    pub fn start(list: Vec<Box<dyn Observer>>) -> Self {
        Self::start_at(list, now_ms())
    }

    /// The same for a run that started earlier, in milliseconds since the Unix epoch.
    pub fn start_at(list: Vec<Box<dyn Observer>>, started_ms: u64) -> Self {
        let state = Mutex::new(State { list, stop: false });
        let ago = Duration::from_millis(now_ms().saturating_sub(started_ms));
        let start = Instant::now().checked_sub(ago).unwrap_or_else(Instant::now);
        let shared = Arc::new(Shared { state, stopped: Condvar::new(), start, started_ms });
        let ticking = Arc::clone(&shared);
        let ticker = std::thread::Builder::new().name("ticker".to_owned()).spawn(move || ticking.tick()).ok();
        Self { shared, ticker }
    }

    /// Tells everybody what happened elsewhere, at a time in milliseconds since the Unix epoch. A clock that is ahead of
    /// ours is not believed.
    pub fn event_at(&mut self, event: &Event, wall_ms: u64) {
        let now = self.shared.now();
        let elapsed = Duration::from_millis(wall_ms.saturating_sub(self.shared.started_ms));
        let then = match wall_ms < now.wall_ms {
            true => Moment { elapsed: elapsed.min(now.elapsed), wall_ms },
            false => now,
        };
        self.tell(event, then);
    }

    /// One more watches from now on.
    pub fn add(&self, observer: Box<dyn Observer>) {
        self.shared.lock().list.push(observer);
    }

    fn tell(&self, event: &Event, at: Moment) {
        for observer in &mut self.shared.lock().list {
            observer.event(event, at);
        }
    }

    /// Tells everybody that somebody else has the terminal, or that it is free again.
    pub fn hold(&self, held: bool) {
        let now = self.shared.now();
        for observer in &mut self.shared.lock().list {
            if held { observer.hold(now) } else { observer.release(now) }
        }
    }

    /// Tells everybody that this was all. Without it, the watchers are dropped as they are.
    pub fn close(mut self, closing: &Closing) {
        self.stop();
        let now = self.shared.now();
        for observer in &mut self.shared.lock().list {
            observer.close(closing, now);
        }
    }

    fn stop(&mut self) {
        self.shared.lock().stop = true;
        self.shared.stopped.notify_all();
        if let Some(ticker) = self.ticker.take() {
            // It can only have panicked, which its message has said already.
            let _ = ticker.join();
        }
    }
}

impl EventSink for Observers {
    fn event(&mut self, event: &Event) {
        self.tell(event, self.shared.now());
    }
}

impl Drop for Observers {
    fn drop(&mut self) {
        self.stop();
    }
}

impl std::fmt::Debug for Observers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Observers").finish_non_exhaustive()
    }
}

impl Shared {
    fn now(&self) -> Moment {
        Moment { elapsed: self.start.elapsed(), wall_ms: now_ms() }
    }

    /// A watcher that panicked is a defect of display; the run is worth more.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tick(&self) {
        let mut state = self.lock();
        while !state.stop {
            let waited = self.stopped.wait_timeout(state, TICK);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
            if state.stop {
                return;
            }
            let now = self.now();
            for observer in &mut state.list {
                observer.tick(now);
            }
        }
    }
}

#[cfg(test)]
mod tests;
