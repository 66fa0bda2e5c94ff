//! The client's part of a trace: a span for the command, and one in it for the submission.

use std::time::SystemTime;

use cullet_proto::trace::{Span, TraceContext, Tracer};

/// The spans of one command.
pub(super) struct ClientTrace {
    tracer: Tracer,
    /// The span of the command.
    context: TraceContext,
    submission: TraceContext,
    parent: Option<u64>,
    start: SystemTime,
}

impl ClientTrace {
    /// Below whoever called the command, if that has a trace; otherwise in a new one. None where nobody listens.
    pub(super) fn begin(tracer: Tracer, caller: Option<&str>) -> Option<Self> {
        if !tracer.is_on() {
            return None;
        }
        let number = || crate::random::number().max(1);
        let caller = caller.and_then(TraceContext::parse);
        let fresh = || {
            let trace = u128::from(number()) << 64 | u128::from(number());
            TraceContext { trace, span: number(), sampled: true }
        };
        let context = caller.unwrap_or_else(fresh).at(number());
        let parent = caller.map(|caller| caller.span);
        Some(Self { tracer, context, submission: context.at(number()), parent, start: SystemTime::now() })
    }

    /// What the run is a part of, as `traceparent`.
    pub(super) fn submission(&self) -> String {
        self.submission.to_string()
    }

    /// The cluster has taken the run, or not.
    pub(super) fn submitted(&self, run: Option<&str>, failure: Option<String>) {
        self.tell(self.submission, Some(self.context.span), "submit", run, failure);
    }

    /// The command is over.
    pub(super) fn end(&self, failure: Option<String>) {
        self.tell(self.context, self.parent, "cullet run", None, failure);
    }

    fn tell(
        &self,
        context: TraceContext,
        parent: Option<u64>,
        name: &str,
        run: Option<&str>,
        failure: Option<String>,
    ) {
        self.tracer.tell(Span {
            context,
            parent,
            name: name.to_owned(),
            start: self.start,
            end: SystemTime::now(),
            attributes: run.map(|run| ("cullet.run", run.to_owned())).into_iter().collect(),
            failure,
        });
    }
}
