//! Steps that cannot be executed where the run goes.

use std::path::Path;

use cullet_coordinator::images::first_local;
use cullet_pipeline::Plan;
use cullet_pipeline::plan::Image;

use crate::config::Executor;
use crate::error::CliError;

/// Steps with images are refused where nobody can execute them, and nothing is asked about their images there.
pub(super) fn refuse_images(
    plan: &Plan,
    file: &Path,
    on_cluster: bool,
    executor: Executor,
) -> Result<(), CliError> {
    let first = || plan.step_images().into_iter().min_by_key(|(_, step)| step.line);
    let (found, problem, hint) = match executor {
        _ if on_cluster => (
            first_local(plan),
            "is on this machine, where no worker of a cluster can have it from",
            "push it to a registry that the workers reach, or leave out --cluster and CULLET_CLUSTER to run on this \
             machine",
        ),
        Executor::Plain => (
            first(),
            "cannot be used by the plain executor: its steps have the machine's files and no services",
            "images and services need the sandbox: leave out --executor, CULLET_EXECUTOR and `executor` in the \
             configuration file",
        ),
        Executor::Docker => return refuse_host(plan, file),
        Executor::Auto | Executor::Sandbox => return Ok(()),
    };
    let Some((reference, step)) = found else { return Ok(()) };
    let place = format!("{}:{}: step '{}'", file.display(), step.line, step.name);
    Err(CliError::usage(format!("{place}: the image '{reference}' {problem}")).hint(hint))
}

/// Containers have no machine's software.
fn refuse_host(plan: &Plan, file: &Path) -> Result<(), CliError> {
    let host = plan.steps.iter().filter(|step| step.settings.image == Image::Host);
    let Some(step) = host.min_by_key(|step| step.line) else { return Ok(()) };
    let place = format!("{}:{}: step '{}'", file.display(), step.line, step.name);
    let problem = "has no image, and Docker cannot run it: it would have the machine's own software";
    let hint = "give it an `image:` that has what it needs, or run it in the sandbox (--executor sandbox)";
    Err(CliError::usage(format!("{place} {problem}")).hint(hint))
}
