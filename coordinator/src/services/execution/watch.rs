//! Following an operation.

use std::sync::Arc;

use cullet_cache::{Inlined, digest_message, function_number};
use cullet_core::{AttemptId, Run, RunId, StepPhase};
use cullet_digest::Digest;
use cullet_proto::longrunning::{Operation, Outcome};
use cullet_proto::reapi::ExecutedActionMetadata;
use cullet_proto::reapi::execution::{ExecuteOperationMetadata, ExecuteResponse, Stage};
use futures_util::StreamExt as _;
use futures_util::stream::{BoxStream, try_unfold};
use prost::Message as _;
use prost_types::{Any, Timestamp};
use tonic::Status;

use super::answer::Ended;
use super::name;
use crate::engine::Engine;
use crate::metrics::Held;
use crate::raft::{Contact, Following, Node, SharedState};
use crate::services::access::cut_off;
use crate::services::log_streams;

/// What becomes of an operation, until it is done.
pub(super) type Operations = BoxStream<'static, Result<Operation, Status>>;

/// Somebody who follows an operation.
pub(super) struct Watching {
    engine: Engine,
    /// Not the whole node: that would keep the log open for as long as somebody watches.
    state: SharedState,
    contact: Arc<Contact>,
    following: Following,
    run: RunId,
    instance: String,
    inlined: Inlined,
    /// What was told last.
    told: Option<(Stage, Option<AttemptId>)>,
    _counted: Held,
}

/// How far an operation is.
pub(super) struct Seen {
    stage: Stage,
    /// The attempt that prints, or printed last, where there is one.
    attempt: Option<AttemptId>,
    action: Digest,
    partial: Option<ExecutedActionMetadata>,
    ended: Option<Ended>,
}

impl Seen {
    pub(super) fn of(run: &Run) -> Option<Self> {
        let (action, step) = (run.spec().submission?, run.step(0));
        let Some(running) = step.as_ref().filter(|_| run.status().is_none()) else {
            let ended = Some(Ended::of(run, action)?);
            let own = step.filter(|step| step.attempt > 0 && !step.cached && !step.shared);
            let attempt = own.map(|step| step.attempt);
            return Some(Self { stage: Stage::Completed, attempt, action, partial: None, ended });
        };
        let stage = match running.phase {
            StepPhase::Resolving => Stage::CacheCheck,
            StepPhase::Waiting | StepPhase::Ready | StepPhase::WaitingForIdentical => Stage::Queued,
            StepPhase::Running => Stage::Executing,
            // The run ends with it.
            StepPhase::Finished(_) => Stage::Executing,
        };
        let partial = ExecutedActionMetadata {
            queued_timestamp: Some(timestamp(run.submitted_at())),
            worker_start_timestamp: running.started_at.map(timestamp),
            ..ExecutedActionMetadata::default()
        };
        let attempt = (stage == Stage::Executing && running.attempt > 0).then_some(running.attempt);
        Some(Self { stage, attempt, action, partial: Some(partial), ended: None })
    }

    /// The operation as it is told.
    async fn told(self, watching: &Watching) -> Operation {
        let Watching { engine, run, instance, inlined, .. } = watching;
        let name = name::of(instance, *run);
        let printed = self.attempt.map(|attempt| log_streams::names(instance, *run, attempt));
        let printed = Printed(printed.unwrap_or_default());
        match self.ended {
            Some(ended) => done(name, self.action, ended.response(engine, inlined).await, printed),
            None => {
                let metadata = Some(metadata(self.stage, &self.action, self.partial, printed));
                Operation { name, metadata, done: false, result: None }
            }
        }
    }
}

impl Watching {
    pub(super) fn new(engine: &Engine, node: &Node, run: RunId, instance: String, inlined: Inlined) -> Self {
        let state = node.state().clone();
        Self {
            following: state.follow(run),
            state,
            contact: Arc::clone(node.contact()),
            run,
            instance,
            inlined,
            told: None,
            _counted: engine.metrics().watcher(),
            engine: engine.clone(),
        }
    }

    /// What becomes of it.
    pub(super) fn stream(self) -> Operations {
        try_unfold(Some(self), |watching| async move {
            let Some(mut watching) = watching else { return Ok(None) };
            let operation = watching.next().await?;
            let next = (!operation.done).then_some(watching);
            Ok(Some((operation, next)))
        })
        .boxed()
    }

    /// The operation at its end.
    pub(super) async fn end(&mut self) -> Result<Operation, Status> {
        loop {
            let operation = self.next().await?;
            if operation.done {
                return Ok(operation);
            }
        }
    }

    async fn next(&mut self) -> Result<Operation, Status> {
        loop {
            let seen = self.look()?;
            let news = Some((seen.stage, seen.attempt));
            if self.told != news {
                self.told = news;
                return Ok(seen.told(self).await);
            }
            tokio::select! {
                () = self.following.changed() => {}
                () = self.contact.until_lost() => return Err(cut_off()),
            }
        }
    }

    pub(super) fn look(&self) -> Result<Seen, Status> {
        let applying = self.state.read();
        let run = applying.state.run(self.run).filter(|run| run.spec().operation);
        run.and_then(Seen::of).ok_or_else(|| name::unknown(self.run))
    }

    /// The operation as it is now.
    pub(super) async fn now(&self) -> Result<Operation, Status> {
        let seen = self.look()?;
        Ok(seen.told(self).await)
    }
}

/// The names of the streams that an operation prints into, standard output first; empty where there are none.
#[derive(Debug, Default)]
pub(super) struct Printed([String; 2]);

/// An operation that is done.
pub(super) fn done(name: String, action: Digest, response: ExecuteResponse, printed: Printed) -> Operation {
    let partial = response.result.as_ref().and_then(|result| result.execution_metadata.clone());
    let metadata = Some(metadata(Stage::Completed, &action, partial, printed));
    let value = response.encode_to_vec();
    let response = Any { type_url: url("ExecuteResponse"), value };
    Operation { name, metadata, done: true, result: Some(Outcome::Response(response)) }
}

fn metadata(
    stage: Stage,
    action: &Digest,
    partial: Option<ExecutedActionMetadata>,
    Printed([stdout_stream_name, stderr_stream_name]): Printed,
) -> Any {
    let metadata = ExecuteOperationMetadata {
        stage: stage.into(),
        action_digest: Some(digest_message(action)),
        partial_execution_metadata: partial,
        digest_function: function_number(action.function()),
        stdout_stream_name,
        stderr_stream_name,
    };
    Any { type_url: url("ExecuteOperationMetadata"), value: metadata.encode_to_vec() }
}

fn url(message: &str) -> String {
    format!("type.googleapis.com/build.bazel.remote.execution.v2.{message}")
}

fn timestamp(ms: u64) -> Timestamp {
    Timestamp { seconds: (ms / 1000) as i64, nanos: (ms % 1000) as i32 * 1_000_000 }
}
