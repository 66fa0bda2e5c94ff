//! From an attempt to what an executor is told.

use cullet_cache::action::NETWORK;

use super::root::in_workspace;
use super::{Attempt, ScratchDir};
use crate::executor::{ImageRoot, Launch};
use crate::input_root::InputRoot;

/// Its process, with nothing that only the machine knows: secrets, volumes and services are added to it.
pub(super) fn launch(
    attempt: &Attempt,
    image: Option<ImageRoot>,
    inputs: &InputRoot,
    scratch: &ScratchDir,
) -> Launch {
    let action = &attempt.action;
    Launch {
        arguments: action.arguments.clone(),
        env: action.env.clone(),
        working_directory: action.working_directory.clone(),
        inputs: inputs.path().to_owned(),
        scratch: scratch.step(),
        network: action.requires(NETWORK),
        timeout: action.stopped_after(),
        limits: attempt.limits,
        image,
        keeps_root: action.leaves_root(),
        keeps_workspace: !in_workspace(action).is_empty(),
        visit: attempt.visit.clone(),
        secrets: Vec::new(),
        caches: Vec::new(),
        services: Vec::new(),
    }
}
