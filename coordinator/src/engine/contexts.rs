//! What only executing a run needs to know, made again from what was submitted.

use std::sync::Arc;
use std::time::Duration;

use backon::{ExponentialBuilder, Retryable as _};
use cullet_cache::{BlobStore, Scope, StoreError};
use cullet_core::{RunId, State};
use cullet_digest::Digest;
use cullet_proto::trace::TraceContext;
use quick_cache::sync::Cache;

use super::{EngineParts, FUNCTION, ScopeResults, scope_of};
use crate::given::{GivenAction, NoAction};
use crate::request::{BadRequest, Submitted};
use crate::resolve::{Resolver, describe};
use crate::submission::PlanTemplates;
use crate::template::Templates;

/// A run's templates, and what makes keys of them.
pub(super) struct Context {
    pub(super) templates: Arc<dyn Templates>,
    pub(super) resolver: Resolver,
    /// Whose results it reads and writes.
    pub(super) scope: Scope,
    /// The trace that the submitter belongs to.
    pub(super) submitted: Option<TraceContext>,
    steps: usize,
}

/// Steps whose templates are kept in memory, by rule of thumb half a kilobyte each. Runs beyond are planned again when
/// they go on.
const MOST_STEPS: u64 = 1 << 20;

/// What the template of one step takes, by that rule.
const STEP_BYTES: usize = 512;

/// The same of runs that have ended, and how many there may be.
const MOST_ENDED_STEPS: u64 = 1 << 16;
const MOST_ENDED: usize = 1 << 10;

/// How often a submission is read again that cannot be, for about ten seconds in all.
const RETRIES: usize = 6;
const FIRST_WAIT: Duration = Duration::from_millis(100);

/// The contexts of live runs.
pub(super) struct Contexts {
    parts: EngineParts,
    known: Cache<RunId, Arc<Context>, BySteps>,
    /// Those of some runs that have ended: whoever follows one asks right then what it hands out.
    ended: Cache<RunId, Arc<Context>, BySteps>,
}

#[derive(Debug, Clone)]
struct BySteps;

impl quick_cache::Weighter<RunId, Arc<Context>> for BySteps {
    fn weight(&self, _: &RunId, context: &Arc<Context>) -> u64 {
        context.steps as u64 + 1
    }
}

/// Why a submission is of no use.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SubmissionTrouble {
    /// The run was submitted without one, or is gone.
    #[error("the run was not submitted as a pipeline")]
    None,
    /// It cannot be read.
    #[error("what was submitted cannot be read: {}", describe(.0))]
    Store(#[from] StoreError),
    /// It is not what it was.
    #[error("what was submitted cannot be understood: {0}")]
    Bad(#[from] BadRequest),
    /// It is an action that cannot be read any more.
    #[error(transparent)]
    Action(#[from] NoAction),
    /// The plan is another one than the steps in the state.
    #[error("this version makes another plan of what was submitted")]
    OtherPlan,
}

impl SubmissionTrouble {
    /// Whether the store did not do what it was asked, and may do so later.
    pub(super) fn is_outage(&self) -> bool {
        match self {
            Self::Store(error) => error.is_outage(),
            Self::Action(error) => matches!(error, NoAction::Store(error) if error.is_outage()),
            Self::None | Self::Bad(_) | Self::OtherPlan => false,
        }
    }
}

impl Contexts {
    pub(super) fn new(parts: EngineParts) -> Self {
        let known = Cache::with_weighter(1 << 10, MOST_STEPS, BySteps);
        Self { parts, known, ended: Cache::with_weighter(MOST_ENDED, MOST_ENDED_STEPS, BySteps) }
    }

    /// The context of a run. Everyone who asks for the same waits for one making.
    pub(super) async fn get(
        &self,
        run: RunId,
        state: impl Fn() -> Option<Planned>,
    ) -> Result<Arc<Context>, SubmissionTrouble> {
        if let Some(context) = self.ended.get(&run) {
            return Ok(context);
        }
        let make = async {
            let Planned { submission, commands, operation } = state().ok_or(SubmissionTrouble::None)?;
            if let Some(scope) = operation {
                let given = GivenAction::read(&*self.parts.blobs, submission).await?;
                return Ok(Arc::new(Context::of_operation(&self.parts, scope, given)));
            }
            let submitted = submission_of(&*self.parts.blobs, &submission).await?;
            let context = crate::blocking::blocking({
                let parts = self.parts.clone();
                move || context(&parts, &submitted, &commands)
            });
            match context.await {
                Ok(made) => made.map(Arc::new),
                Err(_) => Err(SubmissionTrouble::OtherPlan),
            }
        };
        self.known.get_or_insert_async(&run, make).await
    }

    /// Has the context of a run that was just planned, so that it need not be planned again.
    pub(super) fn insert(&self, run: RunId, submitted: &Submitted, templates: PlanTemplates) {
        self.known.insert(run, Arc::new(Context::new(&self.parts, submitted, templates)));
    }

    /// The same of an operation.
    pub(super) fn insert_operation(&self, run: RunId, scope: Scope, given: GivenAction) {
        self.known.insert(run, Arc::new(Context::of_operation(&self.parts, scope, given)));
    }

    /// The run has ended.
    pub(super) fn end(&self, run: RunId) {
        if let Some((_, context)) = self.known.remove(&run) {
            self.ended.insert(run, context);
        }
    }

    pub(super) fn forget(&self, run: RunId) {
        self.known.remove(&run);
        self.ended.remove(&run);
    }
}

/// What the state says of a run.
pub(super) struct Planned {
    submission: Digest,
    /// The commands of its steps.
    commands: Vec<Digest>,
    /// The scope of one that is an operation, whose submission is its action.
    operation: Option<Scope>,
}

/// Reads it there.
pub(super) fn planned(state: &State, run: RunId) -> Option<Planned> {
    let run = state.run(run)?;
    let spec = run.spec();
    Some(Planned {
        submission: spec.submission?,
        commands: spec.steps.iter().map(|step| step.command).collect(),
        operation: spec.operation.then(|| scope_of(run)),
    })
}

/// Reads what was submitted.
pub(crate) async fn submission_of(
    blobs: &dyn BlobStore,
    submission: &Digest,
) -> Result<Submitted, SubmissionTrouble> {
    let read = || async {
        let blob = blobs.get(submission).await?;
        blob.into_bytes().map_err(|error| StoreError::io("read", "a submission", error))
    };
    let waits = ExponentialBuilder::new().with_min_delay(FIRST_WAIT).with_max_times(RETRIES);
    Ok(Submitted::decode(&read.retry(waits).await?)?)
}

fn context(
    parts: &EngineParts,
    submitted: &Submitted,
    commands: &[Digest],
) -> Result<Context, SubmissionTrouble> {
    let templates = submitted.templates()?;
    let same = templates.len() == commands.len()
        && commands
            .iter()
            .enumerate()
            .all(|(step, command)| templates.command(step, FUNCTION) == Some(*command));
    if !same {
        return Err(SubmissionTrouble::OtherPlan);
    }
    Ok(Context::new(parts, submitted, templates))
}

impl Context {
    fn new(parts: &EngineParts, submitted: &Submitted, templates: PlanTemplates) -> Self {
        let submitted_by = TraceContext::parse(&submitted.request.traceparent);
        let (steps, scope) = (templates.len(), submitted.request.scope.clone());
        Self { submitted: submitted_by, ..Self::with(parts, scope, steps, Arc::new(templates)) }
    }

    fn of_operation(parts: &EngineParts, scope: Scope, given: GivenAction) -> Self {
        // As many as take as much memory.
        let steps = 1 + (given.encoded.action.len() + given.encoded.command.len()) / STEP_BYTES;
        Self::with(parts, scope, steps, Arc::new(given))
    }

    fn with(parts: &EngineParts, scope: Scope, steps: usize, templates: Arc<dyn Templates>) -> Self {
        let ScopeResults { actions, completeness } = parts.results.of(&scope);
        let resolver = Resolver::new(
            FUNCTION,
            Arc::clone(&parts.blobs),
            actions,
            Arc::clone(&templates),
            Arc::new(move |action| completeness.missing_of(action)),
        );
        Self { steps, templates, resolver, scope, submitted: None }
    }
}
