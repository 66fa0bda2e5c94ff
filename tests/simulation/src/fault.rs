//! What goes wrong in a run, and when.

use std::rc::Rc;
use std::time::Duration;

use crate::chance::Chance;
use crate::coordinator::Coordinator;

/// A kind of trouble.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// A process ends; what it wrote is still there.
    Kill,
    /// A machine loses power; of what was not synced, some is there.
    PowerCut,
    /// All machines do, at once.
    Blackout,
    /// The power goes in the middle of some change of the disk.
    TornWrite,
    /// A sync fails.
    FailedSync,
    /// There is no space.
    FullDisk,
    /// Writes take long.
    SlowDisk,
    /// Writes take longer than anybody waits, everywhere.
    SlowDisks,
    /// Nobody reaches it, and it reaches nobody.
    Isolate,
    /// Two of them, where there are five.
    Minority,
    /// It reaches the others, but hears nothing.
    Deaf,
    /// The others do not hear it.
    Mute,
    /// Two halves that reach each other only through one of five.
    Bridge,
    /// Nothing to or from it arrives, until all of it does.
    Hang,
    /// Messages from and to it take long.
    SlowNetwork,
    /// Its process stands still and then goes on, with what came meanwhile still before it.
    Pause,
    /// Leadership is handed over.
    Transfer,
    /// One more is taken in for a while.
    Expand,
    /// One is taken out for a while.
    Shrink,
    /// One loses its disk, and takes its own place as another one.
    Replace,
}

impl Fault {
    const OF_THREE: &[Self] = &[
        Self::Kill,
        Self::PowerCut,
        Self::Blackout,
        Self::TornWrite,
        Self::FailedSync,
        Self::FullDisk,
        Self::SlowDisk,
        Self::SlowDisks,
        Self::Isolate,
        Self::Deaf,
        Self::Mute,
        Self::Hang,
        Self::SlowNetwork,
        Self::Pause,
        Self::Transfer,
        Self::Expand,
        Self::Shrink,
        Self::Replace,
    ];
    const OF_FIVE: &[Self] = &[Self::Minority, Self::Bridge];
    /// What a cluster gets along with for as long as it lasts.
    const OF_ONE: &[Self] = &[Self::Kill, Self::Isolate, Self::Deaf, Self::Mute, Self::Hang, Self::Shrink];

    /// Whether it is a change of the members. Of those there is one at a time: two together may leave no majority for ever.
    pub(crate) const fn changes_members(self) -> bool {
        matches!(self, Self::Expand | Self::Shrink | Self::Replace)
    }
}

/// One fault of a plan.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Planned {
    pub(crate) fault: Fault,
    pub(crate) begins: Duration,
    pub(crate) ends: Duration,
    /// Whether it happens to whoever leads then.
    pub(crate) leader: bool,
    /// A number that decides what else there is to decide.
    pub(crate) pick: u64,
}

impl Planned {
    /// Of one coordinator, mostly of the leader, from then on.
    pub(crate) fn for_good(begins: Duration, chance: &mut Chance) -> Self {
        let fault = *chance.pick(Fault::OF_ONE);
        Self { fault, begins, ends: Duration::MAX, leader: chance.percent(70), pick: chance.next() }
    }

    /// The same, later where that is later.
    pub(crate) fn no_sooner_than(mut self, at: Duration) -> Self {
        let late = at.saturating_sub(self.begins);
        self.begins += late;
        self.ends = self.ends.saturating_add(late);
        self
    }

    /// Whether it never ends.
    pub(crate) fn is_for_good(&self) -> bool {
        self.ends == Duration::MAX
    }
}

/// A whole run.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    /// How many the cluster has.
    pub(crate) coordinators: u64,
    pub(crate) faults: Vec<Planned>,
    /// When the last fault is over.
    pub(crate) healed: Duration,
}

impl Plan {
    /// The coordinators of a run: those of the cluster, and one more where it is taken in for a while.
    pub(crate) fn all(&self, seed: u64) -> Vec<Rc<Coordinator>> {
        let spare = self.faults.iter().any(|planned| planned.fault == Fault::Expand);
        let ids = 1..=self.coordinators + u64::from(spare);
        ids.map(|id| Rc::new(Coordinator::new(seed, id, id > self.coordinators))).collect()
    }

    /// What the seed says.
    pub(crate) fn new(seed: u64) -> Self {
        let mut chance = Chance::new(seed, "plan");
        let coordinators = if chance.percent(30) { 5 } else { 3 };
        let mut faults: Vec<Planned> = Vec::new();
        let mut begins = chance.millis(1000..=1500);
        for _ in 0..chance.among(3..=5) {
            let fault = if coordinators == 5 && chance.percent(35) {
                *chance.pick(Fault::OF_FIVE)
            } else {
                *chance.pick(Fault::OF_THREE)
            };
            let ends = begins + chance.millis(150..=1500);
            faults.push(Planned { fault, begins, ends, leader: chance.percent(60), pick: chance.next() });
            // The next one begins before this one ends, or after.
            begins += chance.millis(100..=1800);
        }
        let healed = faults.iter().map(|fault| fault.ends).max().unwrap_or_default();
        Self { coordinators, faults, healed }
    }
}
