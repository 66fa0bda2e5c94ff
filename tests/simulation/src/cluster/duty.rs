//! A coordinator's whole process: raft, the engine and the services.

use std::cell::RefCell;
use std::sync::Arc;
use std::time::Duration;

use cullet_cache::Scope;
use cullet_coordinator::cluster::{Seat, control_service, raft_service};
use cullet_coordinator::engine::{Clock, Engine, EngineConfig, EngineParts, Results as _};
use cullet_coordinator::raft::Node;
use cullet_coordinator::services::{runs_service, workers_service};
use tonic::service::Routes;

use super::ledger::{Store, now};
use crate::coordinator::Duty;
use crate::network;

/// Longer than workers need to find a new leader, however many coordinators are down.
pub(crate) const LEASE: Duration = Duration::from_secs(6);

/// What a simulation begins with, milliseconds since the Unix epoch.
const EPOCH_MS: i64 = 1_790_000_000_000;

/// A machine's wall clock, which is wrong.
#[derive(Debug)]
struct WrongClock {
    off_ms: i64,
}

impl Clock for WrongClock {
    fn now_ms(&self) -> u64 {
        (EPOCH_MS + self.off_ms + now() as i64).unsigned_abs()
    }
}

/// The duty of one process.
pub(crate) struct Coordinating {
    pub(crate) host: String,
    pub(crate) store: Store,
    /// How wrong its clock is, milliseconds.
    pub(crate) off_ms: i64,
    engine: RefCell<Option<Engine>>,
}

impl Coordinating {
    pub(crate) const fn new(host: String, store: Store, off_ms: i64) -> Self {
        Self { host, store, off_ms, engine: RefCell::new(None) }
    }
}

impl Duty for Coordinating {
    fn routes(&self, node: &Node) -> Routes {
        let seat = Seat::new(node.identity().node, network::url(&self.host)).dialing(network::dial());
        let seat = Arc::new(seat);
        seat.take(node.clone());
        let parts = EngineParts {
            blobs: self.store.blobs.clone(),
            results: Arc::new(self.store.clone()),
            completeness: self.store.of(&Scope::Protected).completeness,
            clock: Arc::new(WrongClock { off_ms: self.off_ms }),
        };
        let config = EngineConfig { lease: LEASE, ..EngineConfig::default() };
        let engine = Engine::new(Arc::clone(&seat), parts, config);
        *self.engine.borrow_mut() = Some(engine.clone());
        Routes::new(raft_service(Arc::clone(&seat)))
            .add_service(control_service(seat))
            .add_service(runs_service(engine.clone()))
            .add_service(workers_service(engine))
    }

    async fn work(&self, _: &Node) {
        let engine = self.engine.borrow().clone();
        match engine {
            Some(engine) => engine.run().await,
            None => std::future::pending().await,
        }
    }
}
