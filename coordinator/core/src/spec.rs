//! What a submitter asks for, reduced to what deciding needs. Whatever only executing needs stands behind the
//! digest of the step's Command.

use std::sync::Arc;

use cullet_digest::{Digest, TreeRef};
use serde::{Deserialize, Serialize};

use crate::StepIndex;

/// A run as submitted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunSpec {
    /// The pipeline's name, for people.
    pub pipeline: Box<str>,
    /// Steps in topological order.
    pub steps: Vec<StepSpec>,
    /// Whether steps that do not depend on a failed one still start.
    pub keep_going: bool,
    /// Steps whose outputs the submitter wants delivered before the run counts as finished.
    pub deliver: Box<[StepIndex]>,
    /// Who pays for it: workers are divided fairly between tenants.
    pub tenant: Box<str>,
    /// Among runs of one tenant, higher goes first; from -100 to 100.
    pub priority: i8,
    /// A blob with what only executing the run needs.
    pub submission: Option<Digest>,
    /// Whether it is an operation of a client that knows no pipelines: one step, of which `submission` is the action. There are
    /// many of them, and none is asked for once it was answered.
    pub operation: bool,
    /// Of an operation: which of its tenant's clients it is of, as a number that says nothing else. Clients have turns.
    pub client: u64,
    /// Whether what happens in the run is kept, to be read again from any point.
    pub journal: bool,
    /// Sets of labels that workers must have, each of which steps can name.
    pub requirements: Box<[Box<[Label]>]>,
    /// Whose results it makes and believes: work is done once for all runs of one scope, and again for those of another.
    /// Shared, as all work that is under way has it.
    pub scope: Arc<str>,
}

/// A name and its value.
pub type Label = (Box<str>, Box<str>);

impl RunSpec {
    /// The tenant of whoever names none.
    pub const TENANT: &str = "default";
    /// The scope of whoever names none: what everybody believes.
    pub const SCOPE: &str = "protected";

    /// The labels that a worker must have for a step.
    pub fn required(&self, step: &StepSpec) -> &[Label] {
        self.requirements.get(usize::from(step.requires)).map_or(&[], |labels| labels)
    }
}

/// No steps.
impl Default for RunSpec {
    fn default() -> Self {
        Self {
            pipeline: Box::default(),
            steps: Vec::new(),
            keep_going: false,
            deliver: Box::default(),
            tenant: Self::TENANT.into(),
            priority: 0,
            submission: None,
            operation: false,
            client: 0,
            journal: false,
            requirements: Box::default(),
            scope: Self::SCOPE.into(),
        }
    }
}

/// One step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepSpec {
    /// Unique in the run.
    pub name: Box<str>,
    /// The encoded REAPI `Command`.
    pub command: Digest,
    /// What lies where in its input root, sorted by path.
    pub inputs: Box<[InputSpec]>,
    /// Steps that must succeed first although nothing of theirs is an input.
    pub after: Box<[StepIndex]>,
    /// How many outputs it declares.
    pub outputs: u16,
    /// Position in [`RunSpec::requirements`]; 0 where there are none.
    pub requires: u16,
    /// Thousandths of a processor.
    pub cpu_millis: u32,
    /// Bytes of memory.
    pub memory_bytes: u64,
    /// Milliseconds after which an attempt is stopped.
    pub timeout_ms: u64,
    /// Stands for what it may take at most, which is no part of its action: that an identical step with other limits failed
    /// says nothing about this one.
    pub limits: u64,
    /// Further attempts after it failed by itself.
    pub retry_failure: u8,
    /// Further attempts after the machine failed it.
    pub retry_infra: u8,
    /// Acts on the outside world: never looked up, never started twice on its own, never shared.
    pub effects: bool,
    /// Its failure does not fail the run.
    pub allow_failure: bool,
    /// It is executed, whatever there is (`--no-cache`): its result is not looked up, although it may be written, and not
    /// that of an identical step.
    pub bypass_cache: bool,
    /// Why it must not run at all, where its condition says so.
    pub skip: Option<Box<str>>,
}

impl StepSpec {
    /// Whether no other step's execution will do.
    pub(crate) const fn runs_alone(&self) -> bool {
        self.effects || self.bypass_cache
    }
}

/// One input.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InputSpec {
    /// Relative to the input root; empty for the root itself. Shared, as thousands of steps have the same.
    pub path: Arc<str>,
    /// What lies there.
    pub source: InputSource,
}

/// Where an input comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum InputSource {
    /// Known when the run was submitted; mostly the same source for all steps.
    Tree(Arc<TreeRef>),
    /// An output of an earlier step.
    Output {
        /// The step.
        step: StepIndex,
        /// Which of its outputs.
        output: u16,
    },
}
