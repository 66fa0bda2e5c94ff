//! The values of secrets: found once before a run on this machine, and for each attempt by a worker of a cluster.

mod on_worker;
mod resolve;

use std::collections::BTreeMap;
use std::path::Path;

use async_trait::async_trait;
use cullet_cache::ActionSecret;
use cullet_coordinator::secrets::{first_identity, no_identity};
use cullet_pipeline::Plan;
use cullet_pipeline::plan::Secret;
use cullet_secrets::SecretValue;
use cullet_worker::{SecretFault, SecretValues};

use crate::config::Executor;
use crate::error::CliError;

pub(crate) use on_worker::WorkerSecrets;
pub(crate) use resolve::resolve;

/// The values of a run on this machine.
#[derive(Debug, Default)]
pub(crate) struct RunSecrets {
    /// By the step's name.
    steps: BTreeMap<Box<str>, Vec<(String, SecretValue)>>,
}

impl RunSecrets {
    /// Whether no step has any.
    pub(crate) fn is_empty(&self) -> bool {
        self.steps.values().all(Vec::is_empty)
    }
}

#[async_trait]
impl SecretValues for RunSecrets {
    async fn values(&self, step: &str, wanted: &[ActionSecret]) -> Result<Vec<SecretValue>, SecretFault> {
        let known = self.steps.get(step).map(Vec::as_slice).unwrap_or_default();
        let find = |secret: &ActionSecret| {
            let found = known.iter().find(|(name, _)| *name == secret.name);
            found.map(|(_, value)| value.clone()).ok_or_else(|| SecretFault {
                message: format!("the secret `{}` was not asked for before the run", secret.name),
                permanent: true,
                source: None,
            })
        };
        wanted.iter().map(find).collect()
    }
}

/// Secrets are refused where no step can have them.
pub(crate) fn refuse(plan: &Plan, file: &Path, on_cluster: bool, executor: Executor) -> Result<(), CliError> {
    if on_cluster {
        return first_identity(plan).map_or(Ok(()), |secret| {
            Err(CliError::usage(format!("{}: {}", place(file, secret), no_identity(secret))))
        });
    }
    let mut steps = plan.steps.iter().filter(|step| step.skip.is_none());
    let first = steps.find_map(|step| step.settings.secrets.first());
    if executor != Executor::Plain {
        return Ok(());
    }
    first.map_or(Ok(()), |secret| {
        Err(CliError::usage(format!(
            "{}: steps with secrets cannot be executed by the plain executor: others would see them",
            place(file, secret)
        ))
        .hint("leave out --executor, CULLET_EXECUTOR and `executor` in the configuration file"))
    })
}

/// Where a secret stands in its file.
fn place(file: &Path, secret: &Secret) -> String {
    format!("{}:{}:{}", file.display(), secret.line, secret.column)
}

/// This process's memory has values from now on: none of it is to get to a disk, nor to other programs of the same user.
pub(crate) fn conceal() {
    use rustix::process::{DumpableBehavior, set_dumpable_behavior};
    // A kernel that refuses is one that does not know the word.
    let _ = set_dumpable_behavior(DumpableBehavior::NotDumpable);
}
