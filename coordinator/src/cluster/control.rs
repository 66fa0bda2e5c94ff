//! `cullet.v1.Cluster`, for whoever operates it.

use std::sync::Arc;
use std::time::Duration;

use cullet_core::NEWEST_VERSION;
use cullet_proto::v1;
use cullet_proto::v1::cluster_client::ClusterClient;
use cullet_proto::v1::cluster_server::{Cluster, ClusterServer};
use tonic::metadata::MetadataValue;
use tonic::transport::Channel;
use tonic::{Request, Response, Status};

use super::newcomer;
use super::peers::connect;
use super::seat::Seat;
use super::upgrade::upgrade;
use crate::raft::{Member, MemberView, Node, NodeId, ProposeError};

/// Marks a call that another coordinator passed on, so that two that take each other for the leader do not pass it to
/// and fro.
pub(crate) const FORWARDED: &str = "cullet-forwarded";

/// A membership change waits until a new member has caught up, which can take a whole snapshot.
const FORWARD_DEADLINE: Duration = Duration::from_secs(120);

/// The service of a coordinator.
pub fn control_service(seat: Arc<Seat>) -> ClusterServer<impl Cluster> {
    ClusterServer::new(Control { seat })
}

struct Control {
    seat: Arc<Seat>,
}

impl Control {
    fn node(&self) -> Result<Node, Status> {
        self.seat.node().ok_or_else(|| Status::unavailable("this coordinator has not found its cluster yet"))
    }

    fn members(&self) -> Vec<v1::Member> {
        members(&self.seat)
    }
}

fn members(seat: &Seat) -> Vec<v1::Member> {
    seat.members().into_iter().map(wire).collect()
}

/// What a coordinator knows.
pub(crate) fn status(seat: &Seat) -> v1::StatusResponse {
    let not_ready = seat.not_ready();
    let mut status = v1::StatusResponse {
        id: seat.id(),
        cluster_id: seat.cluster().map(|cluster| cluster.to_string()).unwrap_or_default(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        newest_log_version: NEWEST_VERSION,
        members: members(seat),
        ready: not_ready.is_none(),
        reason: not_ready.unwrap_or_default(),
        ..v1::StatusResponse::default()
    };
    if let Some(node) = seat.node() {
        describe(&node, &mut status);
    }
    status
}

fn wire(member: MemberView) -> v1::Member {
    let heard_ms_ago = member.heard.map(|heard| u64::try_from(heard.as_millis()).unwrap_or(u64::MAX));
    v1::Member { id: member.id, address: member.address, voter: member.voter, heard_ms_ago }
}

/// Passes a call on to the leader, where that is why this node could not answer it.
async fn pass_on<Q, A, F>(
    seat: &Seat,
    request: Request<Q>,
    error: ProposeError,
    call: impl FnOnce(ClusterClient<Channel>, Request<Q>) -> F,
) -> Result<Response<A>, Status>
where
    F: Future<Output = Result<Response<A>, Status>>,
{
    let leader = match error {
        ProposeError::NotLeader { leader: Some(leader) } if request.metadata().get(FORWARDED).is_none() => {
            leader
        }
        ProposeError::Refused { reason } => return Err(Status::failed_precondition(reason)),
        error => return Err(Status::unavailable(error.to_string())),
    };
    let channel = connect(seat.dial(), &leader.address, FORWARD_DEADLINE)
        .map_err(|error| Status::unavailable(error.to_string()))?;
    let mut passed = Request::new(request.into_inner());
    passed.metadata_mut().insert(FORWARDED, MetadataValue::from_static("1"));
    call(ClusterClient::new(channel), passed).await
}

#[tonic::async_trait]
impl Cluster for Control {
    async fn status(&self, _: Request<v1::StatusRequest>) -> Result<Response<v1::StatusResponse>, Status> {
        Ok(Response::new(status(&self.seat)))
    }

    async fn add_member(
        &self,
        request: Request<v1::AddMemberRequest>,
    ) -> Result<Response<v1::AddMemberResponse>, Status> {
        let v1::AddMemberRequest { id, address, learner } = request.get_ref().clone();
        if id == 0 || !is_address(&address) {
            return Err(Status::invalid_argument(
                "a member needs a number and an address as http://host:port",
            ));
        }
        let node = self.node()?;
        if node.leads() {
            newcomer::check(&self.seat, &node, id, &address).await?;
        }
        match node.add_member(id, Member { address }, learner).await {
            Ok(()) => Ok(Response::new(v1::AddMemberResponse { members: self.members() })),
            Err(error) => {
                let call = |mut client: ClusterClient<Channel>, request| async move {
                    client.add_member(request).await
                };
                pass_on(&self.seat, request, error, call).await
            }
        }
    }

    async fn remove_member(
        &self,
        request: Request<v1::RemoveMemberRequest>,
    ) -> Result<Response<v1::RemoveMemberResponse>, Status> {
        let id: NodeId = request.get_ref().id;
        match self.node()?.remove_member(id).await {
            Ok(()) => Ok(Response::new(v1::RemoveMemberResponse { members: self.members() })),
            Err(error) => {
                let call = |mut client: ClusterClient<Channel>, request| async move {
                    client.remove_member(request).await
                };
                pass_on(&self.seat, request, error, call).await
            }
        }
    }

    async fn upgrade(
        &self,
        request: Request<v1::UpgradeRequest>,
    ) -> Result<Response<v1::UpgradeResponse>, Status> {
        match upgrade(&self.seat, &self.node()?).await {
            Ok((log_version, behind)) => {
                let behind = behind.filter(|_| log_version < NEWEST_VERSION).map(wire);
                let newest_log_version = NEWEST_VERSION;
                Ok(Response::new(v1::UpgradeResponse { log_version, newest_log_version, behind }))
            }
            Err(error) => {
                let call = |mut client: ClusterClient<Channel>, request| async move {
                    client.upgrade(request).await
                };
                pass_on(&self.seat, request, error, call).await
            }
        }
    }

    async fn transfer_leadership(
        &self,
        request: Request<v1::TransferLeadershipRequest>,
    ) -> Result<Response<v1::TransferLeadershipResponse>, Status> {
        let to = Some(request.get_ref().to).filter(|to| *to != 0);
        match self.node()?.transfer(to).await {
            Ok(leader) => Ok(Response::new(v1::TransferLeadershipResponse { leader })),
            Err(error) => {
                let call = |mut client: ClusterClient<Channel>, request| async move {
                    client.transfer_leadership(request).await
                };
                pass_on(&self.seat, request, error, call).await
            }
        }
    }
}

fn is_address(address: &str) -> bool {
    address
        .parse::<tonic::transport::Uri>()
        .is_ok_and(|uri| uri.scheme().is_some() && uri.authority().is_some())
}

fn describe(node: &Node, status: &mut v1::StatusResponse) {
    let view = node.view();
    status.leader = view.leader.unwrap_or(0);
    status.term = view.term;
    status.last_log_index = view.last_log_index;
    status.snapshot_index = view.snapshot_index;
    let applying = node.state().read();
    status.log_version = applying.state.version();
    status.applied_index = applying.log_id.map_or(0, |log_id| log_id.index);
    status.log_hash = applying.state.log_hash().iter().map(|byte| format!("{byte:02x}")).collect();
    status.committed_index = view.committed_index;
    status.ready_steps = applying.state.tenants().map(|tenant| tenant.ready as u64).sum();
    status.running_steps = applying.state.workers().map(|worker| worker.running as u64).sum();
    status.live_runs = applying.state.runs().filter(|(_, run)| run.status().is_none()).count() as u64;
    let workers = applying.state.workers().map(|worker| v1::WorkerStatus {
        id: worker.id.0,
        name: worker.spec.name.to_string(),
        address: worker.spec.address.to_string(),
        cpu_millis: worker.spec.cpu_millis,
        memory_bytes: worker.spec.memory_bytes,
        draining: worker.draining,
        used_cpu_millis: worker.used_cpu_millis,
        used_memory_bytes: worker.used_memory_bytes,
        running: u32::try_from(worker.running).unwrap_or(u32::MAX),
        labels: worker
            .spec
            .labels
            .iter()
            .map(|(name, value)| (name.to_string(), value.to_string()))
            .collect(),
    });
    status.workers = workers.collect();
}
