//! Taking in runs.

use std::collections::BTreeMap;
use std::sync::Arc;

use cullet_cache::{Blob, BlobStore, StoreError};
use cullet_core::spec::RunSpec;
use cullet_core::{LogCommand, Refusal, RunId};
use cullet_digest::{Digest, Directory, TreeRef};
use cullet_pipeline::Plan;
use cullet_pipeline::plan::Platform;

use super::{FUNCTION, Leading, Lost, Outcome};
use crate::raft::EncodedCommand;
use crate::request::{BadRequest, Request, Submitted, parts};
use crate::resolve::describe;
use crate::submission::Submission;
use crate::template::Machine;

/// Why a run was not taken in.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SubmitError {
    /// The submitter's mistake.
    #[error(transparent)]
    Bad(#[from] BadRequest),
    /// Its request was made before, and something else was asked for.
    #[error(
        "run {0} was submitted with this request id, and it is something else that was asked for: use another request id"
    )]
    Other(RunId),
    /// A source is not in the store.
    #[error("source '{0}' is not in the store: upload it first")]
    NotUploaded(String),
    /// The core has no room for it.
    #[error("the cluster takes no more: {reason}")]
    NoRoom {
        /// Why.
        reason: Refusal,
        /// Milliseconds after which there might be room; none if there never will be.
        retry_after_ms: Option<u64>,
    },
    /// It was here before, and nothing is known of it any more.
    #[error(
        "run {run} was submitted before with this request id, has ended and is no longer remembered: use another \
         request id"
    )]
    Forgotten {
        /// Which.
        run: RunId,
    },
    /// It is not known yet what `host` is.
    #[error(
        "no worker is in the cluster right now, so it is not known on which kind of machine its steps would run: start one"
    )]
    NoWorker,
    /// There are workers, and none is of this kind.
    #[error(
        "no worker of the cluster is for {0}, which the run has to have: start one, or have another `platform` in the pipeline"
    )]
    NoWorkerFor(Platform),
    /// The store cannot be used.
    #[error("the store of the cluster cannot be used: {}", describe(.0))]
    Store(#[from] StoreError),
    /// It is an action that cannot be executed here; why.
    #[error("{0}")]
    BadAction(String),
    /// No worker is what the action asks for.
    #[error("no worker of the cluster is what the action asks for: {0}")]
    NoWorkerLike(String),
    /// It may be taken in or not.
    #[error(transparent)]
    Lost(#[from] Lost),
    /// It would not fit into one message between coordinators.
    #[error(
        "the run has {bytes} bytes with all its steps, more than the {limit} that one submission may have: divide it"
    )]
    TooLarge {
        /// What it has.
        bytes: usize,
        /// What it may have.
        limit: usize,
    },
    /// So much is being submitted that this coordinator has no memory for more.
    #[error("too much is being submitted at once; try again")]
    Busy,
    /// A task of this coordinator failed.
    #[error("the pipeline could not be planned")]
    Planning,
}

impl SubmitError {
    /// The core does not take in a run.
    pub(super) const fn refused(run: RunId, reason: Refusal, retry_after_ms: Option<u64>) -> Self {
        match reason {
            Refusal::Forgotten => Self::Forgotten { run },
            Refusal::Runs { .. }
            | Refusal::Steps { .. }
            | Refusal::RunsOfTenant { .. }
            | Refusal::LabelSets { .. }
            | Refusal::StepsOfTenant { .. } => Self::NoRoom { reason, retry_after_ms },
        }
    }
}

impl Leading {
    /// Takes in a run, once it is durable. Says which, and whether it was there before.
    #[tracing::instrument(name = "run", level = "debug", skip_all, fields(run = %request.run_id(), tenant = request.tenant))]
    pub(crate) async fn submit(&self, request: Request) -> Result<(RunId, bool), SubmitError> {
        let run = request.run_id();
        let (exists, forgotten) = self.read(|state| (state.run(run).is_some(), state.has_forgotten(run)));
        if exists {
            return self.existing(run, &request).await;
        }
        if forgotten {
            return Err(SubmitError::Forgotten { run });
        }
        let _memory = self.intake.reserve(request.pipeline.len()).await.ok_or(SubmitError::Busy)?;
        let request = Arc::new(request);
        let plan = planned(&request).await?;
        let machine = self.machine(&request, &plan)?;
        let request = Arc::unwrap_or_clone(request);
        let submitted = Arc::new(Submitted { request, machine, audit: None });
        let stored = submitted.encode();
        let digest = FUNCTION.digest(&stored);
        // What is planned in vain is stored in vain; almost nothing is.
        let storing = async { Ok(self.parts.blobs.put(&digest, Blob::from(stored)).await?) };
        let ((), Submission { mut spec, templates }) =
            futures_util::future::try_join(storing, self.divided(&submitted, plan)).await?;
        spec.submission = Some(digest);
        let command = self.encoded(run, spec, submitted.request.is_small()).await?;
        // Its first steps are looked up before this returns.
        self.contexts.insert(run, &submitted, templates);
        match self.propose_encoded(command).await? {
            Outcome::Refused { reason, retry_after_ms } => {
                self.contexts.forget(run);
                Err(SubmitError::refused(run, reason, retry_after_ms))
            }
            // What is there may have been planned by another version.
            Outcome::Accepted { existed: true } => {
                self.contexts.forget(run);
                self.existing(run, &submitted.request).await
            }
            Outcome::Accepted { existed: false } | Outcome::Applied => Ok((run, false)),
        }
    }

    /// The submission as the log has it.
    async fn encoded(&self, run: RunId, spec: RunSpec, small: bool) -> Result<EncodedCommand, SubmitError> {
        let command = LogCommand::Submit { run, spec: Arc::new(spec), at: self.now() };
        let encoded = offloaded(small, move || super::encoded(&command)).await?.ok_or(Lost)?;
        if encoded.size() > MOST_BYTES {
            return Err(SubmitError::TooLarge { bytes: encoded.size(), limit: MOST_BYTES });
        }
        Ok(encoded)
    }

    /// A run that was there before, unless something else was asked for then.
    async fn existing(&self, run: RunId, request: &Request) -> Result<(RunId, bool), SubmitError> {
        let stored = self.read(|state| state.run(run).and_then(|run| run.spec().submission));
        let Some(stored) = stored else { return Ok((run, true)) };
        let first =
            async { Submitted::decode(&self.parts.blobs.get(&stored).await.ok()?.into_bytes().ok()?).ok() };
        match first.await {
            Some(first) if !first.request.asks_for_the_same(request) => Err(SubmitError::Other(run)),
            // What cannot be read any more is taken at its word.
            _ => Ok((run, true)),
        }
    }

    /// The kind of machine that a run gets.
    fn machine(&self, request: &Request, plan: &Plan) -> Result<Machine, SubmitError> {
        let platform = request.platform(plan)?;
        let chosen = self.read(|state| {
            let machine = crate::machines::choose(state, &request.host_image, platform);
            machine.ok_or_else(|| crate::machines::choose(state, "", None).is_some())
        });
        chosen.map_err(|others| match platform.filter(|_| others) {
            Some(platform) => SubmitError::NoWorkerFor(platform.clone()),
            None => SubmitError::NoWorker,
        })
    }

    /// Divides what was planned.
    async fn divided(&self, submitted: &Arc<Submitted>, plan: Plan) -> Result<Submission, SubmitError> {
        let small = submitted.request.is_small();
        let trees = self.trees(&plan, &submitted.request).await?;
        let dividing = Arc::clone(submitted);
        let divide = move || {
            dividing.divide(plan, |source, subpath| {
                trees.get(&(source, subpath.into())).copied().ok_or(SubmitError::Planning)
            })
        };
        offloaded(small, divide).await?
    }

    /// The trees of the parts of sources that a plan uses.
    async fn trees(
        &self,
        plan: &Plan,
        request: &Request,
    ) -> Result<BTreeMap<(u32, Arc<str>), TreeRef>, SubmitError> {
        let mut trees = BTreeMap::new();
        for (source, subpath) in parts(plan) {
            let name = plan.sources.get(source as usize).map_or("", |source| source.name.as_str());
            let missing = || BadRequest::NoSource(name.to_owned());
            let root = *request.sources.get(name).ok_or_else(missing)?;
            let tree = subtree(&*self.parts.blobs, name, root, &subpath).await?;
            trees.insert((source, subpath), tree);
        }
        Ok(trees)
    }
}

/// Plans what was submitted.
async fn planned(request: &Arc<Request>) -> Result<Plan, SubmitError> {
    let planning = Arc::clone(request);
    let plan = offloaded(request.is_small(), move || planning.plan()).await??;
    request.refuse_local_images(&plan)?;
    Ok(plan)
}

/// The largest submission, in bytes as the log has it: half of what a message between coordinators holds.
const MOST_BYTES: usize = crate::raft::MAX_MESSAGE / 2;

/// Does it on a thread for long work, unless it is small.
async fn offloaded<T: Send + 'static>(
    small: bool,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, SubmitError> {
    if small { Ok(work()) } else { crate::blocking::blocking(work).await.map_err(|_| SubmitError::Planning) }
}

/// A part of a source, by the names on the way to it.
async fn subtree(
    blobs: &dyn BlobStore,
    source: &str,
    root: Digest,
    subpath: &str,
) -> Result<TreeRef, SubmitError> {
    let absent = || BadRequest::NoSubpath { name: source.to_owned(), subpath: subpath.to_owned() };
    let mut at = TreeRef::Directory(root);
    let names = subpath.split('/').filter(|name| !name.is_empty());
    if names.clone().next().is_none() && !blobs.find_missing(&[root]).await?.is_empty() {
        return Err(SubmitError::NotUploaded(source.to_owned()));
    }
    for name in names {
        let TreeRef::Directory(digest) = at else { return Err(absent().into()) };
        let bytes = match blobs.get(&digest).await {
            Ok(blob) => blob.into_bytes().map_err(|error| StoreError::io("read", "a directory", error))?,
            Err(StoreError::NotFound { .. } | StoreError::Mismatch { .. }) => {
                return Err(SubmitError::NotUploaded(source.to_owned()));
            }
            Err(error) => return Err(error.into()),
        };
        let directory = Directory::decode(digest.function(), &bytes)
            .map_err(|_| SubmitError::NotUploaded(source.to_owned()))?;
        let file = directory.files().iter().find(|file| &*file.name == name);
        let child = directory.directories().iter().find(|child| &*child.name == name);
        at = match (file, child) {
            (Some(file), _) => TreeRef::File { digest: file.digest, executable: file.executable },
            (None, Some(child)) => TreeRef::Directory(child.digest),
            (None, None) => return Err(absent().into()),
        };
    }
    Ok(at)
}
