//! What there is in the model, and how it begins.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use cullet_core::spec::{RunSpec, StepSpec};
use cullet_core::{LogCommand, RunId, State};
use cullet_digest::DigestFunction;
use stateright::{Model, Property};

use crate::actions::Action;
use crate::log::Log;
use crate::properties;
use crate::worker::{Key, Told, Went, Worker};

pub(crate) const RUN: RunId = RunId(1);

/// Acts on the outside world.
pub(crate) const EFFECTS: u32 = 1;

/// How often what can go wrong does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Bounds {
    /// Leases that end, whatever their workers do.
    pub(crate) lost_workers: u8,
    pub(crate) takeovers: u8,
    /// Workers' processes that end.
    pub(crate) crashes: u8,
    pub(crate) cancels: u8,
    /// Connections that break, with what is on its way to the worker.
    pub(crate) lost: u8,
    /// Messages that arrive twice.
    pub(crate) repeated: u8,
    /// Attempts that the machine fails.
    pub(crate) failures: u8,
    /// Times at which what is due happens.
    pub(crate) ticks: u8,
}

/// A mistake that somebody could make.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Plant {
    /// Whatever is reported counts for the current attempt.
    IgnoreEpoch,
    /// A step that acts on the outside world is treated like any other.
    RequeueEffects,
    /// A worker forgets a report once it was sent.
    ForgetReport,
    /// A new leader begins with nothing to do.
    ForgetOutstanding,
    /// A worker starts an attempt whenever it is told to.
    StartTwice,
    /// A worker remembers the last attempt whose end it was told, which need not be the newest.
    ForgetNewer,
    /// A finished step can be finished again.
    CountTwice,
}

/// The model.
#[derive(Debug, Clone)]
pub(crate) struct Lease {
    pub(crate) bounds: Bounds,
    pub(crate) plant: Option<Plant>,
}

/// One worker's connection.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub(crate) struct Connection {
    /// Whether there is one.
    pub(crate) open: bool,
    /// On its way to the worker, in any order.
    pub(crate) messages: BTreeSet<Told>,
}

/// Everything at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Cluster {
    pub(crate) log: Log,
    /// Steps that the leader has to look up.
    pub(crate) resolving: BTreeSet<u32>,
    pub(crate) workers: [Worker; 2],
    pub(crate) connections: [Connection; 2],
    /// On their way to the leader, with whose they are.
    pub(crate) reports: BTreeSet<(usize, Key, Went)>,
    pub(crate) left: Bounds,
    /// How often each attempt began, on whatever worker.
    pub(crate) begun: BTreeMap<Key, u8>,
    /// How often each step's end was recorded.
    pub(crate) ended: BTreeMap<u32, u8>,
    /// Reports that were taken in although they were not about the current attempt.
    pub(crate) unfenced: bool,
}

impl Model for Lease {
    type State = Cluster;
    type Action = Action;

    fn init_states(&self) -> Vec<Cluster> {
        let mut cluster = Cluster {
            log: Log::new(State::default()),
            resolving: BTreeSet::new(),
            workers: [Worker::default(), Worker::default()],
            connections: [Connection::default(), Connection::default()],
            reports: BTreeSet::new(),
            left: self.bounds,
            begun: BTreeMap::new(),
            ended: BTreeMap::new(),
            unfenced: false,
        };
        cluster.connect(0);
        cluster.connect(1);
        cluster.commit(&LogCommand::Submit { run: RUN, spec: Arc::new(self.run()), at: 1 });
        vec![cluster]
    }

    fn actions(&self, cluster: &Cluster, actions: &mut Vec<Action>) {
        cluster.possible(actions);
    }

    fn next_state(&self, cluster: &Cluster, action: Action) -> Option<Cluster> {
        let mut next = cluster.clone();
        next.act(self, action);
        (next != *cluster).then_some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        properties::all()
    }
}

impl Lease {
    fn run(&self) -> RunSpec {
        let effects = self.plant != Some(Plant::RequeueEffects);
        let steps = vec![step("plain", false), step("effects", effects)];
        RunSpec { pipeline: "model".into(), steps, keep_going: true, ..RunSpec::default() }
    }
}

fn step(name: &str, effects: bool) -> StepSpec {
    StepSpec {
        name: name.into(),
        command: DigestFunction::Blake3.digest(name.as_bytes()),
        inputs: Box::default(),
        after: Box::default(),
        outputs: 0,
        requires: 0,
        cpu_millis: 1000,
        memory_bytes: 0,
        timeout_ms: 1000,
        limits: 0,
        retry_failure: 0,
        retry_infra: 3,
        effects,
        allow_failure: true,
        bypass_cache: true,
        skip: None,
    }
}
