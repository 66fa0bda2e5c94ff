//! Looking again, on several threads: some thousand looks of a microsecond or two on every run.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use super::fingerprint::Watched;
use super::looks::Facts;

/// More threads than this cost more to start than they save.
const MAX_THREADS: usize = 4;

/// Something to look at again.
#[derive(Debug, Clone, Copy)]
pub(super) enum Check<'a> {
    Facts(&'a Facts),
    Tree(&'a Watched),
}

impl Check<'_> {
    fn len(self) -> usize {
        match self {
            Self::Facts(facts) => facts.len(),
            Self::Tree(watched) => watched.len(),
        }
    }

    fn holds(self, now_s: u64) -> bool {
        match self {
            Self::Facts(facts) => facts.hold(),
            Self::Tree(watched) => watched.holds(now_s),
        }
    }
}

/// Which of them are as they were, in their order.
pub(super) fn all(checks: &[Check<'_>], now_s: u64) -> Vec<bool> {
    let mut order: Vec<usize> = (0..checks.len()).collect();
    // The largest first, so that no thread is left with it at the end.
    order.sort_by_key(|index| std::cmp::Reverse(checks[*index].len()));
    let found: Vec<AtomicBool> = checks.iter().map(|_| AtomicBool::new(false)).collect();
    let next = AtomicUsize::new(0);
    let work = || {
        while let Some(index) = order.get(next.fetch_add(1, Ordering::Relaxed)) {
            found[*index].store(checks[*index].holds(now_s), Ordering::Relaxed);
        }
    };
    thread::scope(|scope| {
        for _ in 1..processors().min(MAX_THREADS).min(checks.len()) {
            // Without a thread, this one does the work.
            let _ = thread::Builder::new().spawn_scoped(scope, work);
        }
        work();
    });
    found.into_iter().map(AtomicBool::into_inner).collect()
}

/// The processors that this process may use. What the standard library says takes ten system calls, for quotas that
/// do not matter to a millisecond of work.
fn processors() -> usize {
    rustix::thread::sched_getaffinity(None).map_or(1, |set| set.count() as usize)
}
