//! Following an operation.

use std::sync::Arc;

use cullet_cache::{Inlined, digest_message, function_number};
use cullet_core::{Run, RunId, StepPhase};
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
    name: String,
    inlined: Inlined,
    /// What was told last.
    told: Option<Stage>,
    _counted: Held,
}

/// How far an operation is.
pub(super) struct Seen {
    stage: Stage,
    action: Digest,
    partial: Option<ExecutedActionMetadata>,
    ended: Option<Ended>,
}

impl Seen {
    pub(super) fn of(run: &Run) -> Option<Self> {
        let (action, step) = (run.spec().submission?, run.step(0));
        let Some(step) = step.filter(|_| run.status().is_none()) else {
            let ended = Some(Ended::of(run, action)?);
            return Some(Self { stage: Stage::Completed, action, partial: None, ended });
        };
        let stage = match step.phase {
            StepPhase::Resolving => Stage::CacheCheck,
            StepPhase::Waiting | StepPhase::Ready | StepPhase::WaitingForIdentical => Stage::Queued,
            StepPhase::Running => Stage::Executing,
            // The run ends with it.
            StepPhase::Finished(_) => Stage::Executing,
        };
        let partial = ExecutedActionMetadata {
            queued_timestamp: Some(timestamp(run.submitted_at())),
            worker_start_timestamp: step.started_at.map(timestamp),
            ..ExecutedActionMetadata::default()
        };
        Some(Self { stage, action, partial: Some(partial), ended: None })
    }

    /// The operation as it is told.
    pub(super) async fn told(self, name: &str, engine: &Engine, inlined: &Inlined) -> Operation {
        match self.ended {
            Some(ended) => done(name.to_owned(), self.action, ended.response(engine, inlined).await),
            None => {
                let metadata = Some(metadata(self.stage, &self.action, self.partial));
                Operation { name: name.to_owned(), metadata, done: false, result: None }
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
            name: name::of(&instance, run),
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
            if self.told != Some(seen.stage) {
                self.told = Some(seen.stage);
                return Ok(seen.told(&self.name, &self.engine, &self.inlined).await);
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
        Ok(seen.told(&self.name, &self.engine, &self.inlined).await)
    }
}

/// An operation that is done.
pub(super) fn done(name: String, action: Digest, response: ExecuteResponse) -> Operation {
    let partial = response.result.as_ref().and_then(|result| result.execution_metadata.clone());
    let metadata = Some(metadata(Stage::Completed, &action, partial));
    let value = response.encode_to_vec();
    let response = Any { type_url: url("ExecuteResponse"), value };
    Operation { name, metadata, done: true, result: Some(Outcome::Response(response)) }
}

fn metadata(stage: Stage, action: &Digest, partial: Option<ExecutedActionMetadata>) -> Any {
    let metadata = ExecuteOperationMetadata {
        stage: stage.into(),
        action_digest: Some(digest_message(action)),
        partial_execution_metadata: partial,
        digest_function: function_number(action.function()),
        ..ExecuteOperationMetadata::default()
    };
    Any { type_url: url("ExecuteOperationMetadata"), value: metadata.encode_to_vec() }
}

fn url(message: &str) -> String {
    format!("type.googleapis.com/build.bazel.remote.execution.v2.{message}")
}

fn timestamp(ms: u64) -> Timestamp {
    Timestamp { seconds: (ms / 1000) as i64, nanos: (ms % 1000) as i32 * 1_000_000 }
}
