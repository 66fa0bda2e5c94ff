//! Effects of the core, performed. Nothing here waits: whatever does has a task of its own.

use std::sync::Arc;

use cullet_core::Effect;
use cullet_core::spec::RunSpec;
use cullet_proto::v1;
use cullet_proto::v1::coordinator_message::Message;

use super::Leading;
use super::waiting::Whose;
use crate::attempts::AttemptKey;

impl Leading {
    pub(super) fn perform(self: &Arc<Self>, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::Resolve { id, bypass_cache } => {
                    let whose = || self.read(|state| state.run(id.run).map(|run| whose(run.spec())));
                    self.backlog.push(id, bypass_cache, || whose().unwrap_or_default());
                }
                Effect::Start { id, attempt, epoch, worker, action } => {
                    self.metrics.attempts_started.inc();
                    self.start(AttemptKey { id, attempt, epoch }, worker, action);
                }
                Effect::Stop { id, attempt, epoch, worker } => {
                    let attempt = Some(AttemptKey { id, attempt, epoch }.to_wire());
                    self.attendance.send(worker, Message::Stop(v1::Stop { attempt }));
                }
                Effect::Deliver { run } => {
                    let this = Arc::clone(self);
                    self.spawn(async move { this.deliver(run).await });
                }
                Effect::StepFinished { id } => self.trace_step(id),
                Effect::RunFinished { run } => {
                    self.keep_found(run);
                    if self.tracer.is_on() {
                        self.trace_run(run);
                    } else {
                        self.contexts.end(run);
                    }
                }
                Effect::RunForgotten { run } => self.contexts.forget(run),
                // Read from the state, or answered where it was asked.
                Effect::StepRewound { .. } | Effect::SubmitAccepted { .. } | Effect::SubmitRefused { .. } => {
                }
            }
        }
    }
}

fn whose(spec: &RunSpec) -> Whose {
    Whose { tenant: spec.tenant.as_ref().into(), client: spec.operation.then_some(spec.client) }
}
