//! Taking in operations: runs of one step, whose action a client made.

use std::sync::Arc;
use std::time::Duration;

use cullet_cache::Scope;
use cullet_core::spec::{InputSource, InputSpec, RunSpec, StepSpec};
use cullet_core::{LogCommand, RunId};
use cullet_digest::TreeRef;

use super::submit::SubmitError;
use super::{Leading, Outcome};
use crate::given::GivenAction;
use crate::machines;

/// What a client wants to have executed.
#[derive(Debug)]
pub(crate) struct Asked {
    /// What.
    pub(crate) given: GivenAction,
    /// Who pays.
    pub(crate) tenant: String,
    /// Whose result it is.
    pub(crate) scope: Scope,
    /// From -100 to 100.
    pub(crate) priority: i8,
    /// A number that stands for the client.
    pub(crate) client: u64,
    /// What it is called where people see it.
    pub(crate) name: String,
    /// It is executed whatever there is.
    pub(crate) bypass_cache: bool,
}

/// What stands where people see a pipeline's name.
const GROUP: &str = "remote execution";

/// The longest time that an action may take.
const LONGEST: Duration = Duration::from_secs(24 * 3600);

/// What an action takes that does not say it: one processor.
const USUAL_CPU: u32 = 1000;

/// Further attempts after a machine failed it.
const RETRY_INFRA: u8 = 3;

impl Leading {
    /// Takes in an operation, once it is durable.
    pub(crate) async fn operate(&self, asked: Asked) -> Result<RunId, SubmitError> {
        let spec = self.operation(&asked)?;
        let run = RunId(fastrand::u128(..));
        let command = LogCommand::Submit { run, spec: Arc::new(spec), at: self.now() };
        // It is looked up before this returns.
        self.contexts.insert_operation(run, asked.scope, asked.given);
        match self.propose(command).await? {
            Outcome::Refused { reason, retry_after_ms } => {
                self.contexts.forget(run);
                Err(SubmitError::refused(run, reason, retry_after_ms))
            }
            Outcome::Accepted { .. } | Outcome::Applied => Ok(run),
        }
    }

    fn operation(&self, asked: &Asked) -> Result<RunSpec, SubmitError> {
        let GivenAction { action, encoded } = &asked.given;
        let bad = SubmitError::BadAction;
        if let Some(reserved) = action.reserved_property() {
            return Err(bad(format!(
                "the platform property '{reserved}' is for pipelines: secrets, services and layers of a root are theirs"
            )));
        }
        if action.arguments.is_empty() {
            return Err(bad("the Command has no arguments: there is nothing to run".to_owned()));
        }
        if let Some(reference) = action.container_image().filter(|_| action.image().is_none()) {
            return Err(bad(format!(
                "the image '{reference}' is named by no digest: write REPOSITORY@sha256:DIGEST, so that one action is one thing"
            )));
        }
        let timeout = action.stopped_after();
        if timeout > LONGEST {
            return Err(bad(format!("the timeout is {timeout:?}, and the longest is {LONGEST:?}")));
        }
        let amount = |names: [&'static str; 2]| {
            names.into_iter().find_map(|name| Some((name, action.property(name)?)))
        };
        let wrong = |name: &str, why: String| bad(format!("the platform property '{name}': {why}"));
        let cpu_millis = match amount(["cpu", "EstimatedCPU"]) {
            Some((name, text)) => cullet_pipeline::parse_cpu(text).map_err(|why| wrong(name, why))?,
            None => USUAL_CPU,
        };
        let memory_bytes = match amount(["memory", "EstimatedMemory"]) {
            Some((name, text)) => cullet_pipeline::parse_memory(text).map_err(|why| wrong(name, why))?,
            None => 0,
        };
        let labels =
            self.read(|state| machines::for_action(state, action)).map_err(SubmitError::NoWorkerLike)?;
        let source = InputSource::Tree(Arc::new(TreeRef::Directory(action.input_root)));
        let step = StepSpec {
            name: asked.name.as_str().into(),
            command: encoded.command_digest,
            inputs: [InputSpec { path: "".into(), source }].into(),
            after: Box::default(),
            outputs: 0,
            requires: 0,
            cpu_millis,
            memory_bytes,
            timeout_ms: u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX),
            limits: 0,
            retry_failure: 0,
            retry_infra: RETRY_INFRA,
            effects: false,
            allow_failure: false,
            // What must not be cached must not be shared with those that ask for the same meanwhile.
            bypass_cache: asked.bypass_cache || action.do_not_cache,
            skip: None,
        };
        Ok(RunSpec {
            pipeline: GROUP.into(),
            steps: vec![step],
            tenant: asked.tenant.as_str().into(),
            priority: asked.priority,
            submission: Some(encoded.digest),
            operation: true,
            client: asked.client,
            requirements: [labels].into(),
            scope: asked.scope.to_string().into(),
            ..RunSpec::default()
        })
    }
}
