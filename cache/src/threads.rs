//! Threads for short work. A pool that wakes a thread for every piece of work spends more on waking than on the
//! work; here one thread takes several that come together, and others help when more waits.

use std::collections::VecDeque;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::timeout;

use crate::StoreError;

/// Pieces of work that wait for each thread before another one helps.
const SHARE: usize = 32;

/// How long work may wait before another thread helps, whatever waits with it.
const HELP: Duration = Duration::from_millis(5);

/// How long a thread waits for more.
const IDLE: Duration = Duration::from_secs(10);

type Job = Box<dyn FnOnce() + Send>;

/// How much threads yield to others that are said to (see nice(2)): dozens of them that wake up at once would keep those waiting who
/// answer questions.
const YIELDING: i32 = 5;

/// What threads are for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Kind {
    /// Threads at most.
    pub(crate) most: usize,
    /// So many work whenever that many have something to do. There are more where more waits than they do at once.
    pub(crate) eager: usize,
    /// Whether others go before them.
    pub(crate) yields: bool,
}

/// Started when there is work, and ended when there was none for a while.
#[derive(Debug)]
pub(crate) struct Threads(Arc<Shared>);

struct Shared {
    queue: Mutex<Queue>,
    more: Condvar,
    kind: Kind,
}

#[derive(Default)]
struct Queue {
    jobs: VecDeque<Job>,
    /// Those that work and those that are about to.
    busy: usize,
    idle: usize,
    /// Those that were idle and have not woken up yet.
    called: usize,
    closed: bool,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").finish_non_exhaustive()
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        self.0.lock().closed = true;
        self.0.more.notify_all();
    }
}

impl Threads {
    pub(crate) fn new(kind: Kind) -> Self {
        Self(Arc::new(Shared { queue: Mutex::default(), more: Condvar::new(), kind }))
    }

    /// Does it on one of the threads. It is done to its end even where nobody waits for it any more.
    ///
    /// # Errors
    /// Those of the work, and where no thread can be had.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let failed = |error| StoreError::io("finish work on", "the cache", error);
        let (done, mut outcome) = oneshot::channel();
        self.begin(move || drop(done.send(work()))).map_err(failed)?;
        loop {
            match timeout(HELP, &mut outcome).await {
                Ok(outcome) => return outcome.unwrap_or_else(|error| Err(failed(io::Error::other(error)))),
                Err(_) => self.help(),
            }
        }
    }

    /// All threads may be held up by what takes long.
    fn help(&self) {
        let queue = self.0.lock();
        if !queue.jobs.is_empty() {
            // There is another one as long as the first one lasts.
            let _ = self.call(queue);
        }
    }

    /// Has it done some time, and waits for nothing.
    ///
    /// # Errors
    /// No thread can be had.
    pub(crate) fn begin(&self, work: impl FnOnce() + Send + 'static) -> io::Result<()> {
        let mut queue = self.0.lock();
        queue.jobs.push_back(Box::new(work));
        let enough = queue.busy >= self.0.kind.eager && queue.busy * SHARE >= queue.jobs.len();
        if enough { Ok(()) } else { self.call(queue) }
    }

    /// Has one more thread work, if there can be one.
    fn call(&self, mut queue: MutexGuard<'_, Queue>) -> io::Result<()> {
        if queue.idle > 0 {
            queue.idle -= 1;
            queue.busy += 1;
            queue.called += 1;
            drop(queue);
            self.0.more.notify_one();
        } else if queue.busy < self.0.kind.most {
            let shared = Arc::clone(&self.0);
            let started = std::thread::Builder::new().name("files".to_owned()).spawn(move || shared.work());
            match started {
                Ok(_) => queue.busy += 1,
                // Those that are there will do it.
                Err(_) if queue.busy > 0 => {}
                Err(error) => {
                    queue.jobs.pop_back();
                    return Err(error);
                }
            }
        }
        Ok(())
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        // Nothing panics while it is held.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn work(&self) {
        if self.kind.yields {
            // Of this thread only, on Linux. It works all the same where that is refused.
            let _ = rustix::process::setpriority_process(None, YIELDING);
        }
        let mut queue = self.lock();
        loop {
            if let Some(job) = queue.jobs.pop_front() {
                drop(queue);
                // Whoever waits for it learns that it will not come.
                drop(catch_unwind(AssertUnwindSafe(job)));
                queue = self.lock();
                continue;
            }
            queue.busy -= 1;
            queue.idle += 1;
            let waited =
                self.more.wait_timeout_while(queue, IDLE, |queue| queue.called == 0 && !queue.closed);
            (queue, _) = waited.unwrap_or_else(PoisonError::into_inner);
            if queue.called == 0 {
                queue.idle -= 1;
                return;
            }
            // Whoever called counted it as busy already.
            queue.called -= 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;

    use super::*;

    const KIND: Kind = Kind { most: 64, eager: 2, yields: false };

    fn counts(threads: &Threads) -> (usize, usize) {
        let queue = threads.0.lock();
        (queue.busy, queue.idle)
    }

    #[tokio::test]
    async fn what_comes_together_shares_threads_and_long_work_holds_up_nothing() {
        let threads = Threads::new(KIND);
        for number in 0..100 {
            assert_eq!(threads.run(move || Ok(number)).await.unwrap(), number);
        }
        assert!(counts(&threads).0 + counts(&threads).1 <= 2, "one after the other needs no more");
        // All of them at once, or none ever ends.
        let barrier = Arc::new(Barrier::new(8));
        let waits = (0..8 * SHARE).map(|number| {
            let barrier = Arc::clone(&barrier);
            threads.run(move || {
                if number % SHARE == 0 {
                    barrier.wait();
                }
                Ok(())
            })
        });
        let all = futures_util::future::join_all(waits).await;
        assert!(all.iter().all(Result::is_ok));
        assert!(counts(&threads).0 + counts(&threads).1 <= 8 * SHARE);
    }

    #[tokio::test]
    async fn work_that_panics_is_an_error_and_the_thread_goes_on() {
        let threads = Threads::new(KIND);
        let panics = || -> Result<(), StoreError> { panic!("as the test wants it") };
        assert!(threads.run(panics).await.is_err());
        assert!(threads.run(|| Ok(())).await.is_ok());
    }

    #[tokio::test]
    async fn what_nobody_waits_for_is_done_all_the_same() {
        let threads = Threads::new(KIND);
        let (done, wait) = oneshot::channel();
        let (begin, begun) = std::sync::mpsc::channel::<()>();
        let work = threads.run(move || {
            let _ = begun.recv();
            let _ = done.send(7);
            Ok(())
        });
        drop(tokio::time::timeout(Duration::from_millis(10), work).await);
        drop(begin);
        drop(threads);
        assert_eq!(wait.await.unwrap(), 7);
    }
}
