//! Secrets in plans for clusters: coordinators know names and never a value.

use cullet_pipeline::Plan;
use cullet_pipeline::plan::{Identity, Secret};

/// The first secret whose value is to have a part in a key, which only whoever has the value can make.
pub fn first_identity(plan: &Plan) -> Option<&Secret> {
    let mut secrets = plan.steps.iter().flat_map(|step| &step.settings.secrets);
    secrets.find(|secret| secret.identity == Identity::Wanted)
}

/// What is said of it.
pub fn no_identity(secret: &Secret) -> String {
    format!(
        "`identity` of the secret `{}` cannot be used on a cluster, where keys are made without values: leave it out, and \
         change a variable in `env` when the value changes",
        secret.name
    )
}
