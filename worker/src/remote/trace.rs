//! One attempt as a span, with a span for each of its parts.

use std::time::SystemTime;

use cullet_proto::trace::{Span, TraceContext, Tracer};
use cullet_proto::v1::{self, attempt_finished::Outcome};

use super::start::Start;

/// An attempt under way. Without a trace, or without anybody who listens, it does nothing.
#[derive(Debug, Clone)]
pub(super) struct Trace(Option<Begun>);

#[derive(Debug, Clone)]
struct Begun {
    tracer: Tracer,
    /// The attempt's own.
    context: TraceContext,
    parent: u64,
    start: SystemTime,
    attributes: Vec<(&'static str, String)>,
}

/// The number of a span that nobody else has to know.
fn fresh() -> u64 {
    fastrand::u64(1..)
}

impl Trace {
    pub(super) fn begin(tracer: Tracer, start: &Start) -> Self {
        let of = start.trace.filter(|of| of.sampled && tracer.is_on());
        let begun = of.map(|of| Begun {
            tracer,
            context: of.at(fresh()),
            parent: of.span,
            start: SystemTime::now(),
            attributes: vec![
                ("cullet.run", start.key.run().to_string()),
                ("cullet.step", start.name.clone()),
                ("cullet.attempt", start.key.attempt.to_string()),
                ("cullet.action", start.digest.to_string()),
            ],
        });
        Self(begun)
    }

    /// Does a part of it.
    pub(super) async fn part<T>(&self, name: &'static str, work: impl Future<Output = T>) -> T {
        let Self(Some(begun)) = self else { return work.await };
        let start = SystemTime::now();
        let done = work.await;
        begun.tracer.tell(Span {
            context: begun.context.at(fresh()),
            parent: Some(begun.context.span),
            name: name.to_owned(),
            start,
            end: SystemTime::now(),
            attributes: Vec::new(),
            failure: None,
        });
        done
    }

    /// It is over.
    pub(super) fn end(self, report: &v1::AttemptFinished) {
        let Self(Some(begun)) = self else { return };
        let failure = match &report.outcome {
            Some(Outcome::Succeeded(_)) => None,
            Some(Outcome::Failed(failed)) => Some(format!("exit code {}", failed.exit_code)),
            Some(Outcome::TimedOut(_)) => Some("timed out".to_owned()),
            Some(Outcome::Cancelled(_)) => Some("cancelled".to_owned()),
            Some(Outcome::Infra(infra)) => Some(infra.reason.clone()),
            Some(Outcome::InputLost(_)) => Some("an input is lost".to_owned()),
            None => Some("unknown".to_owned()),
        };
        begun.tracer.tell(Span {
            context: begun.context,
            parent: Some(begun.parent),
            name: "attempt".to_owned(),
            start: begun.start,
            end: SystemTime::now(),
            attributes: begun.attributes,
            failure,
        });
    }
}
