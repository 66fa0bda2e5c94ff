//! Who has runs under way, and how much.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::ready::ReadyQueue;
use crate::{Epoch, Settings, TimeMs};

/// A tenant, numbered while it has live runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct TenantId(u64);

/// What there is to know about a tenant that has live runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TenantView<'a> {
    /// Its name.
    pub name: &'a str,
    /// Runs under way.
    pub live_runs: u32,
    /// Steps that these have.
    pub live_steps: u64,
    /// Thousandths of a processor that its running steps take.
    pub used_cpu_millis: u64,
    /// Steps that wait for a worker.
    pub ready: usize,
}

/// Parts of a thousandth of a processor for a millisecond, in which shares are counted: so little is lost when they are
/// divided by weights.
const FINE: u128 = 1 << 20;

/// What a running step counts beyond the time that it has run, in milliseconds. Steps that start at the same time have not
/// run at all, and yet whoever starts one stands behind who does not.
const AHEAD_MS: u64 = 10_000;

/// How far a tenant with waiting steps is at most behind the one that had most among those that have some, by weight: ten
/// minutes of a processor. Without a bound, others would have nothing while it catches up.
const CATCH_UP: u128 = 600_000 * 1_000 * FINE;

/// Tenants without live runs whose shares are remembered: more than are likely to come and go while others catch up with them.
/// Of more, the one that had least is forgotten.
const MAX_DEPARTED: usize = 1_000;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Tenant {
    pub(crate) name: Arc<str>,
    live_runs: u32,
    live_steps: u64,
    used_cpu_millis: u64,
    /// What its running steps count, see [`crate::workers::Workers::counted`].
    used: u64,
    /// At least 1.
    weight: u32,
    /// What its steps counted up to a time, by weight: [`FINE`] for each thousandth of a processor and millisecond. Of what
    /// was while it had nothing waiting, only as much is left as others had, too.
    share: u128,
    until: TimeMs,
    /// The epoch of its last start; 0 before the first.
    last_start: Epoch,
}

impl Tenant {
    fn share(&self, now: TimeMs) -> u128 {
        self.share.saturating_add(self.used_for(now.saturating_sub(self.until)))
    }

    /// What its running steps count in so many milliseconds, by weight.
    fn used_for(&self, ms: u64) -> u128 {
        if self.used == 0 {
            return 0;
        }
        (u128::from(self.used) * u128::from(ms)).saturating_mul(FINE) / u128::from(self.weight)
    }

    fn count(&mut self, now: TimeMs) {
        self.raise(0, now);
    }

    /// It had at least as much.
    fn raise(&mut self, least: u128, now: TimeMs) {
        self.share = self.share(now).max(least);
        self.until = now;
    }

    fn turn(&self, tenant: TenantId, now: TimeMs) -> TenantTurn {
        let counted = self.share(now).saturating_add(self.used_for(AHEAD_MS));
        TenantTurn { counted, last: self.last_start, tenant }
    }
}

/// Whose turn comes first: who had less of the workers, by weight; then who had the last turn before the other; then who came
/// first. What runs counts for a while more, so that those who had as much share what is free.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct TenantTurn {
    counted: u128,
    last: Epoch,
    pub(crate) tenant: TenantId,
}

impl TenantTurn {
    /// Before all others.
    pub(crate) const fn first(tenant: TenantId) -> Self {
        Self { counted: 0, last: 0, tenant }
    }
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Tenants {
    all: BTreeMap<TenantId, Tenant>,
    by_name: BTreeMap<Arc<str>, TenantId>,
    last: u64,
    live_runs: u32,
    live_steps: u64,
    /// The share that whoever had a turn had before: the most of that.
    level: u128,
    /// Those that had no waiting steps when there was a turn last, and have some now.
    woken: BTreeSet<TenantId>,
    /// The shares of tenants that have no live runs, where they are above the level: nobody gets more by coming anew for
    /// each step.
    departed: BTreeMap<Arc<str>, u128>,
}

impl Tenants {
    /// Counts a run with so many steps.
    pub(crate) fn enter(&mut self, name: &str, steps: u64, settings: &Settings) -> TenantId {
        let id = self.by_name.get(name).copied().unwrap_or_else(|| self.add(name, settings.weight(name)));
        if let Some(tenant) = self.all.get_mut(&id) {
            tenant.live_runs += 1;
            tenant.live_steps += steps;
        }
        self.live_runs += 1;
        self.live_steps += steps;
        id
    }

    fn add(&mut self, name: &str, weight: u32) -> TenantId {
        self.last += 1;
        let (id, name) = (TenantId(self.last), Arc::<str>::from(name));
        self.by_name.insert(Arc::clone(&name), id);
        let share = self.departed.remove(&name).unwrap_or(0);
        let tenant = Tenant {
            name,
            live_runs: 0,
            live_steps: 0,
            used_cpu_millis: 0,
            used: 0,
            weight,
            share,
            until: 0,
            last_start: 0,
        };
        self.all.insert(id, tenant);
        id
    }

    /// A run that was counted with [`Self::enter`] is at its end.
    pub(crate) fn leave(&mut self, id: TenantId, steps: u64) {
        let Some(tenant) = self.all.get_mut(&id) else { return };
        self.live_runs -= 1;
        self.live_steps -= steps;
        tenant.live_runs -= 1;
        tenant.live_steps -= steps;
        if tenant.live_runs == 0 {
            self.by_name.remove(&tenant.name);
            self.woken.remove(&id);
            let gone = self.all.remove(&id);
            if let Some(Tenant { name, share, .. }) = gone.filter(|tenant| tenant.share > self.level) {
                self.depart(name, share);
            }
        }
    }

    fn depart(&mut self, name: Arc<str>, share: u128) {
        self.departed.insert(name, share);
        if self.departed.len() > MAX_DEPARTED {
            self.departed.retain(|_, share| *share > self.level);
            let least =
                self.departed.iter().min_by_key(|(_, share)| **share).map(|(name, _)| Arc::clone(name));
            if let Some(least) = least.filter(|_| self.departed.len() > MAX_DEPARTED) {
                self.departed.remove(&least);
            }
        }
    }

    pub(crate) const fn live_runs(&self) -> u32 {
        self.live_runs
    }

    pub(crate) const fn live_steps(&self) -> u64 {
        self.live_steps
    }

    /// How many live runs a tenant has, and steps in them.
    pub(crate) fn live_of(&self, name: &str) -> (u32, u64) {
        let tenant = self.by_name.get(name).and_then(|id| self.all.get(id));
        tenant.map_or((0, 0), |tenant| (tenant.live_runs, tenant.live_steps))
    }

    /// Weights change from now on. What was before is what it was: nobody is further behind for it, or further ahead.
    pub(crate) fn weigh(&mut self, settings: &Settings, now: TimeMs) {
        for tenant in self.all.values_mut() {
            tenant.count(now);
            tenant.weight = settings.weight(&tenant.name);
        }
    }

    /// A tenant without any waiting step gets one.
    pub(crate) fn wake(&mut self, id: TenantId) {
        self.woken.insert(id);
    }

    /// Whether it matters what others had up to now.
    pub(crate) fn has_woken(&self) -> bool {
        !self.woken.is_empty()
    }

    /// The turns of tenants that have waiting steps, which come in ascending order. Takes time in proportion to the number
    /// of tenants.
    ///
    /// Who had nothing waiting has no claim to what others had meanwhile. Who had something waiting that fitted nowhere, or
    /// ran less than others when nobody wanted more, has a bounded claim.
    pub(crate) fn line_up(
        &mut self,
        waiting: impl Iterator<Item = TenantId>,
        now: TimeMs,
    ) -> Vec<TenantTurn> {
        let mut waiting = waiting.peekable();
        let woken = std::mem::take(&mut self.woken);
        let mut line = Vec::new();
        let (mut least_waiting, mut least_running, mut most) = (None::<u128>, None::<u128>, 0);
        for (id, tenant) in &mut self.all {
            let (waits, woke) = (waiting.next_if_eq(id).is_some(), woken.contains(id));
            if !woke {
                let share = tenant.share(now);
                let least = if waits { &mut least_waiting } else { &mut least_running };
                if waits || tenant.used > 0 {
                    *least = Some(least.map_or(share, |least| least.min(share)));
                }
                most = most.max(share);
            }
            if waits {
                line.push((*id, woke, tenant));
            }
        }
        let entry = least_waiting.or(least_running).unwrap_or(most).max(self.level);
        for (_, _, tenant) in line.iter_mut().filter(|(_, woke, _)| *woke) {
            tenant.raise(entry, now);
        }
        let most = line.iter().map(|(.., tenant)| tenant.share(now)).max().unwrap_or(0);
        let turn = |(id, _, tenant): (TenantId, bool, &mut Tenant)| {
            tenant.raise(most.saturating_sub(CATCH_UP), now);
            tenant.turn(id, now)
        };
        line.into_iter().map(turn).collect()
    }

    /// The tenant's turn as it is now.
    pub(crate) fn turn(&self, id: TenantId, now: TimeMs) -> Option<TenantTurn> {
        self.all.get(&id).map(|tenant| tenant.turn(id, now))
    }

    /// A step of the tenant starts, with this epoch, that counts so much.
    pub(crate) fn take(&mut self, id: TenantId, cpu_millis: u32, counted: u64, epoch: Epoch, now: TimeMs) {
        let Some(tenant) = self.all.get_mut(&id) else { return };
        tenant.last_start = epoch;
        tenant.count(now);
        self.level = self.level.max(tenant.share);
        tenant.used_cpu_millis += u64::from(cpu_millis);
        tenant.used += counted;
    }

    /// A step of the tenant runs no longer.
    pub(crate) fn give_back(&mut self, id: TenantId, cpu_millis: u32, counted: u64, now: TimeMs) {
        if let Some(tenant) = self.all.get_mut(&id) {
            tenant.count(now);
            tenant.used_cpu_millis -= u64::from(cpu_millis);
            tenant.used -= counted;
        }
    }

    pub(crate) fn views(&self, ready: &ReadyQueue) -> impl Iterator<Item = TenantView<'_>> {
        let tenants = self.by_name.values().filter_map(|id| Some((ready.len(*id), self.all.get(id)?)));
        tenants.map(|(ready, tenant)| TenantView {
            used_cpu_millis: tenant.used_cpu_millis,
            ready,
            name: &tenant.name,
            live_runs: tenant.live_runs,
            live_steps: tenant.live_steps,
        })
    }
}
