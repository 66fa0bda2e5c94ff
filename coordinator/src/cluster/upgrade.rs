//! Raising the version of the cluster, once all of its coordinators know a newer one.

use std::time::Duration;

use cullet_core::{LogCommand, NEWEST_VERSION};

use super::peers::ask;
use super::seat::Seat;
use crate::raft::{Batch, MemberView, Node, ProposeError};

/// How long a coordinator may take to say which version it knows.
const PATIENCE: Duration = Duration::from_secs(5);

/// Raises the version of the cluster to the newest that all of its members know, and gives it, with the member that knows no
/// newer one where that is why it is not this program's newest.
///
/// # Errors
/// [`ProposeError::Refused`] where a member does not say what it knows.
pub(crate) async fn upgrade(seat: &Seat, node: &Node) -> Result<(u32, Option<MemberView>), ProposeError> {
    // Only a leader knows who the members are, and which version there is.
    node.barrier().await?;
    let others = node.view().members.into_iter().filter(|member| member.id != seat.id());
    let asked = others.map(|member| async {
        let said = ask(seat.dial(), &member.address, PATIENCE).await;
        (member, said.map(|said| said.newest_log_version))
    });
    let (mut version, mut behind) = (NEWEST_VERSION, None);
    for (member, known) in futures_util::future::join_all(asked).await {
        let known = known.map_err(|reason| ProposeError::Refused {
            reason: format!(
                "coordinator {:016x} at {} does not say which version of the log it knows: start it, or remove it ({reason})",
                member.id, member.address
            ),
        })?;
        if known < version {
            (version, behind) = (known, Some(member));
        }
    }
    let current = node.state().read().state.version();
    if version <= current {
        return Ok((current, behind));
    }
    let command = Batch::of(&LogCommand::Upgrade { version });
    node.propose(command.map_err(|error| ProposeError::Refused { reason: error.to_string() })?).await?;
    tracing::info!(version, "the cluster is upgraded");
    Ok((version, behind))
}
