//! What steps can ask for that containers cannot do: refused, each with what to do instead. The one place for it.

use crate::{ExecuteError, Launch, StepLimits};

const NO_IMAGE: &str = "a step without an image runs with the machine's own software, which no container has: give it an \
                        `image`, or run it in the sandbox";

pub(super) const NOT_HERE: &str =
    "the step's image is not in the Docker engine: this executor was put together without one";

/// Refuses what cannot be done in a container with the same outcome as in the sandbox; otherwise, what the engine calls
/// the step's image. `no_sandbox` is why there is no sandbox, which somebody asked for first.
pub(super) fn image_of(launch: &Launch, no_sandbox: Option<&str>) -> Result<String, ExecuteError> {
    // All of them by name: whoever adds something to a launch has to say here what containers make of it.
    let Launch {
        image,
        visit: _,
        limits,
        secrets: _,
        caches: _,
        services,
        arguments: _,
        env: _,
        working_directory: _,
        inputs: _,
        scratch: _,
        keeps_root: _,
        keeps_workspace: _,
        network: _,
        timeout: _,
    } = launch;
    // What cannot be kept is said when the engine is looked at (`Engine::missing`); outputs and logs are bounded by
    // whoever collects them.
    let StepLimits {
        cpu_millis: _,
        memory_bytes: _,
        processes: _,
        disk_bytes: _,
        output_bytes: _,
        log_bytes: _,
    } = limits;
    let refuse = |why: &str| {
        let first = no_sandbox.map(|reason| format!("{reason}; and in a container, ")).unwrap_or_default();
        ExecuteError::Unavailable(first + why)
    };
    if services.iter().any(|service| service.image.in_engine.is_none()) {
        return Err(refuse(NOT_HERE));
    }
    let Some(image) = image else { return Err(refuse(NO_IMAGE)) };
    image.in_engine.clone().ok_or_else(|| refuse(NOT_HERE))
}
