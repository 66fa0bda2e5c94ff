//! The worker: what it takes an attempt to run.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use cullet_cache::action::NETWORK;
use cullet_cache::{Action, ActionResult, LogStream, Usage};
use cullet_digest::Digest;
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

use super::beside::{Beside, NoServices};
use super::finish::{Ended, Finisher};
use super::launching::launch;
use super::making::Making;
use super::reason::sentence;
use super::remote;
use super::root::{RootError, layered};
use super::{AttemptReport, ScratchDir, Session, Stores, WorkerConfig};
use crate::executor::{Exit, Launch, StepExecutor, StepLimits, Visit};
use crate::images::HeldRoot;
use crate::in_use::Uses;
use crate::input_root::{InputError, InputRoot, InputRoots};
use crate::logs::{LogEvents, Recorder};
use crate::secrets::{Masks, SecretFault, StepSecrets};
use crate::volumes::{AttemptVolumes, Leaving, VolumeUse};

/// Runs attempts, any number at a time: how many is the business of whoever assigns them.
#[derive(Debug)]
pub struct Worker {
    config: Arc<WorkerConfig>,
    executor: Arc<dyn StepExecutor>,
    stores: Stores,
    session: Arc<Session>,
    inputs: Arc<InputRoots>,
}

/// One attempt at a step.
#[derive(Debug, Clone)]
pub struct Attempt {
    /// The step, for messages.
    pub label: String,
    /// The key of the action.
    pub action_digest: Digest,
    /// What to run.
    pub action: Arc<Action>,
    /// Where the image can be had that the action names, if that is not known anyway.
    pub image: Option<String>,
    /// The same for its services, by their names.
    pub service_images: BTreeMap<String, String>,
    /// What it may take.
    pub limits: StepLimits,
    /// Volumes that make it faster.
    pub caches: Vec<VolumeUse>,
    /// Whether a success is recorded in the action cache.
    pub write_result: bool,
    /// Somebody who looks into the step.
    pub visit: Option<Visit>,
    /// Filled in with what is secret in it.
    pub masks: Masks,
    /// What it keeps in the cache of its machine.
    pub uses: Uses,
}

/// The working directory cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("cannot prepare the working directory {}: {source}", .path.display())]
pub struct WorkerError {
    path: PathBuf,
    source: std::io::Error,
}

impl Worker {
    /// Prepares the working directory, and removes what dead processes left there.
    pub fn new(
        config: WorkerConfig,
        executor: Arc<dyn StepExecutor>,
        stores: Stores,
    ) -> Result<Self, WorkerError> {
        let session = Session::open(&config.work_dir, config.reclaim.clone())
            .map_err(|source| WorkerError { path: config.work_dir.clone(), source })?;
        let inputs = InputRoots::new(Arc::clone(&session));
        Ok(Self { config: Arc::new(config), executor, stores, session, inputs })
    }

    /// Runs an attempt to its end. Whatever that is, nothing of it is left in the working directory. Dropping
    /// the future abandons the attempt; cancelling it ends it in order.
    pub async fn run(
        &self,
        attempt: Attempt,
        events: impl LogEvents,
        cancel: CancellationToken,
    ) -> AttemptReport {
        let masks = attempt.masks.clone();
        masks.report(self.attempt(attempt, events, cancel).await)
    }

    async fn attempt(
        &self,
        mut attempt: Attempt,
        events: impl LogEvents,
        cancel: CancellationToken,
    ) -> AttemptReport {
        attempt.limits = attempt.limits.or_else(self.config.limits);
        let secrets = match self.secrets(&attempt, &cancel).await {
            Ok(Some(secrets)) => secrets,
            Ok(None) => return AttemptReport::Cancelled { result: None },
            Err(fault) => return without_secrets(&fault, &self.config.name),
        };
        attempt.masks.set(&secrets.masker);
        let image = self.image(&attempt, &cancel);
        let beside = Beside::prepare(&attempt, &*self.config.images, &cancel);
        let beside = async { beside.await.map_err(RootError::from) };
        let (image, beside) = match futures_util::future::try_join(image, beside).await {
            Ok((Some(image), Some(beside))) => (image, beside),
            Ok(_) => return AttemptReport::Cancelled { result: None },
            Err(RootError::Lost(lost)) => return AttemptReport::InputLost(lost),
            Err(error) if error.is_permanent() => {
                return AttemptReport::Impossible { reason: sentence(&error) };
            }
            Err(error) => return infra(&error),
        };
        if let Some((service, name)) = beside.without_secret(&secrets) {
            return infra(&NoServices::Secret { service: service.to_owned(), name: name.to_owned() });
        }
        if attempt.action.is_remote() {
            match remote::with_ways(&*self.stores.blobs, &attempt.action).await {
                Ok(input_root) => {
                    attempt.action = Arc::new(Action { input_root, ..(*attempt.action).clone() });
                }
                Err(InputError::Lost(lost)) => return AttemptReport::InputLost(lost),
                Err(error) => return infra(&error),
            }
        }
        match self.prepare(attempt.action.input_root, &cancel).await {
            Ok(inputs) => {
                attempt.uses.end();
                self.execute(attempt, (image, beside, secrets), inputs, Box::new(events), cancel).await
            }
            Err(InputError::Stopped) => AttemptReport::Cancelled { result: None },
            Err(InputError::Lost(lost)) => AttemptReport::InputLost(lost),
            Err(error) => infra(&error),
        }
    }

    /// The secrets that the step needs. Nothing at all when this is cancelled.
    async fn secrets(
        &self,
        attempt: &Attempt,
        cancel: &CancellationToken,
    ) -> Result<Option<StepSecrets>, SecretFault> {
        let wanted = attempt.action.secrets();
        tokio::select! {
            biased;
            () = cancel.cancelled() => Ok(None),
            found = StepSecrets::find(&*self.config.secrets, &attempt.label, &wanted) => found.map(Some),
        }
    }

    /// The image that the step runs in, if it runs in one. Nothing at all when this is cancelled.
    async fn image(
        &self,
        attempt: &Attempt,
        cancel: &CancellationToken,
    ) -> Result<Option<Option<HeldRoot>>, RootError> {
        let Some(digest) = attempt.action.image() else { return Ok(Some(None)) };
        let root = async {
            let reference = attempt.image.as_deref();
            let image = self.config.images.root(digest, reference).await?;
            layered(&self.config, &self.stores, (&attempt.action, reference), Some(image)).await
        };
        tokio::select! {
            biased;
            () = cancel.cancelled() => Ok(None),
            root = root => root.map(Some),
        }
    }

    /// The input root. When this is cancelled or dropped, so is the making of it, which takes another thread a
    /// moment to notice; after a cancellation that is waited for.
    async fn prepare(&self, root: Digest, cancel: &CancellationToken) -> Result<InputRoot, InputError> {
        let stop = cancel.child_token();
        let _stopped_when_dropped = stop.clone().drop_guard();
        let is_ours = AtomicBool::new(false);
        let inputs = self.inputs.get(&root, |target| {
            is_ours.store(true, Ordering::Relaxed);
            let (session, stores) = (Arc::clone(&self.session), self.stores.clone());
            Making { root, target, stores, owner: self.config.owner, stop: stop.clone(), session }.run()
        });
        tokio::pin!(inputs);
        tokio::select! {
            biased;
            () = cancel.cancelled() => {}
            inputs = &mut inputs => return inputs,
        }
        if is_ours.load(Ordering::Relaxed) {
            drop(tokio::time::timeout(STOP_PATIENCE, inputs).await);
        }
        Err(InputError::Stopped)
    }

    async fn execute(
        &self,
        attempt: Attempt,
        (image, beside, secrets): (Option<HeldRoot>, Beside, StepSecrets),
        inputs: InputRoot,
        events: Box<dyn LogEvents>,
        cancel: CancellationToken,
    ) -> AttemptReport {
        let scratch = match self.session.scratch(self.config.owner) {
            Ok(scratch) => scratch,
            Err(error) => return infra(&WorkerError { path: self.config.work_dir.clone(), source: error }),
        };
        let Some(volumes) = self.volumes(&attempt, &scratch, &cancel).await else {
            return AttemptReport::Cancelled { result: None };
        };
        let log_bytes = least(self.config.log_bytes, attempt.limits.log_bytes);
        let services = beside.launches(&secrets);
        let StepSecrets { files, masker, search } = secrets;
        let recorder = Recorder::masked(scratch.path(), log_bytes, events, masker);
        let root = image.as_ref().map(|image| image.root.clone());
        let plain = launch(&attempt, root, &inputs, &scratch);
        let launch = Launch { secrets: files, caches: volumes.mounts(), services, ..plain };
        let executed = self.executor.execute(launch, recorder.sink(), cancel).await;
        // Nothing of the step is alive any more.
        drop((image, beside));
        attempt.uses.begin();
        let execution = match executed {
            Ok(execution) => execution,
            Err(error) => {
                volumes.end(Leaving { masks: attempt.masks, ..Leaving::default() }).await;
                return infra(&error);
            }
        };
        if let Some(upper) = execution.workspace.first() {
            volumes.clear_workspace(upper, inputs.path());
        }
        let ended = Ended { execution, recorder, inputs, scratch };
        let finisher = Finisher {
            config: Arc::clone(&self.config),
            stores: self.stores.clone(),
            attempt: attempt.clone(),
            secrets: search.clone(),
            drafts: volumes.uppers(),
        };
        let runtime = Handle::current();
        let finished = tokio::task::spawn_blocking(move || finisher.finish(ended, runtime)).await;
        let report = finished.unwrap_or_else(|error| infra(&error));
        let report = self.record(&attempt, report).await;
        // What a person did in the place of the step is nothing that others should find.
        let is_own = attempt.visit.as_ref().is_none_or(|visit| visit.after_failure);
        let succeeded = matches!(report, AttemptReport::Succeeded { .. });
        // Not after the cluster has heard of it: no result depends on a volume, so that of a success which comes too late to
        // count is as good as any other, and whoever waits for its turn need not wait for an election.
        // Sockets of the machine's network pass descriptors on, to whoever outlives the step.
        let reachable = attempt.action.requires(NETWORK);
        let (succeeded, masks) = (succeeded && is_own, attempt.masks);
        volumes.end(Leaving { succeeded, reachable, search, masks }).await;
        report
    }

    /// The volumes that it has. None when this is cancelled.
    async fn volumes(
        &self,
        attempt: &Attempt,
        scratch: &ScratchDir,
        cancel: &CancellationToken,
    ) -> Option<AttemptVolumes> {
        match &self.config.volumes {
            Some(volumes) if !attempt.caches.is_empty() => {
                volumes.take(&attempt.label, &attempt.caches, &scratch.step(), cancel).await
            }
            _ => Some(AttemptVolumes::default()),
        }
    }

    /// Puts a success into the action cache, if it belongs there.
    async fn record(&self, attempt: &Attempt, mut report: AttemptReport) -> AttemptReport {
        let AttemptReport::Succeeded { result, warnings } = &mut report else { return report };
        if !attempt.write_result || attempt.action.do_not_cache || !warnings.is_empty() {
            return report;
        }
        if let Err(error) = super::record::record(&self.stores, attempt, result).await {
            warnings.push(format!("the result of '{}' is not recorded: {}", attempt.label, sentence(&error)));
        }
        report
    }
}

/// How long a cancelled attempt waits until its input root is no longer made. Linking a file or reading a directory
/// takes far less, and whoever takes longer removes what it made when it is done.
const STOP_PATIENCE: Duration = Duration::from_secs(5);

fn infra(error: &(dyn std::error::Error + 'static)) -> AttemptReport {
    AttemptReport::Infra { reason: sentence(error), result: None }
}

/// The exit code of a step that was not run for want of a secret, as Docker has it for what it cannot start.
const NOT_RUN: i32 = 125;

/// A step that does not get its secrets. Where that stays so, it fails: no other try would do better, and a worker that
/// lacks a secret is not broken.
fn without_secrets(fault: &SecretFault, worker: &str) -> AttemptReport {
    if !fault.permanent {
        return infra(fault);
    }
    let result = ActionResult {
        exit_code: NOT_RUN,
        outputs: Vec::new(),
        stdout: LogStream::default(),
        stderr: LogStream::default(),
        interleaving: Vec::new(),
        worker: worker.to_owned(),
        started_at_ms: 0,
        duration_ms: 0,
        usage: Usage::default(),
        signature: None,
        trees: Vec::new(),
        times: Default::default(),
    };
    AttemptReport::Failed { result, reason: Some(sentence(fault)), warnings: Vec::new() }
}

/// The smaller of what any step and what this one may have, of which 0 is none of its own.
pub(super) fn least(any: u64, this: u64) -> u64 {
    if this == 0 { any } else { any.min(this) }
}

/// The exit code that stands for how a process ended.
pub(super) fn exit_code(exit: Exit) -> i32 {
    match exit {
        Exit::Code(code) => code,
        Exit::Signal(signal) => 128 + signal,
        Exit::TimedOut => 124,
        Exit::Cancelled => 130,
    }
}
