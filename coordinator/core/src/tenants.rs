//! Who has runs under way, and how much.

use std::cmp::Ordering;
use std::collections::BTreeMap;
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

/// What a running step counts beyond the time that it has run, in milliseconds. Steps that start at the same time have not
/// run at all, and yet whoever starts one stands behind who does not.
const AHEAD_MS: u128 = 10_000;

/// What a tenant may catch up with at most that others had while its own steps fitted nowhere, at weight 1: ten minutes of a
/// processor. Without a bound, others would have nothing for as long.
const MISSED: u128 = 600_000 * 1_000;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Tenant {
    pub(crate) name: Arc<str>,
    live_runs: u32,
    live_steps: u64,
    used_cpu_millis: u64,
    /// What its steps have taken up to a time, in thousandths of a processor for a millisecond. Of what was before the
    /// tenant had anything to do last, only as much is counted as others had, too.
    had: u128,
    until: TimeMs,
    /// The epoch of its last start; 0 before the first.
    last_start: Epoch,
}

impl Tenant {
    fn had(&self, now: TimeMs) -> u128 {
        self.had + u128::from(self.used_cpu_millis) * u128::from(now.saturating_sub(self.until))
    }

    fn count(&mut self, now: TimeMs) {
        self.had = self.had(now);
        self.until = now;
    }
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Tenants {
    all: BTreeMap<TenantId, Tenant>,
    by_name: BTreeMap<Arc<str>, TenantId>,
    last: u64,
    live_runs: u32,
    live_steps: u64,
    /// What whoever had a turn had before, divided by its weight: the most of that.
    level: u128,
}

impl Tenants {
    /// Counts a run with so many steps.
    pub(crate) fn enter(&mut self, name: &str, steps: u64) -> TenantId {
        let id = self.by_name.get(name).copied().unwrap_or_else(|| self.add(name));
        if let Some(tenant) = self.all.get_mut(&id) {
            tenant.live_runs += 1;
            tenant.live_steps += steps;
        }
        self.live_runs += 1;
        self.live_steps += steps;
        id
    }

    fn add(&mut self, name: &str) -> TenantId {
        self.last += 1;
        let (id, name) = (TenantId(self.last), Arc::<str>::from(name));
        self.by_name.insert(Arc::clone(&name), id);
        let tenant =
            Tenant { name, live_runs: 0, live_steps: 0, used_cpu_millis: 0, had: 0, until: 0, last_start: 0 };
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
            self.all.remove(&id);
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

    /// A tenant without any ready step gets one. If it has nothing running either, it has no claim to what others had
    /// meanwhile, and where there are no others, nobody has a claim to anything before. Takes time in proportion to the
    /// number of tenants, as deciding does.
    pub(crate) fn wake(&mut self, id: TenantId, ready: &ReadyQueue, settings: &Settings, now: TimeMs) {
        if self.all.get(&id).is_none_or(|tenant| tenant.used_cpu_millis > 0) {
            return;
        }
        let shares = |active: bool| {
            let others = self.all.iter().filter(move |(other, tenant)| {
                **other != id && (!active || tenant.used_cpu_millis > 0 || ready.has(**other))
            });
            others.map(|(_, tenant)| tenant.had(now) / u128::from(settings.weight(&tenant.name)))
        };
        let level = shares(true).min().or_else(|| shares(false).max()).unwrap_or(0).max(self.level);
        self.level = level;
        if let Some(tenant) = self.all.get_mut(&id) {
            tenant.had = tenant.had.max(level * u128::from(settings.weight(&tenant.name)));
            tenant.until = now;
        }
    }

    /// A step of the tenant starts, with this epoch.
    pub(crate) fn take(
        &mut self,
        id: TenantId,
        cpu_millis: u32,
        epoch: Epoch,
        settings: &Settings,
        now: TimeMs,
    ) {
        let Some(tenant) = self.all.get_mut(&id) else { return };
        tenant.last_start = epoch;
        let weight = u128::from(settings.weight(&tenant.name));
        tenant.count(now);
        self.level = self.level.max(tenant.had / weight);
        tenant.had = tenant.had.max(self.level.saturating_sub(MISSED) * weight);
        tenant.used_cpu_millis += u64::from(cpu_millis);
    }

    /// A step of the tenant runs no longer.
    pub(crate) fn give_back(&mut self, id: TenantId, cpu_millis: u32, now: TimeMs) {
        if let Some(tenant) = self.all.get_mut(&id) {
            tenant.count(now);
            tenant.used_cpu_millis -= u64::from(cpu_millis);
        }
    }

    /// Whose turn comes first: who had less of the processors, by weight; then who had the last turn before the other; then
    /// by name. What runs counts for a while more, so that those who had as much share what is free.
    pub(crate) fn turn(&self, one: TenantId, other: TenantId, settings: &Settings, now: TimeMs) -> Ordering {
        let (Some(one), Some(other)) = (self.all.get(&one), self.all.get(&other)) else {
            return Ordering::Equal;
        };
        let weight = |tenant: &Tenant| u128::from(settings.weight(&tenant.name));
        let counted = |tenant: &Tenant| tenant.had(now) + u128::from(tenant.used_cpu_millis) * AHEAD_MS;
        let share = |tenant: &Tenant, other: &Tenant| counted(tenant) * weight(other);
        let last = |tenant: &Tenant| tenant.last_start;
        share(one, other)
            .cmp(&share(other, one))
            .then_with(|| last(one).cmp(&last(other)))
            .then_with(|| one.name.cmp(&other.name))
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
