//! Telling workers what to start.

use std::sync::Arc;

use cullet_cache::v1::{digest_to_wire, tree_to_wire};
use cullet_cache::{Action, BlobStore, EncodedAction, StoreError};
use cullet_core::{AttemptOutcome, LogCommand, StepPhase, WorkerId};
use cullet_digest::Digest;
use cullet_proto::v1;
use cullet_proto::v1::coordinator_message::Message;

use super::{FUNCTION, Leading};
use crate::attempts::AttemptKey;
use crate::resolve::{describe, inputs_of, step_name};
use crate::template::Templates as _;

/// Why a start cannot be told.
enum NoStart {
    /// It is over by now.
    Over,
    /// Its action is lost: it has to be made again.
    Lost,
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
        self.spawn(async move {
            let Ok(_permit) = this.starting.acquire().await else { return };
            let outcome = match this.start_message(key, worker, &action).await {
                Ok(start) => return this.attendance.send(worker, Message::Start(start)),
                Err(NoStart::Over) => return,
                Err(NoStart::Lost) => AttemptOutcome::InputLost { inputs: Box::default() },
                Err(NoStart::Trouble(reason)) => AttemptOutcome::Infra { reason: reason.into() },
            };
            let AttemptKey { id, attempt, epoch } = key;
            let (duration_ms, detail, at) = (0, None, this.now());
            let finished =
                LogCommand::AttemptFinished { id, attempt, epoch, outcome, duration_ms, detail, at };
            this.tell(finished).await;
        });
    }

    async fn start_message(
        &self,
        key: AttemptKey,
        worker: WorkerId,
        action: &Digest,
    ) -> Result<v1::Start, NoStart> {
        let encoded = match self.actions.get(action) {
            Some(encoded) => encoded,
            None => Arc::new(read_action(&*self.parts.blobs, action).await?),
        };
        let context = self.context(key.id.run).await.map_err(NoStart::Trouble)?;
        let (name, inputs) = self.read(|state| {
            let run = state.run(key.id.run);
            let current = run.and_then(|run| run.step(key.id.step)).is_some_and(|step| {
                step.phase == StepPhase::Running && (step.attempt, step.epoch) == (key.attempt, key.epoch)
            });
            let inputs = run.filter(|_| current).and_then(|run| inputs_of(run, key.id.step));
            inputs.map(|inputs| (step_name(run, key.id.step), inputs)).ok_or(NoStart::Over)
        })?;
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
            outputs: context.templates.outputs(key.id.step),
            inputs: inputs.collect(),
            reports: context.templates.reports(key.id.step),
            traceparent: String::new(),
        })
    }
}

/// An action that an earlier leader made.
async fn read_action(blobs: &dyn BlobStore, digest: &Digest) -> Result<EncodedAction, NoStart> {
    let read = async |digest: &Digest| match blobs.get(digest).await {
        Ok(blob) => blob.into_bytes().map_err(|error| NoStart::Trouble(error.to_string())),
        Err(StoreError::NotFound { .. } | StoreError::Mismatch { .. }) => Err(NoStart::Lost),
        Err(error) => Err(NoStart::Trouble(format!("its action cannot be read: {}", describe(&error)))),
    };
    let action = read(digest).await?;
    let command_digest = Action::command_digest(FUNCTION, &action);
    let command_digest = command_digest.map_err(|error| NoStart::Trouble(error.to_string()))?;
    let command = read(&command_digest).await?;
    Ok(EncodedAction { digest: *digest, action: action.to_vec(), command_digest, command: command.to_vec() })
}
