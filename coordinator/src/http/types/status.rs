//! A coordinator's view of its cluster.

use cullet_proto::v1;
use serde::Serialize;
use utoipa::ToSchema;

use super::some;

/// What one coordinator knows.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::http) struct ClusterStatus {
    /// Its number, 16 hexadecimal digits.
    id: String,
    /// 32 hexadecimal digits; null before it has found its cluster.
    cluster_id: Option<String>,
    /// Of Cullet.
    version: String,
    /// Of the log, as far as this coordinator has applied it; 0 before it has found its cluster.
    log_version: u32,
    /// The newest version of the log that this coordinator's program knows.
    newest_log_version: u32,
    /// Whether it can take part in deciding.
    ready: bool,
    /// Why not.
    reason: Option<String>,
    /// Null where no leader is known.
    leader: Option<String>,
    /// Of raft.
    term: u64,
    /// Of the last entry in its log.
    last_log_index: u64,
    /// Of the last entry that is known to be on a majority.
    committed_index: u64,
    /// Of the last entry that was applied.
    applied_index: u64,
    /// Of the last entry that is in a snapshot.
    snapshot_index: u64,
    /// A chain over everything up to `applied_index`, 64 hexadecimal digits.
    log_hash: String,
    /// Coordinators.
    members: Vec<Member>,
    /// Workers that the cluster counts on.
    workers: Vec<Worker>,
    /// Runs that have not ended.
    live_runs: u64,
    /// Steps that wait for a worker.
    ready_steps: u64,
    /// Steps that run on a worker.
    running_steps: u64,
}

/// A coordinator.
#[derive(Debug, Serialize, ToSchema)]
struct Member {
    /// 16 hexadecimal digits.
    id: String,
    /// As `http://host:port`.
    address: String,
    /// Whether it counts for a majority.
    voter: bool,
    /// Milliseconds since the leader heard of it last. Null where the leader has heard nothing of it since it leads, and where
    /// this coordinator does not lead.
    heard_ms_ago: Option<u64>,
}

/// A worker.
#[derive(Debug, Serialize, ToSchema)]
struct Worker {
    /// Its number in the log.
    id: u64,
    /// For people.
    name: String,
    /// As `http://host:port`.
    address: String,
    /// Thousandths of a processor.
    cpu_millis: u32,
    /// Bytes.
    memory_bytes: u64,
    /// Thousandths of a processor that its steps take.
    used_cpu_millis: u64,
    /// Bytes that its steps take.
    used_memory_bytes: u64,
    /// Steps that run on it.
    running: u32,
    /// Whether it takes nothing more.
    draining: bool,
}

fn number(id: u64) -> String {
    format!("{id:016x}")
}

impl From<v1::StatusResponse> for ClusterStatus {
    fn from(status: v1::StatusResponse) -> Self {
        Self {
            id: number(status.id),
            cluster_id: some(status.cluster_id),
            version: status.version,
            log_version: status.log_version,
            newest_log_version: status.newest_log_version,
            ready: status.ready,
            reason: some(status.reason),
            leader: (status.leader != 0).then(|| number(status.leader)),
            term: status.term,
            last_log_index: status.last_log_index,
            committed_index: status.committed_index,
            applied_index: status.applied_index,
            snapshot_index: status.snapshot_index,
            log_hash: status.log_hash,
            members: status.members.into_iter().map(Member::from).collect(),
            workers: status.workers.into_iter().map(Worker::from).collect(),
            live_runs: status.live_runs,
            ready_steps: status.ready_steps,
            running_steps: status.running_steps,
        }
    }
}

impl From<v1::Member> for Member {
    fn from(member: v1::Member) -> Self {
        let v1::Member { id, address, voter, heard_ms_ago } = member;
        Self { id: number(id), address, voter, heard_ms_ago }
    }
}

impl From<v1::WorkerStatus> for Worker {
    fn from(worker: v1::WorkerStatus) -> Self {
        Self {
            id: worker.id,
            name: worker.name,
            address: worker.address,
            cpu_millis: worker.cpu_millis,
            memory_bytes: worker.memory_bytes,
            used_cpu_millis: worker.used_cpu_millis,
            used_memory_bytes: worker.used_memory_bytes,
            running: worker.running,
            draining: worker.draining,
        }
    }
}
