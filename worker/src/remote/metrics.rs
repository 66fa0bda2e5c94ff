//! What a worker counts; docs/observability.md lists it.

use std::fmt::Error;
use std::sync::{Arc, Mutex, PoisonError};

use cullet_proto::v1::attempt_finished::Outcome;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, prometheus_text};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::{ConstGauge, Gauge};

use super::registry::Registry;

/// Everything that one worker counts.
#[derive(Debug)]
pub(super) struct Metrics {
    all: Mutex<prometheus_client::registry::Registry>,
    /// Attempts that began to run here.
    pub(super) started: Counter,
    finished: Family<[(&'static str, &'static str); 1], Counter>,
    /// Streams on which a coordinator took this worker in.
    pub(super) sessions: Counter,
    /// Whether one of them is open.
    pub(super) attended: Gauge,
}

impl Metrics {
    pub(super) fn new(attempts: Arc<Registry>) -> Self {
        let this = Self {
            all: Mutex::default(),
            started: Counter::default(),
            finished: Family::default(),
            sessions: Counter::default(),
            attended: Gauge::default(),
        };
        let mut all = this.all.lock().unwrap_or_else(PoisonError::into_inner);
        all.register(
            "cullet_worker_attempts_started",
            "Attempts that began to run here",
            this.started.clone(),
        );
        let help = "Attempts that ended here, by how they went";
        all.register("cullet_worker_attempts_finished", help, this.finished.clone());
        let help = "How often a coordinator took this worker in";
        all.register("cullet_worker_sessions", help, this.sessions.clone());
        let help = "Whether a coordinator has taken this worker in";
        all.register("cullet_worker_attended", help, this.attended.clone());
        all.register_collector(Box::new(View(attempts)));
        drop(all);
        this
    }

    /// Has something else told along with the rest.
    pub(super) fn add(&self, collector: Box<dyn Collector>) {
        self.all.lock().unwrap_or_else(PoisonError::into_inner).register_collector(collector);
    }

    /// Everything, as Prometheus reads it.
    pub(super) fn text(&self) -> String {
        let mut text = String::new();
        let all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        // Writing into a string does not fail.
        let _ = prometheus_text::encode(&mut text, &all);
        text
    }

    /// How an attempt went.
    pub(super) fn finished(&self, outcome: Option<&Outcome>) {
        let outcome = match outcome {
            Some(Outcome::Succeeded(_)) => "succeeded",
            Some(Outcome::Failed(_)) => "failed",
            Some(Outcome::TimedOut(_)) => "timed_out",
            Some(Outcome::Cancelled(_)) => "cancelled",
            Some(Outcome::InputLost(_)) => "input_lost",
            Some(Outcome::Infra(_)) | None => "infra_failed",
        };
        self.finished.get_or_create(&[("outcome", outcome)]).inc();
    }
}

/// What is in the table of attempts, read when somebody asks.
#[derive(Debug)]
struct View(Arc<Registry>);

impl Collector for View {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), Error> {
        let Self(attempts) = self;
        for (name, help, value) in [
            ("cullet_worker_running_attempts", "Attempts that run", attempts.running()),
            (
                "cullet_worker_unacknowledged_reports",
                "Attempts that ended and whose end is not known to be in the log",
                attempts.unacknowledged(),
            ),
            ("cullet_worker_draining", "Whether it takes nothing more", usize::from(attempts.is_draining())),
        ] {
            let metric = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
            ConstGauge::new(value as u64).encode(metric)?;
        }
        Ok(())
    }
}
