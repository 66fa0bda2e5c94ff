//! The shell's side of the workers.

use std::sync::Arc;

use async_trait::async_trait;
use cullet_cache::{Action, ActionResult};
use cullet_core::{AttemptId, AttemptOutcome, Epoch, StepId, StepIndex, WorkerId};
use cullet_digest::{Digest, TreeRef};
use cullet_pipeline::plan::{CacheVolume, Limits};
use tokio::sync::mpsc;

use crate::deliverable::Deliverable;
use crate::event::TestSummary;

/// An attempt to start.
#[derive(Debug, Clone)]
pub struct StartAttempt {
    /// The step.
    pub id: StepId,
    /// Which attempt.
    pub attempt: AttemptId,
    /// Carried by everything the attempt does.
    pub epoch: Epoch,
    /// Where.
    pub worker: WorkerId,
    /// The step's name, for people.
    pub name: String,
    /// The key.
    pub digest: Digest,
    /// What to execute.
    pub action: Arc<Action>,
    /// Paths of the declared outputs, in declared order.
    pub outputs: Vec<String>,
    /// Paths of inputs, in the order of the specification.
    pub inputs: Vec<(Box<str>, TreeRef)>,
    /// Paths of JUnit reports among the outputs.
    pub reports: Vec<String>,
    /// What it may take.
    pub limits: Limits,
    /// Volumes that make it faster.
    pub caches: Vec<CacheVolume>,
}

/// What a worker says.
#[derive(Debug)]
pub enum Report {
    /// A process printed a line.
    Log {
        /// The step.
        id: StepId,
        /// `stdout` or `stderr`.
        stream: &'static str,
        /// Without its end.
        text: String,
    },
    /// Something a person should know.
    Note {
        /// The step.
        id: StepId,
        /// One sentence.
        text: String,
    },
    /// An attempt ended.
    Finished(Box<Finished>),
}

/// The end of an attempt.
#[derive(Debug)]
pub struct Finished {
    /// The step.
    pub id: StepId,
    /// Which attempt.
    pub attempt: AttemptId,
    /// As given when it was started.
    pub epoch: Epoch,
    /// For the core.
    pub outcome: AttemptOutcome,
    /// How long the process ran.
    pub duration_ms: u64,
    /// Of the process.
    pub exit_code: Option<i32>,
    /// Why it failed, where the exit code does not say it.
    pub reason: Option<String>,
    /// What the process left behind, its log at least.
    pub result: Option<ActionResult>,
    /// Whether the action cache has the result, so that its log can be found there.
    pub recorded: bool,
    /// What its test reports say.
    pub tests: Option<TestSummary>,
}

/// Workers that attempts can be started on.
#[async_trait]
pub trait Workers: Send + Sync {
    /// Starts an attempt. Its reports end with one [`Report::Finished`], always.
    async fn start(&self, attempt: StartAttempt, reports: mpsc::Sender<Report>);

    /// Asks an attempt to stop; it still finishes.
    fn stop(&self, id: StepId, attempt: AttemptId);

    /// The worker's name, for people.
    fn name(&self, worker: WorkerId) -> String;
}

/// Writes what a run hands out.
#[async_trait]
pub trait Delivery: Send + Sync {
    /// Writes all of `outputs` and gives the steps whose part in them can no longer be read.
    async fn deliver(&self, outputs: Vec<Deliverable<TreeRef>>) -> Result<Vec<StepIndex>, String>;
}
