//! Telling workers what to start.

use std::sync::Arc;

use cullet_cache::v1::{digest_to_wire, tree_to_wire};
use cullet_cache::{EncodedAction, Scope};
use cullet_core::{AttemptOutcome, LogCommand, Resolution, StepPhase, WorkerId};
use cullet_digest::Digest;
use cullet_pipeline::plan::{CacheVolume, Limits};
use cullet_proto::v1;
use cullet_proto::v1::coordinator_message::Message;

use tracing::Instrument as _;

use super::contexts::Context;
use super::{Leading, trace};
use crate::attempts::AttemptKey;
use crate::resolve::{Question, step_name};

/// Why a start cannot be told.
enum NoStart {
    /// It is over by now.
    Over,
    /// Inputs are lost: they have to be made again.
    Lost(Box<[u16]>),
    /// For people.
    Trouble(String),
}

impl Leading {
    /// Has a worker start an attempt. One that is not connected is told when it comes back.
    pub(crate) fn start(self: &Arc<Self>, key: AttemptKey, worker: WorkerId, action: Digest) {
        if !self.attendance.is_present(worker) {
            return;
        }
        let this = Arc::clone(self);
        let AttemptKey { id, attempt, epoch } = key;
        let span = tracing::debug_span!("attempt", run = %id.run, step = id.step, attempt, epoch);
        let starting = async move {
            let Ok(_permit) = this.starting.acquire().await else { return };
            let outcome = match this.start_message(key, worker, &action).await {
                Ok(start) => return this.attendance.send(worker, Message::Start(start)),
                Err(NoStart::Over) => return,
                Err(NoStart::Lost(inputs)) => AttemptOutcome::InputLost { inputs },
                Err(NoStart::Trouble(reason)) => AttemptOutcome::Infra { reason: reason.into() },
            };
            this.metrics.finished(&outcome).inc();
            let (duration_ms, detail, at) = (0, None, this.now());
            let finished =
                LogCommand::AttemptFinished { id, attempt, epoch, outcome, duration_ms, detail, at };
            this.tell(finished).await;
        };
        self.spawn(starting.instrument(span));
    }

    async fn start_message(
        &self,
        key: AttemptKey,
        worker: WorkerId,
        action: &Digest,
    ) -> Result<v1::Start, NoStart> {
        let context = self.context(key.id.run).await.map_err(NoStart::Trouble)?;
        let outputs = context.templates.outputs(key.id.step);
        let read = self.read(|state| {
            let run = state.run(key.id.run)?;
            let step = run.step(key.id.step)?;
            let current =
                step.phase == StepPhase::Running && (step.attempt, step.epoch) == (key.attempt, key.epoch);
            let question =
                if current { Question::of(run, key.id.step, outputs, true)? } else { return None };
            let owner = (run.spec().tenant.to_string(), run.spec().pipeline.to_string());
            Some((step_name(Some(run), key.id.step), question, step.rewinds, owner))
        });
        let (name, question, rewinds, owner) = read.ok_or(NoStart::Over)?;
        let encoded = match self.actions.get(action) {
            Some(encoded) => encoded,
            None => Arc::new(make_again(&context, &question, action).await?),
        };
        let Question { inputs, outputs, .. } = question;
        let inputs = inputs.iter().map(|(path, tree)| v1::StartInput {
            path: path.to_string(),
            tree: Some(tree_to_wire(tree)),
            holders: self.holders(&tree.digest(), worker),
        });
        Ok(v1::Start {
            attempt: Some(key.to_wire()),
            name,
            action: Some(digest_to_wire(action)),
            action_message: encoded.action.clone().into(),
            command_message: encoded.command.clone().into(),
            outputs,
            inputs: inputs.collect(),
            reports: context.templates.reports(key.id.step),
            limits: Some(wire(context.templates.limits(key.id.step))),
            image_reference: context.templates.image(key.id.step).unwrap_or_default().to_owned(),
            caches: context
                .templates
                .caches(key.id.step)
                .iter()
                .map(|cache| start_cache(cache, &owner, &context.scope))
                .collect(),
            services: context.templates.service_images(key.id.step).into_iter().map(service).collect(),
            traceparent: trace::traceparent(key.id, rewinds, context.submitted),
            scope: context.scope.to_string(),
        })
    }
}

const fn wire(limits: Limits) -> v1::StepLimits {
    let Limits { cpu_millis, memory_bytes, processes, disk_bytes, output_bytes, log_bytes } = limits;
    v1::StepLimits { cpu_millis, memory_bytes, processes, disk_bytes, output_bytes, log_bytes }
}

/// Volumes of different tenants, of different pipelines and of different scopes are never the same: what a branch leaves in one
/// must not be found by what everybody believes.
fn start_cache(cache: &CacheVolume, (tenant, pipeline): &(String, String), scope: &Scope) -> v1::StartCache {
    let travels_as = cache.travels_as(tenant, pipeline).unwrap_or_default();
    let CacheVolume { path, volume, locked, .. } = cache.clone();
    v1::StartCache { path, volume, scope: scope.apart(&format!("{tenant}/{pipeline}")), locked, travels_as }
}

fn service((name, image_reference): (String, String)) -> v1::StartService {
    v1::StartService { name, image_reference }
}

/// An action that an earlier leader made, or that this one has forgotten.
async fn make_again(
    context: &Context,
    question: &Question,
    action: &Digest,
) -> Result<EncodedAction, NoStart> {
    match context.resolver.make_again(question).await {
        Ok(encoded) if encoded.digest == *action => Ok(encoded),
        Ok(_) => Err(NoStart::Trouble("this version makes another key of it".to_owned())),
        Err(Resolution::InputLost { inputs }) => Err(NoStart::Lost(inputs)),
        Err(Resolution::Trouble { reason } | Resolution::Impossible { reason }) => {
            Err(NoStart::Trouble(reason.into()))
        }
        Err(Resolution::Hit { .. } | Resolution::Miss { .. }) => Err(NoStart::Over),
    }
}
