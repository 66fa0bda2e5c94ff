//! Garbage collection of the store, by the coordinator that leads.
//!
//! Whether it still leads when it collects does not matter: the store has a lock of its own, which also keeps other clusters
//! away that use the same store.

use std::fmt::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use cullet_cache::StoreError;
use cullet_cache::collect::{self, Policy, Report, UsedResults};
use cullet_cache::objects::Collectable;
use cullet_coordinator::cluster::Seat;
use cullet_coordinator::metrics::{counter, gauge};
use cullet_coordinator::resolve::describe;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;
use tokio::time::Instant;

use super::hex;
use crate::ui::{duration, size};

/// How often it is looked whether there is something to do.
const TICK: Duration = Duration::from_secs(60);

/// How often the results are written down that the cluster uses.
const WRITES_DOWN: Duration = Duration::from_secs(300);

/// Until the next attempt after one that failed: what is wrong is most often a permission or somebody else's lock.
const AGAIN: Duration = Duration::from_secs(1800);

/// The shortest time between two looks through a whole store.
const LEAST: Duration = Duration::from_secs(3600);

/// Who collects, and for whom.
#[derive(Debug)]
pub(super) struct StoreCollector {
    pub(super) store: Arc<dyn Collectable>,
    /// None where nothing is to be collected here; what the cluster uses is written down all the same, for whoever does.
    pub(super) policy: Option<Policy>,
    pub(super) used: Arc<UsedResults>,
    pub(super) seat: Arc<Seat>,
    pub(super) counts: Arc<Counts>,
}

impl StoreCollector {
    /// Collects from time to time. Does not end.
    pub(super) async fn run(self) {
        let mut due = Instant::now() + TICK;
        let mut writes_down = Instant::now() + WRITES_DOWN;
        let mut told = String::new();
        loop {
            tokio::time::sleep(TICK).await;
            let now = Instant::now();
            if now >= writes_down {
                self.write_down().await;
                writes_down = now + WRITES_DOWN;
            }
            let leads = self.seat.node().is_some_and(|node| node.leads());
            let Some(policy) = self.policy.as_ref().filter(|_| leads && now >= due) else { continue };
            // What it uses is needed from now on.
            self.write_down().await;
            let outcome = collect::collect(Arc::clone(&self.store), policy).await;
            self.counts.add(&outcome);
            tell(&outcome, self.store.place(), &mut told);
            due = now + next(&outcome, policy);
        }
    }

    async fn write_down(&self) {
        let Some(cluster) = self.seat.cluster() else { return };
        let who = format!("cluster {cluster}, coordinator {}", hex(self.seat.id()));
        if let Err(error) = self.used.write_down(&*self.store, &who).await {
            tracing::warn!(
                error = describe(&error),
                "which results are in use is not written down in the store yet"
            );
        }
    }
}

/// How long until the next round.
fn next(outcome: &Result<Report, StoreError>, policy: &Policy) -> Duration {
    match outcome {
        Err(_) => AGAIN,
        Ok(Report { waits: Some(waits), .. }) => *waits + TICK,
        Ok(Report { announced: 0, .. }) => (policy.grace / 4).max(LEAST),
        Ok(_) => policy.grace + TICK,
    }
}

/// One line for each round that did something, and for each new trouble.
fn tell(outcome: &Result<Report, StoreError>, store: &str, told: &mut String) {
    match outcome {
        Ok(report) => {
            told.clear();
            if report.removed + report.announced > 0 {
                let (removed, results, announced) = (report.removed, report.results, report.announced);
                let freed = size::human(report.removed_bytes);
                tracing::info!(store, removed, results, freed, announced, "collected garbage");
            }
            if report.damaged > 0 {
                tracing::warn!(
                    store,
                    records = report.damaged,
                    "records are damaged: nothing is kept for them"
                );
            }
        }
        Err(error) => {
            let error = describe(error);
            if *told != error {
                let again = duration::human(AGAIN);
                tracing::warn!(store, error, again, "the garbage of the store was not collected");
                *told = error;
            }
        }
    }
}

/// What was done since this process started.
#[derive(Debug, Default)]
pub(super) struct Counts {
    rounds: AtomicU64,
    failed: AtomicU64,
    removed: AtomicU64,
    removed_bytes: AtomicU64,
    announced: AtomicU64,
}

impl Counts {
    fn add(&self, outcome: &Result<Report, StoreError>) {
        let Ok(report) = outcome else {
            self.failed.fetch_add(1, Ordering::Relaxed);
            return;
        };
        self.rounds.fetch_add(1, Ordering::Relaxed);
        self.removed.fetch_add(report.removed as u64, Ordering::Relaxed);
        self.removed_bytes.fetch_add(report.removed_bytes, Ordering::Relaxed);
        if report.waits.is_none() {
            self.announced.store(report.announced as u64, Ordering::Relaxed);
        }
    }
}

/// What is told of [`Counts`].
#[derive(Debug)]
pub(super) struct CollectMetrics(pub(super) Arc<Counts>);

impl Collector for CollectMetrics {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), Error> {
        let now = |count: &AtomicU64| count.load(Ordering::Relaxed);
        let Counts { rounds, failed, removed, removed_bytes, announced } = &*self.0;
        let help = "Times that this coordinator went through the store to collect garbage";
        counter(&mut encoder, "cullet_store_gc_rounds", help, now(rounds))?;
        let help = "Times that it could not, or not to the end";
        counter(&mut encoder, "cullet_store_gc_failures", help, now(failed))?;
        let help = "Objects of the store that were removed";
        counter(&mut encoder, "cullet_store_gc_removed_objects", help, now(removed))?;
        let help = "Bytes of the store that were removed";
        counter(&mut encoder, "cullet_store_gc_removed_bytes", help, now(removed_bytes))?;
        let help = "Objects that are announced to be removed";
        gauge(&mut encoder, "cullet_store_gc_announced_objects", help, now(announced))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_store_is_looked_through_when_there_may_be_something_to_do() {
        let policy = Policy::default();
        let hour = Duration::from_secs(3600);
        let announced = Report { announced: 1, ..Report::default() };
        let cases = [
            (Ok(Report::default()), 6 * hour),
            (Ok(announced), 24 * hour + TICK),
            (Ok(Report { waits: Some(hour), ..announced }), hour + TICK),
            (Err(StoreError::Deadline { place: String::new(), after_ms: 1 }), AGAIN),
        ];
        for (outcome, expected) in cases {
            assert_eq!(next(&outcome, &policy), expected, "{outcome:?}");
        }
        let short = Policy { grace: hour, ..policy };
        assert_eq!(next(&Ok(Report::default()), &short), LEAST);
    }
}
