//! One coordinator: its host, its disk, and whatever process runs there at the time.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use cullet_coordinator::raft::{Member, Node, NodeId, Timing};
use cullet_raft_log::simulation::FaultyDisk;
use cullet_raft_log::{ClusterId, Config, Error, Identity, Log, WriterMode};
use tokio::sync::watch;
use tonic::service::Routes;
use tonic::transport::Server;

use crate::chance::Chance;
use crate::doubling::doubling;
use crate::network;
use crate::operator::Order;
use crate::trace::Trace;

const CLUSTER: ClusterId = ClusterId([7; 16]);

/// Quick, so that much happens in a simulated second; and a log that is often replaced by a snapshot.
const TIMING: Timing = Timing {
    heartbeat: Duration::from_millis(50),
    election: Duration::from_millis(200),
    silence: Duration::from_secs(1),
    commit: Duration::from_secs(1),
    snapshot_entries: 40,
    kept_entries: 10,
};

/// What a disk that works takes for a write with its sync, in milliseconds.
pub(crate) const DISK_MS: u64 = 3;

/// How often is looked whether there is something to write or to do.
const LOOK: Duration = Duration::from_millis(1);

/// By how much its number rises when a coordinator loses its disk: more than there are coordinators.
const RENAMED: NodeId = 10;

/// What a coordinator's process is for.
pub(crate) trait Duty {
    /// What it answers to.
    fn routes(&self, node: &Node) -> Routes;

    /// What it does by itself. It ends with the process.
    async fn work(&self, node: &Node);
}

/// A coordinator and what outlives its process.
pub(crate) struct Coordinator {
    /// Its number, which is another one after it lost its disk.
    pub(crate) id: Cell<NodeId>,
    pub(crate) host: String,
    /// It belongs to the cluster only for a while.
    pub(crate) spare: bool,
    /// It was taken out for good.
    pub(crate) left: Cell<bool>,
    pub(crate) disk: RefCell<FaultyDisk>,
    /// What a write takes now, in milliseconds, at most.
    pub(crate) disk_ms: Cell<u64>,
    /// Counts its processes.
    pub(crate) incarnation: Cell<u64>,
    /// The process's part in raft, while there is one.
    pub(crate) node: RefCell<Option<Node>>,
    /// Why the last process ended by itself.
    pub(crate) ended: RefCell<Option<String>>,
    /// What its process is told to do.
    pub(crate) orders: RefCell<VecDeque<Rc<Order>>>,
    /// Nothing is written, as the process stands still.
    pub(crate) stands: Cell<bool>,
    /// For how long it stood still, when it goes on.
    pub(crate) stood: Cell<Duration>,
    seed: u64,
}

impl Coordinator {
    pub(crate) fn new(seed: u64, id: NodeId, spare: bool) -> Self {
        Self {
            id: Cell::new(id),
            host: format!("c{id}"),
            spare,
            left: Cell::new(false),
            disk: RefCell::new(FaultyDisk::new(seed ^ id << 32)),
            disk_ms: Cell::new(DISK_MS),
            incarnation: Cell::new(0),
            node: RefCell::new(None),
            ended: RefCell::new(None),
            orders: RefCell::default(),
            stands: Cell::new(false),
            stood: Cell::default(),
            seed,
        }
    }

    /// How it is named in a first membership.
    pub(crate) fn member(&self) -> (NodeId, Member) {
        (self.id.get(), Member { address: network::url(&self.host) })
    }

    /// The disk is as fast as it was made.
    pub(crate) fn mend(&self) {
        self.disk_ms.set(DISK_MS);
        self.disk.borrow().set_faults(cullet_raft_log::simulation::Faults::default());
    }

    /// The process ends without a word, and another disk is found by the next: call it before its tasks are dropped.
    pub(crate) fn stop(&self, disk: FaultyDisk) {
        *self.disk.borrow_mut() = disk;
        self.node.borrow_mut().take();
        self.orders.take();
        self.stood.take();
    }

    /// Whether its process takes itself for the leader.
    pub(crate) fn leads(&self) -> bool {
        self.node.borrow().as_ref().is_some_and(Node::leads)
    }

    /// It has another disk, with nothing on it, and another number: under the old one it had voted. Its process has ended.
    pub(crate) fn lose_disk(&self) {
        self.id.set(self.id.get() + RENAMED);
        self.stop(FaultyDisk::new(self.seed ^ self.id.get() << 32));
    }

    /// A process, from its start to its end. `made` is whether it makes the cluster, with these members.
    pub(crate) async fn run(
        self: Rc<Self>,
        members: Vec<(NodeId, Member)>,
        trace: Trace,
        duty: impl Duty + 'static,
    ) {
        self.incarnation.set(self.incarnation.get() + 1);
        self.ended.take();
        let reason = match self.serve(members, &trace, duty).await {
            Ok(()) => "raft stopped".to_owned(),
            Err(reason) => reason,
        };
        self.node.borrow_mut().take();
        trace.add(format_args!("{} ended: {reason}", self.host));
        *self.ended.borrow_mut() = Some(reason);
    }

    async fn serve(
        &self,
        members: Vec<(NodeId, Member)>,
        trace: &Trace,
        duty: impl Duty,
    ) -> Result<(), String> {
        let identity = Identity { cluster: CLUSTER, node: self.id.get() };
        // Small segments, so that there are several to open and to remove; and little room in them, so that a full disk is
        // noticed.
        let (segment_bytes, reserve_bytes) = (16 << 10, 1 << 10);
        let config = Config { writer: WriterMode::Driven, segment_bytes, reserve_bytes, ..Config::default() };
        let disk = Arc::new(self.disk.borrow().clone());
        let (failed, mut failures) = watch::channel(None);
        let on_failure = Box::new(move |error: &Error| drop(failed.send_replace(Some(error.to_string()))));
        let log = Log::open(disk, Path::new("/raft"), identity, config, on_failure);
        let log = log.map_err(|error| error.to_string())?;
        let chance = Chance::new(self.seed ^ self.incarnation.get(), &self.host);
        let doubles = Chance::new(self.seed ^ self.incarnation.get(), &format!("{} doubles", self.host));
        let node = async {
            let node =
                Node::start(log.clone(), TIMING, network::dial()).await.map_err(|error| error.to_string())?;
            // One that lost its disk would make another cluster.
            if members.iter().any(|(id, _)| *id == self.id.get()) {
                node.bootstrap(members.into_iter().collect()).await.map_err(|error| error.to_string())?;
            }
            *self.node.borrow_mut() = Some(node.clone());
            let incoming = network::incoming().await.map_err(|error| error.to_string())?;
            let server = Server::builder().add_routes(doubling(duty.routes(&node), doubles));
            tokio::select! {
                biased;
                reason = node.stopped() => Err(reason),
                failed = failures.wait_for(Option::is_some) => {
                    Err(failed.ok().and_then(|failed| failed.clone()).unwrap_or_default())
                }
                served = server.serve_with_incoming(incoming) => served.map_err(|error| error.to_string()),
                () = duty.work(&node) => Ok(()),
                () = self.obey(&node, trace) => Ok(()),
                () = network::go_on(&self.stood) => Ok(()),
            }
        };
        tokio::select! {
            biased;
            () = self.write(&log, chance) => Ok(()),
            ended = node => ended,
        }
    }

    /// Does what it is told.
    async fn obey(&self, node: &Node, trace: &Trace) {
        loop {
            tokio::time::sleep(LOOK).await;
            let order = self.orders.borrow_mut().pop_front();
            if let Some(order) = order {
                order.obey(node, &self.host, trace).await;
            }
        }
    }

    /// The disk at work.
    async fn write(&self, log: &Log, mut chance: Chance) {
        loop {
            tokio::time::sleep(LOOK).await;
            if self.stands.get() {
                continue;
            }
            let most = self.disk_ms.get();
            let took = chance.among(if most > DISK_MS { most / 2..=most } else { 0..=most });
            tokio::time::sleep(Duration::from_millis(took)).await;
            log.write_next();
        }
    }
}
