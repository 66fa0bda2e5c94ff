//! Directories that wait for a thread.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// A stack of jobs that is finished when it is empty and nobody is working on one, since work makes more work.
/// Its length is bounded by the number of directories, see [`crate::ScanLimits::max_entries`]; last in, first
/// out keeps it far below that.
#[derive(Debug)]
pub(crate) struct Queue<T> {
    state: Mutex<State<T>>,
    changed: Condvar,
}

#[derive(Debug)]
struct State<T> {
    jobs: Vec<T>,
    working: usize,
    stopped: bool,
}

impl<T> Queue<T> {
    pub(crate) fn new(first: T) -> Self {
        let state = State { jobs: vec![first], working: 0, stopped: false };
        Self { state: Mutex::new(state), changed: Condvar::new() }
    }

    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for a job; none when everything is done. Every job taken is to be followed by [`Self::done`].
    pub(crate) fn take(&self) -> Option<T> {
        let mut state = self.lock();
        loop {
            if state.stopped {
                return None;
            }
            if let Some(job) = state.jobs.pop() {
                state.working += 1;
                return Some(job);
            }
            if state.working == 0 {
                return None;
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Says that a job is done, and what it leads to.
    pub(crate) fn done(&self, more: impl IntoIterator<Item = T>) {
        let mut state = self.lock();
        state.jobs.extend(more);
        state.working -= 1;
        if !state.jobs.is_empty() || state.working == 0 {
            self.changed.notify_all();
        }
    }

    /// Makes every [`Self::take`] return none.
    pub(crate) fn stop(&self) {
        self.lock().stopped = true;
        self.changed.notify_all();
    }
}

/// Stops a queue if its thread panics: the others would wait for ever for what that thread was doing.
#[derive(Debug)]
pub(crate) struct StopOnPanic<'a, T>(pub(crate) &'a Queue<T>);

impl<T> Drop for StopOnPanic<'_, T> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.stop();
        }
    }
}

/// Runs `work` on `threads` threads, of which this is one, and returns what each of them made.
pub(crate) fn on_threads<R: Send>(threads: usize, work: impl Fn() -> R + Sync) -> Vec<R> {
    std::thread::scope(|scope| {
        let others: Vec<_> = (1..threads).map(|_| scope.spawn(&work)).collect();
        let mut results = vec![work()];
        for other in others {
            match other.join() {
                Ok(result) => results.push(result),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        results
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_job_is_done_once_by_any_number_of_threads() {
        for threads in [1, 2, 7] {
            let queue = Queue::new(1_u32);
            let done = on_threads(threads, || {
                let mut mine = Vec::new();
                while let Some(job) = queue.take() {
                    mine.push(job);
                    queue.done([job * 2, job * 2 + 1].into_iter().filter(|&next| next < 1000));
                }
                mine
            });
            let mut done: Vec<_> = done.into_iter().flatten().collect();
            done.sort_unstable();
            assert_eq!(done, (1..1000).collect::<Vec<_>>());
        }
    }

    #[test]
    fn a_panic_is_passed_on_and_leaves_nobody_waiting() {
        let queue = Queue::new(0);
        let result = std::panic::catch_unwind(|| {
            on_threads(3, || {
                let _guard = StopOnPanic(&queue);
                if queue.take().is_some() {
                    panic!("a job failed");
                }
            })
        });
        assert!(result.is_err());
    }

    #[test]
    fn a_stopped_queue_gives_nothing() {
        let queue = Queue::new(1);
        queue.stop();
        assert_eq!(queue.take(), None);
    }
}
