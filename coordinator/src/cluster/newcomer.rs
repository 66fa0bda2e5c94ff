//! Who asks to be taken in, looked at before anything is changed for it: a voter that never answers costs a majority.

use std::time::Duration;

use tonic::Status;

use super::peers::ask;
use super::seat::Seat;
use crate::raft::{Node, NodeId};

/// How long a newcomer may take to say who it is.
const PATIENCE: Duration = Duration::from_secs(5);

/// Whether that coordinator is there, at that address, belongs to this cluster, and understands it.
///
/// # Errors
/// FAILED_PRECONDITION, with what to do.
pub(super) async fn check(seat: &Seat, node: &Node, id: NodeId, address: &str) -> Result<(), Status> {
    let refuse = |reason: String| Err(Status::failed_precondition(reason));
    let found = match ask(seat.dial(), address, PATIENCE).await {
        Ok(found) => found,
        Err(why) => {
            return refuse(format!(
                "no coordinator answers at {address}, asked from here: start it first ({why})"
            ));
        }
    };
    let ours = node.identity().cluster.to_string();
    if found.cluster_id.is_empty() {
        return refuse(format!(
            "the coordinator at {address} belongs to no cluster so far: start it with --peer and the addresses of this one, and it \
             asks by itself"
        ));
    }
    if found.cluster_id != ours {
        return refuse(format!(
            "the coordinator at {address} belongs to cluster {}, and this is {ours}: start it with an empty data directory, and \
             with --peer and the addresses of this one",
            found.cluster_id
        ));
    }
    if found.id != id {
        return refuse(format!(
            "at {address} is coordinator {:016x}, and {id:016x} is to be taken in",
            found.id
        ));
    }
    let version = node.state().read().state.version();
    if found.newest_log_version < version {
        return refuse(format!(
            "{address} knows version {} of the log, and the cluster is at version {version}: start a newer program there",
            found.newest_log_version
        ));
    }
    Ok(())
}
