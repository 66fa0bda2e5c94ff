//! What goes into the container of a step before it is started, and what comes out of it when it has ended. Every archive
//! takes an engine 0.1 s, whatever is in it: there is none where nobody would miss it.

use std::path::{Path, PathBuf};

use super::caches::Caches;
use super::container::Container;
use super::follow::Ended;
use super::pack::WORKSPACE;
use crate::{ExecuteError, Exit, Launch};

/// Puts the inputs there.
pub(super) async fn fill(
    container: &Container,
    launch: &Launch,
    caches: &Caches,
    owner: (u32, u32),
) -> Result<(), ExecuteError> {
    // As the engine makes places for volumes.
    if owner == (0, 0) && is_empty(&launch.inputs) {
        return Ok(());
    }
    container.put(launch.inputs.clone(), (WORKSPACE.to_vec(), caches.in_workspace()), owner).await
}

/// Takes what the step left there and in its caches.
pub(super) async fn take(
    container: &Container,
    launch: &Launch,
    caches: &Caches,
    ended: &Ended,
    workspace: PathBuf,
) -> Result<(), ExecuteError> {
    if launch.keeps_workspace && ended.exit != Exit::Cancelled {
        container.take(workspace, caches.in_workspace()).await?;
    }
    if ended.exit == Exit::Code(0) {
        caches.take(container).await;
    }
    Ok(())
}

fn is_empty(dir: &Path) -> bool {
    std::fs::read_dir(dir).is_ok_and(|mut entries| entries.next().is_none())
}
