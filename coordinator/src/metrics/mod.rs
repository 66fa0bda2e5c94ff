//! What a coordinator counts, all of it in one place; docs/observability.md lists it. What is in the state is read when
//! somebody asks (`view`), what passes by is counted as it does.

mod calls;
mod single;
mod view;

use std::sync::{Arc, Mutex, PoisonError};

use cullet_core::{AttemptOutcome, Resolution};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::prometheus_text;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;

pub(crate) use calls::{Route, count_http, count_rpc};
pub use single::{counter, gauge};
use view::StateView;

use crate::cluster::Seat;
use crate::raft::NodeId;
use crate::resolve::LookupNote;

/// The form in which [`Metrics::text`] is.
pub use prometheus_text::CONTENT_TYPE;

type Labels<const N: usize> = [(&'static str, String); N];
type Histograms<const N: usize> = Family<Labels<N>, Histogram, fn() -> Histogram>;

/// Everything that one coordinator counts.
#[derive(Debug)]
pub struct Metrics {
    registry: Mutex<Registry>,
    /// Commands on their way into the log.
    pub(crate) proposed: Counter,
    /// From the proposal of an entry to its effects.
    pub(crate) proposals: Histogram,
    lookups: Family<[(&'static str, &'static str); 1], Counter>,
    /// Starts that the core decided while this coordinator led.
    pub(crate) attempts_started: Counter,
    attempts_finished: Family<[(&'static str, &'static str); 1], Counter>,
    audits: Family<[(&'static str, &'static str); 1], Counter>,
    /// Reports of attempts that were superseded.
    pub(crate) fenced_reports: Counter,
    /// Workers that were silent for too long.
    pub(crate) leases_lost: Counter,
    leader_changes: Counter,
    last_leader: Mutex<Option<NodeId>>,
    watchers: Gauge,
    log_readers: Gauge,
    rpcs: Family<Labels<2>, Counter>,
    rpc_time: Histograms<1>,
    requests: Family<Labels<3>, Counter>,
    request_time: Histograms<2>,
}

/// From half a millisecond, less than a sync takes, to eight seconds, when callers have given up.
fn commit_times() -> Histogram {
    Histogram::new(exponential_buckets(0.0005, 2.0, 15))
}

/// From a millisecond to a minute and more: streams last as long as what they follow.
fn call_times() -> Histogram {
    Histogram::new(exponential_buckets(0.001, 4.0, 9))
}

impl Metrics {
    /// Of the coordinator that has this seat.
    pub(crate) fn new(seat: Arc<Seat>) -> Self {
        let this = Self {
            registry: Mutex::default(),
            proposed: Counter::default(),
            proposals: commit_times(),
            lookups: Family::default(),
            attempts_started: Counter::default(),
            attempts_finished: Family::default(),
            audits: Family::default(),
            fenced_reports: Counter::default(),
            leases_lost: Counter::default(),
            leader_changes: Counter::default(),
            last_leader: Mutex::default(),
            watchers: Gauge::default(),
            log_readers: Gauge::default(),
            rpcs: Family::default(),
            rpc_time: Family::new_with_constructor(call_times),
            requests: Family::default(),
            request_time: Family::new_with_constructor(call_times),
        };
        this.register();
        // All of them are told from the first time on, so that somebody can wait for one to rise.
        for audited in [Audited::Same, Audited::Differs, Audited::Nothing] {
            this.audits_of(audited).inc_by(0);
        }
        this.add(Box::new(StateView::new(seat)));
        this
    }

    fn register(&self) {
        let mut all = self.registry.lock().unwrap_or_else(PoisonError::into_inner);
        all.register(
            "cullet_commands_proposed",
            "Commands that this coordinator proposed",
            self.proposed.clone(),
        );
        let help = "Time from proposing an entry to having it applied";
        all.register("cullet_proposal_duration_seconds", help, self.proposals.clone());
        let help = "Lookups in the action cache, by what came of them";
        all.register("cullet_action_cache_lookups", help, self.lookups.clone());
        all.register(
            "cullet_attempts_started",
            "Attempts that were given to workers",
            self.attempts_started.clone(),
        );
        let help = "Attempts that ended, by how they went";
        all.register("cullet_attempts_finished", help, self.attempts_finished.clone());
        let help =
            "Hits that were executed again, by what came of that; those that differed are in quarantine";
        all.register("cullet_audit_results", help, self.audits.clone());
        let help = "Reports of superseded attempts, which were refused";
        all.register("cullet_fenced_reports", help, self.fenced_reports.clone());
        let help = "Workers that were silent for longer than a lease";
        all.register("cullet_worker_leases_lost", help, self.leases_lost.clone());
        let help = "How often another coordinator was seen to lead";
        all.register("cullet_raft_leader_changes", help, self.leader_changes.clone());
        all.register("cullet_watchers", "Clients that follow a run here", self.watchers.clone());
        all.register("cullet_log_readers", "Clients that read a log here", self.log_readers.clone());
        all.register("cullet_grpc_requests", "Calls that ended, by method and code", self.rpcs.clone());
        let help = "Duration of calls; of streams until their end";
        all.register("cullet_grpc_request_duration_seconds", help, self.rpc_time.clone());
        let help = "HTTP requests, by path, method and status";
        all.register("cullet_http_requests", help, self.requests.clone());
        let help = "Time until the answer to an HTTP request begins";
        all.register("cullet_http_request_duration_seconds", help, self.request_time.clone());
    }

    /// Has something else told along with the rest.
    pub fn add(&self, collector: Box<dyn Collector>) {
        self.registry.lock().unwrap_or_else(PoisonError::into_inner).register_collector(collector);
    }

    /// Everything, as Prometheus reads it.
    pub fn text(&self) -> String {
        let mut text = String::new();
        let registry = self.registry.lock().unwrap_or_else(PoisonError::into_inner);
        // Writing into a string does not fail.
        let _ = prometheus_text::encode(&mut text, &registry);
        text
    }

    /// What a lookup came to. What was never asked is no lookup.
    pub(crate) fn looked_up(&self, resolution: &Resolution, note: Option<&LookupNote>) {
        let result = match (resolution, note) {
            (Resolution::Hit { .. }, _) => "hit",
            (_, Some(LookupNote::Trouble(_))) => "trouble",
            (_, Some(LookupNote::Incomplete { .. })) => "incomplete",
            (Resolution::Miss { .. } | Resolution::Trouble { .. }, None) => "miss",
            _ => return,
        };
        self.lookups.get_or_create(&[("result", result)]).inc();
    }

    /// A hit was executed again.
    pub(crate) fn audited(&self, audited: Audited) {
        self.audits_of(audited).inc();
    }

    fn audits_of(&self, audited: Audited) -> Counter {
        let result = match audited {
            Audited::Same => "same",
            Audited::Differs => "differs",
            Audited::Nothing => "nothing",
        };
        self.audits.get_or_create(&[("result", result)]).clone()
    }

    /// What counts attempts that went like this.
    pub(crate) fn finished(&self, outcome: &AttemptOutcome) -> Counter {
        let outcome = match outcome {
            AttemptOutcome::Succeeded { .. } => "succeeded",
            AttemptOutcome::Failed { .. } => "failed",
            AttemptOutcome::TimedOut => "timed_out",
            AttemptOutcome::Cancelled => "cancelled",
            AttemptOutcome::Infra { .. } | AttemptOutcome::Impossible { .. } => "infra_failed",
            AttemptOutcome::InputLost { .. } => "input_lost",
        };
        self.attempts_finished.get_or_create(&[("outcome", outcome)]).clone()
    }

    /// Who leads, as it was seen.
    pub(crate) fn led_by(&self, leader: Option<NodeId>) {
        let mut last = self.last_leader.lock().unwrap_or_else(PoisonError::into_inner);
        if leader.is_some() && *last != leader {
            *last = leader;
            self.leader_changes.inc();
        }
    }

    /// Somebody follows a run while this is held.
    pub(crate) fn watcher(&self) -> Held {
        Held::of(&self.watchers)
    }

    /// Somebody reads a log while this is held.
    pub(crate) fn log_reader(&self) -> Held {
        Held::of(&self.log_readers)
    }
}

/// What came of executing a hit again.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Audited {
    /// The same.
    Same,
    /// Something else.
    Differs,
    /// No result.
    Nothing,
}

/// Counts for as long as it is held.
#[derive(Debug)]
pub(crate) struct Held(Gauge);

impl Held {
    fn of(gauge: &Gauge) -> Self {
        gauge.inc();
        Self(gauge.clone())
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.0.dec();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn metrics() -> Metrics {
        Metrics::new(Arc::new(Seat::new(1, "http://x:1".to_owned())))
    }

    #[test]
    fn what_is_counted_is_told() {
        let metrics = metrics();
        metrics.looked_up(&Resolution::miss(cullet_digest::DigestFunction::Blake3.digest(b"")), None);
        metrics.finished(&AttemptOutcome::TimedOut).inc();
        let held = metrics.watcher();
        let text = metrics.text();
        for line in [
            "cullet_action_cache_lookups_total{result=\"miss\"} 1",
            "cullet_attempts_finished_total{outcome=\"timed_out\"} 1",
            "cullet_watchers 1",
        ] {
            assert!(text.lines().any(|told| told == line), "{line}: {text}");
        }
        drop(held);
        assert!(metrics.text().contains("cullet_watchers 0\n"));
    }

    #[test]
    fn a_leader_that_is_seen_again_is_no_change() {
        let metrics = metrics();
        for leader in [None, Some(1), Some(1), None, Some(1), Some(2)] {
            metrics.led_by(leader);
        }
        assert_eq!(metrics.leader_changes.get(), 2);
    }
}
