//! From a process that has ended to a report.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use cullet_cache::action::{NETWORK, PLAIN};
use cullet_cache::{ActionResult, Output};
use cullet_digest::Digest;
use cullet_secrets::Search;
use tokio::runtime::Handle;

use super::beside;
use super::keep_logs::{KeptLogs, keep_logs};
use super::reason::{killed_by, out_of_disk, out_of_memory, sentence, too_large};
use super::reclaim::reclaim;
use super::remote;
use super::root::{in_workspace, keep_root};
use super::worker::{exit_code, least};
use super::{Attempt, AttemptReport, ScratchDir, Stores, WorkerConfig};
use crate::collect::{CollectError, Collector, Left, OutputFault};
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

/// What was taken out of its workspace.
#[derive(Default)]
struct Collected {
    outputs: Vec<Output>,
    /// Of output directories that are wanted so, by their paths: their `Tree` messages.
    trees: Vec<(String, Digest)>,
}

/// Turns it into a report.
pub(super) struct Finisher {
    pub(super) config: Arc<WorkerConfig>,
    pub(super) stores: Stores,
    pub(super) attempt: Attempt,
    /// What no output may have in it.
    pub(super) secrets: Option<Arc<Search>>,
    /// What the step wrote to its volumes.
    pub(super) drafts: Vec<PathBuf>,
}

impl Finisher {
    /// Blocks: collects, keeps the logs, and removes the working directory.
    pub(super) fn finish(&self, ended: Ended, runtime: Handle) -> AttemptReport {
        let Ended { execution, recorder, inputs, scratch } = ended;
        let logs = keep_logs(&*self.stores.files, &recorder, self.attempt.action_digest.function());
        let outputs = match (execution.exit, self.reclaim(&execution)) {
            (Exit::Cancelled, _) => Ok(Vec::new()),
            (_, Err(error)) => Err(CollectError::Root(Box::new(error))),
            (_, Ok(())) => self.collect(&execution, &inputs, &scratch, runtime.clone()),
        };
        let outputs = outputs.and_then(|outputs| {
            let wanted: &[Output] = if self.attempt.action.trees { &outputs } else { &[] };
            let trees = runtime.block_on(remote::trees(&*self.stores.blobs, wanted))?;
            Ok(Collected { outputs, trees })
        });
        scratch.recycle();
        self.report(&execution, outputs, logs)
    }

    /// Takes back what the step has given to others. Its root is captured with the owners that it has.
    fn reclaim(&self, execution: &Execution) -> io::Result<()> {
        let written: Vec<PathBuf> = execution.workspace.iter().take(1).chain(&self.drafts).cloned().collect();
        reclaim(self.config.reclaim.as_deref(), &written)
    }

    fn collect(
        &self,
        execution: &Execution,
        inputs: &InputRoot,
        scratch: &ScratchDir,
        runtime: Handle,
    ) -> Result<Vec<Output>, CollectError> {
        let Stores { blobs, files, .. } = &self.stores;
        let action = &self.attempt.action;
        let declared = in_workspace(action);
        let left = Left {
            layers: &execution.workspace,
            inputs: inputs.path(),
            input_root: action.input_root,
            working_directory: &action.working_directory,
            outputs: &declared,
            // Sockets of the machine's network pass descriptors on, to whoever outlives the step.
            // A plain process shares the machine with whoever it hands a descriptor to.
            reachable: action.requires(NETWORK) || action.requires(PLAIN),
            keeps_links: action.is_remote(),
            lenient: execution.exit != Exit::Code(0),
        };
        let mut limits = self.config.outputs;
        limits.bytes = least(limits.bytes, self.attempt.limits.output_bytes);
        let secrets = self.secrets.as_deref();
        let collector = Collector { files: &**files, blobs: &**blobs, runtime, limits, secrets };
        let mut outputs = collector.collect(&left)?;
        if action.leaves_root() && execution.exit == Exit::Code(0) {
            let kept = keep_root(
                &self.config,
                &**files,
                (execution, scratch),
                action.input_root.function(),
                secrets,
            )?;
            outputs.push(kept);
            outputs.sort_by(|one, two| one.path.cmp(&two.path));
        }
        Ok(outputs)
    }

    /// What it had too much of, if that may be why it failed.
    fn ran_out(&self, execution: &Execution) -> Option<String> {
        const TOO_LARGE: i32 = 128 + libc::SIGXFSZ;
        let limits = &self.attempt.limits;
        let is_limited = limits.disk_bytes > 0;
        match execution.exit {
            _ if execution.out_of_disk > 0 => Some(out_of_disk(limits.disk_bytes, execution.out_of_disk)),
            _ if execution.out_of_memory > 0 => {
                Some(out_of_memory(limits.memory_bytes, execution.usage.peak_memory_bytes))
            }
            // Of the step's main process, or, as a shell says it, of one of the others.
            Exit::Signal(libc::SIGXFSZ) | Exit::Code(TOO_LARGE) if is_limited => {
                Some(too_large(limits.disk_bytes))
            }
            _ => None,
        }
    }

    fn report(
        &self,
        execution: &Execution,
        collected: Result<Collected, CollectError>,
        logs: KeptLogs,
    ) -> AttemptReport {
        let (Collected { outputs, trees }, trouble) = match collected {
            Ok(collected) => (collected, None),
            Err(error) => (Collected::default(), Some(error)),
        };
        let ran_out = self.ran_out(execution);
        let exit = match execution.exit {
            // It went on without one of its processes, and what it left may lack what that one would have done.
            Exit::Code(0) if ran_out.is_some() => Exit::Signal(libc::SIGKILL),
            exit => exit,
        };
        let result = ActionResult {
            exit_code: exit_code(exit),
            outputs,
            stdout: logs.stdout,
            stderr: logs.stderr,
            interleaving: logs.interleaving,
            worker: self.config.name.clone(),
            started_at_ms: milliseconds(execution.started_at),
            duration_ms: u64::try_from(execution.duration.as_millis()).unwrap_or(u64::MAX),
            usage: execution.usage,
            signature: None,
            trees,
            times: Default::default(),
        };
        let acts_outside = self.attempt.action.do_not_cache;
        let trouble = trouble.map(|error| final_if(acts_outside, error));
        let why = ran_out.or_else(|| beside::sentence(&execution.services));
        judge(exit, result, trouble, why, logs.warnings)
    }
}

/// A process that acted on the outside world has run and must not be run again because an input that is also an
/// output was lost meanwhile.
fn final_if(acts_outside: bool, error: CollectError) -> Trouble {
    match error {
        CollectError::InputLost { path, digest } if !acts_outside => Trouble::InputLost { path, digest },
        CollectError::Output(fault) => Trouble::Output(fault),
        other => Trouble::Machine(sentence(&other)),
    }
}

/// Why outputs could not be collected, by what follows from it.
enum Trouble {
    /// The step's own fault.
    Output(OutputFault),
    /// Whoever made the input has to make it again.
    InputLost { path: String, digest: Digest },
    /// The machine's fault, in a sentence.
    Machine(String),
}

fn judge(
    exit: Exit,
    result: ActionResult,
    trouble: Option<Trouble>,
    why: Option<String>,
    mut warnings: Vec<String>,
) -> AttemptReport {
    match (exit, trouble) {
        (Exit::Cancelled, _) => AttemptReport::Cancelled { result: Some(result) },
        (Exit::Code(0), None) => AttemptReport::Succeeded { result, warnings },
        (Exit::Code(0), Some(Trouble::Output(fault))) => {
            warnings.extend(why);
            AttemptReport::Failed { result, reason: Some(fault.to_string()), warnings }
        }
        (Exit::Code(0), Some(Trouble::InputLost { path, digest })) => {
            let mut lost = LostInputs::default();
            lost.add(path, digest);
            AttemptReport::InputLost(lost)
        }
        (Exit::Code(0), Some(Trouble::Machine(reason))) => {
            AttemptReport::Infra { reason, result: Some(result) }
        }
        (exit, trouble) => {
            // It failed by itself; that its leftovers could not be kept does not change that.
            warnings.extend(trouble.map(Trouble::into_sentence));
            match exit {
                Exit::TimedOut => {
                    warnings.extend(why);
                    AttemptReport::TimedOut { result, warnings }
                }
                Exit::Signal(signal) => {
                    let reason = why.unwrap_or_else(|| killed_by(signal));
                    AttemptReport::Failed { result, reason: Some(reason), warnings }
                }
                _ => AttemptReport::Failed { result, reason: why, warnings },
            }
        }
    }
}

impl Trouble {
    fn into_sentence(self) -> String {
        match self {
            Self::Output(fault) => fault.to_string(),
            Self::InputLost { path, .. } => format!("'{path}' can no longer be read from the cache"),
            Self::Machine(reason) => reason,
        }
    }
}

fn milliseconds(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
