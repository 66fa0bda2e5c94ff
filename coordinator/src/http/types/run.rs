//! Runs and their steps.

use cullet_proto::v1;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{digest, some, time};

/// Which runs.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct ListQuery {
    /// Runs in one page, at most 1,000; 50 by default.
    #[serde(default)]
    limit: u32,
    /// `next_page_token` of the page before.
    #[serde(default)]
    page_token: String,
    /// Only this tenant's.
    #[serde(default)]
    tenant: String,
}

impl ListQuery {
    pub(in crate::http) fn into_wire(self) -> v1::ListRunsRequest {
        v1::ListRunsRequest { limit: self.limit, page_token: self.page_token, tenant: self.tenant }
    }
}

/// A page of runs, newest first.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::http) struct RunPage {
    runs: Vec<RunSummary>,
    /// For the next page; null on the last one.
    next_page_token: Option<String>,
}

/// A run without its steps.
#[derive(Debug, Serialize, ToSchema)]
struct RunSummary {
    /// 32 hexadecimal digits.
    run: String,
    /// The pipeline's name.
    pipeline: String,
    /// Who pays for it.
    tenant: String,
    /// Whose results it reads and writes.
    scope: String,
    /// From -100 to 100.
    priority: i32,
    /// `running`, or how it ended: `succeeded`, `failed`, `cancelled` or `infra_failed`.
    status: String,
    /// RFC 3339 in UTC.
    submitted_at: Option<String>,
    /// RFC 3339 in UTC; null until it has ended.
    finished_at: Option<String>,
    /// How many steps it has.
    steps: u32,
    /// Steps that were executed.
    executed: u32,
    /// Steps answered by the cache.
    cached: u32,
    /// Steps that failed, timed out, or were failed by the machine.
    failed: u32,
    /// Steps that were skipped or cancelled.
    skipped: u32,
    /// Why it ended so, where no step says it.
    reason: Option<String>,
}

/// A run with its steps.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Run)]
pub(in crate::http) struct RunDetail {
    summary: RunSummary,
    /// In topological order.
    steps: Vec<Step>,
    /// What the run hands out, as far as it is there.
    outputs: Vec<Output>,
    /// Why that is not known, where it is not.
    outputs_trouble: Option<String>,
}

/// How far a step is.
#[derive(Debug, Serialize, ToSchema)]
struct Step {
    /// Its name.
    step: String,
    /// `waiting`, `resolving`, `queued`, `running`, or how it ended.
    status: String,
    /// Whether nothing was executed for it.
    cached: bool,
    /// Its key, as `hash/size`; null where it has none yet.
    action_digest: Option<String>,
    /// Of the last attempt; 0 where there was none.
    attempt: u32,
    /// The name of the worker of the last attempt.
    worker: Option<String>,
    /// Of the process; null where there was none.
    exit_code: Option<i32>,
    /// Why it was skipped or is tried again, or failed without an exit code that says it; while it is queued, what it waits
    /// for (of the first hundred that are).
    reason: Option<String>,
    /// RFC 3339 in UTC; null until it starts.
    started_at: Option<String>,
    /// RFC 3339 in UTC; null until it has ended.
    finished_at: Option<String>,
}

/// Something that a run hands out.
#[derive(Debug, Serialize, ToSchema)]
struct Output {
    /// Where the pipeline wants it.
    path: String,
    /// `file`, `executable` or `directory`; `image` for what `cullet attach --output` makes an image of.
    kind: &'static str,
    /// Of the content, as `hash/size`; for a directory that of its encoded REAPI Directory, for an
    /// image that of its uppermost layer.
    digest: Option<String>,
}

/// Whether there was something to cancel.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::http) struct Cancelled {
    /// It had already ended, so that nothing was cancelled.
    pub(in crate::http) had_ended: bool,
}

impl From<v1::ListRunsResponse> for RunPage {
    fn from(page: v1::ListRunsResponse) -> Self {
        let runs = page.runs.into_iter().map(RunSummary::from).collect();
        Self { runs, next_page_token: some(page.next_page_token) }
    }
}

impl From<v1::RunSummary> for RunSummary {
    fn from(run: v1::RunSummary) -> Self {
        Self {
            run: run.run,
            pipeline: run.pipeline,
            tenant: run.tenant,
            scope: run.scope,
            priority: run.priority,
            status: run.status,
            submitted_at: time(run.submitted_at_ms),
            finished_at: time(run.finished_at_ms),
            steps: run.steps,
            executed: run.executed,
            cached: run.cached,
            failed: run.failed,
            skipped: run.skipped,
            reason: some(run.reason),
        }
    }
}

impl From<v1::Run> for RunDetail {
    fn from(run: v1::Run) -> Self {
        Self {
            summary: run.summary.unwrap_or_default().into(),
            steps: run.steps.into_iter().map(Step::from).collect(),
            outputs: run.outputs.into_iter().map(Output::from).collect(),
            outputs_trouble: some(run.outputs_trouble),
        }
    }
}

impl From<v1::StepState> for Step {
    fn from(step: v1::StepState) -> Self {
        Self {
            step: step.name,
            status: step.status,
            cached: step.cached,
            action_digest: step.action.as_ref().map(digest),
            attempt: step.attempt,
            worker: some(step.worker),
            exit_code: step.has_exit_code.then_some(step.exit_code),
            reason: some(step.reason),
            started_at: time(step.started_at_ms),
            finished_at: time(step.finished_at_ms),
        }
    }
}

impl From<v1::RunOutput> for Output {
    fn from(output: v1::RunOutput) -> Self {
        let tree = output.tree.unwrap_or_default();
        let kind = match tree.kind() {
            _ if output.image.is_some() => "image",
            v1::tree::Kind::Executable => "executable",
            v1::tree::Kind::Directory => "directory",
            v1::tree::Kind::File | v1::tree::Kind::Unspecified => "file",
        };
        Self { path: output.path, kind, digest: tree.digest.as_ref().map(digest) }
    }
}
