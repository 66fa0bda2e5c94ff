//! From a process that has ended to a report.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use cullet_cache::{ActionResult, Output};
use tokio::runtime::Handle;

use super::keep_logs::{KeptLogs, keep_logs};
use super::reason::sentence;
use super::worker::exit_code;
use super::{Attempt, AttemptReport, ScratchDir, Stores, WorkerConfig};
use crate::collect::{CollectError, Collector, Left};
use crate::executor::{Execution, Exit};
use crate::input_root::{InputRoot, LostInputs};
use crate::logs::Recorder;

/// A process that has ended, with all that it leaves.
pub(super) struct Ended {
    pub(super) execution: Execution,
    pub(super) recorder: Recorder,
    pub(super) inputs: InputRoot,
    pub(super) scratch: ScratchDir,
}

/// Turns it into a report.
pub(super) struct Finisher {
    pub(super) config: Arc<WorkerConfig>,
    pub(super) stores: Stores,
    pub(super) attempt: Attempt,
}

impl Finisher {
    /// Blocks: collects, keeps the logs, and removes the working directory.
    pub(super) fn finish(&self, ended: Ended, runtime: Handle) -> AttemptReport {
        let Ended { execution, recorder, inputs, scratch } = ended;
        let logs = keep_logs(&*self.stores.files, &recorder, self.attempt.action_digest.function());
        let outputs = match execution.exit {
            Exit::Cancelled => Ok(Vec::new()),
            _ => self.collect(&execution, &inputs, runtime),
        };
        scratch.recycle();
        self.report(&execution, outputs, logs)
    }

    fn collect(
        &self,
        execution: &Execution,
        inputs: &InputRoot,
        runtime: Handle,
    ) -> Result<Vec<Output>, CollectError> {
        let Stores { blobs, files, .. } = &self.stores;
        let action = &self.attempt.action;
        let left = Left {
            layers: &execution.workspace,
            inputs: inputs.path(),
            input_root: action.input_root,
            working_directory: &action.working_directory,
            outputs: &action.outputs,
            lenient: execution.exit != Exit::Code(0),
        };
        Collector { files: &**files, blobs: &**blobs, runtime, limits: self.config.outputs }.collect(&left)
    }

    fn report(
        &self,
        execution: &Execution,
        outputs: Result<Vec<Output>, CollectError>,
        logs: KeptLogs,
    ) -> AttemptReport {
        let (outputs, trouble) = match outputs {
            Ok(outputs) => (outputs, None),
            Err(error) => (Vec::new(), Some(error)),
        };
        let result = ActionResult {
            exit_code: exit_code(execution.exit),
            outputs,
            stdout: logs.stdout,
            stderr: logs.stderr,
            interleaving: logs.interleaving,
            worker: self.config.name.clone(),
            started_at_ms: milliseconds(execution.started_at),
            duration_ms: u64::try_from(execution.duration.as_millis()).unwrap_or(u64::MAX),
        };
        judge(execution.exit, result, trouble, logs.warnings)
    }
}

fn judge(
    exit: Exit,
    result: ActionResult,
    trouble: Option<CollectError>,
    mut warnings: Vec<String>,
) -> AttemptReport {
    match (exit, trouble) {
        (Exit::Cancelled, _) => AttemptReport::Cancelled { result: Some(result) },
        (Exit::Code(0), None) => AttemptReport::Succeeded { result, warnings },
        (Exit::Code(0), Some(CollectError::Output(fault))) => {
            AttemptReport::Failed { result, reason: Some(fault.to_string()), warnings }
        }
        (Exit::Code(0), Some(CollectError::InputLost { path, digest })) => {
            let mut lost = LostInputs::default();
            lost.add(path, digest);
            AttemptReport::InputLost(lost)
        }
        (Exit::Code(0), Some(error)) => {
            AttemptReport::Infra { reason: sentence(&error), result: Some(result) }
        }
        (exit, trouble) => {
            // It failed by itself; that its leftovers could not be kept does not change that.
            warnings.extend(trouble.map(|error| sentence(&error)));
            match exit {
                Exit::TimedOut => AttemptReport::TimedOut { result, warnings },
                Exit::Signal(signal) => {
                    let reason = Some(format!("killed by signal {signal}"));
                    AttemptReport::Failed { result, reason, warnings }
                }
                _ => AttemptReport::Failed { result, reason: None, warnings },
            }
        }
    }
}

fn milliseconds(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
