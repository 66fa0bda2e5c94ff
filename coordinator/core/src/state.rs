//! Everything the core knows.

use serde::{Deserialize, Serialize};

use crate::apply::Transition;
use crate::clients::Clients;
use crate::durations::Durations;
use crate::flights::Flights;
use crate::forgotten::Forgotten;
use crate::labels::LabelSets;
use crate::ready::ReadyQueue;
use crate::retired::Retired;
use crate::run::Run;
use crate::runs::Runs;
use crate::step::Step;
use crate::tenants::{TenantView, Tenants};
use crate::workers::{WorkerView, Workers};
use crate::{Effect, Epoch, FIRST_VERSION, LogCommand, RunId, Settings, StepId, TimeMs, WorkerId, hash};

/// The state that a log of commands leads to. Serialising it makes a snapshot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    pub(crate) runs: Runs,
    pub(crate) retired: Retired,
    pub(crate) forgotten: Forgotten,
    pub(crate) settings: Settings,
    pub(crate) tenants: Tenants,
    pub(crate) clients: Clients,
    pub(crate) labels: LabelSets,
    pub(crate) durations: Durations,
    pub(crate) workers: Workers,
    pub(crate) ready: ReadyQueue,
    pub(crate) flights: Flights,
    pub(crate) last_epoch: Epoch,
    /// How many submissions were taken in.
    pub(crate) submissions: u64,
    /// See [`crate::NEWEST_VERSION`].
    version: u32,
    #[cfg(feature = "next-version")]
    #[serde(default, skip_serializing_if = "never")]
    pub(crate) rehearsals: u64,
    pub(crate) refused: u64,
    pub(crate) applied: u64,
    /// The latest time in any command.
    latest: TimeMs,
    log_hash: [u8; 32],
}

/// Whether a field of the next version has the value that it has in states of this one, whose hash must not change with it.
#[cfg(feature = "next-version")]
const fn never(rehearsals: &u64) -> bool {
    *rehearsals == 0
}

/// Nothing has happened, in a cluster of the first version.
impl Default for State {
    fn default() -> Self {
        Self::new(FIRST_VERSION)
    }
}

impl State {
    /// Nothing has happened, in a cluster of this version.
    pub fn new(version: u32) -> Self {
        Self {
            runs: Runs::default(),
            retired: Retired::default(),
            forgotten: Forgotten::default(),
            settings: Settings::default(),
            tenants: Tenants::default(),
            clients: Clients::default(),
            labels: LabelSets::default(),
            durations: Durations::default(),
            workers: Workers::default(),
            ready: ReadyQueue::default(),
            flights: Flights::default(),
            last_epoch: Epoch::default(),
            submissions: 0,
            refused: 0,
            applied: 0,
            latest: 0,
            log_hash: [0; 32],
            version,
            #[cfg(feature = "next-version")]
            rehearsals: 0,
        }
    }

    /// The version of the cluster: that of the newest commands it may be told.
    pub const fn version(&self) -> u32 {
        self.version
    }

    /// From here on it is this one.
    pub(crate) const fn upgrade(&mut self, version: u32) {
        self.version = version;
    }

    /// Takes in one entry of the log and says what is to be done about it, in this order. Never fails: what
    /// is late, repeated or about something unknown is counted in [`Self::refused`] and changes nothing else.
    pub fn apply(&mut self, command: &LogCommand) -> Vec<Effect> {
        // Time does not go back because another coordinator's clock is behind.
        self.latest = self.latest.max(command.at().unwrap_or(0));
        let effects = Transition::new(self, self.latest).run(command);
        self.applied += 1;
        self.log_hash = hash::hash(&(&self.log_hash, command, &effects));
        effects
    }

    /// Names the history: a chain over all commands and their effects. Two states have the same if and only
    /// if they took in the same commands and gave the same effects.
    pub const fn log_hash(&self) -> [u8; 32] {
        self.log_hash
    }

    /// BLAKE3 of the canonical encoding of the whole state. Takes time in proportion to its size: for
    /// snapshots and tests.
    pub fn state_hash(&self) -> [u8; 32] {
        hash::hash(self)
    }

    /// A run that was submitted and not forgotten.
    pub fn run(&self, run: RunId) -> Option<&Run> {
        self.runs.get(&run)
    }

    /// All runs that were submitted and not forgotten, by id.
    pub fn runs(&self) -> impl Iterator<Item = (RunId, &Run)> {
        self.runs.iter()
    }

    /// Whether a run with this id was here, ended and was forgotten, as far as that is remembered. Submitted again, it
    /// is refused.
    pub fn has_forgotten(&self, run: RunId) -> bool {
        self.forgotten.contains(run)
    }

    /// How many commands were applied.
    pub const fn applied_commands(&self) -> u64 {
        self.applied
    }

    /// The latest time in any command. Whoever proposes the next one goes on from here.
    pub const fn latest(&self) -> TimeMs {
        self.latest
    }

    /// The steps that run on a worker.
    pub fn running_on(&self, worker: WorkerId) -> impl Iterator<Item = StepId> {
        self.workers.running_on(worker)
    }

    /// Limits and preferences.
    pub const fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Tenants that have runs under way, by name.
    pub fn tenants(&self) -> impl Iterator<Item = TenantView<'_>> {
        self.tenants.views(&self.ready)
    }

    /// All workers, by number.
    pub fn workers(&self) -> impl Iterator<Item = WorkerView<'_>> {
        self.workers.views()
    }

    /// One worker, unless it left or never joined.
    pub fn worker(&self, worker: WorkerId) -> Option<WorkerView<'_>> {
        self.workers.view(worker)
    }

    /// The worker that has this name now.
    pub fn worker_named(&self, name: &str) -> Option<WorkerView<'_>> {
        self.workers.named(name)
    }

    /// The worker that is kept free for a large step, with the processor (in thousandths) and the memory that it
    /// asks for.
    pub fn reserved(&self) -> Option<(WorkerId, u32, u64)> {
        let reservation = self.ready.reservation()?;
        let demand = reservation.group.demand;
        Some((reservation.worker, demand.cpu_millis, demand.memory_bytes))
    }

    /// How many commands changed nothing because they were late, repeated or about something unknown.
    pub const fn refused(&self) -> u64 {
        self.refused
    }

    pub(crate) fn step_mut(&mut self, id: StepId) -> Option<&mut Step> {
        self.runs.get_mut(&id.run)?.steps.get_mut(id.step as usize)
    }
}
