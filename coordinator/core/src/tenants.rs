//! Who has runs under way, and how much.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::Settings;
use crate::ready::ReadyQueue;

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

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Tenant {
    pub(crate) name: Arc<str>,
    live_runs: u32,
    live_steps: u64,
    used_cpu_millis: u64,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Tenants {
    all: BTreeMap<TenantId, Tenant>,
    by_name: BTreeMap<Arc<str>, TenantId>,
    last: u64,
    live_runs: u32,
    live_steps: u64,
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
        self.all.insert(id, Tenant { name, live_runs: 0, live_steps: 0, used_cpu_millis: 0 });
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

    pub(crate) fn live_steps_of(&self, name: &str) -> u64 {
        let tenant = self.by_name.get(name).and_then(|id| self.all.get(id));
        tenant.map_or(0, |tenant| tenant.live_steps)
    }

    /// A step of the tenant starts.
    pub(crate) fn take(&mut self, id: TenantId, cpu_millis: u32) {
        if let Some(tenant) = self.all.get_mut(&id) {
            tenant.used_cpu_millis += u64::from(cpu_millis);
        }
    }

    /// A step of the tenant runs no longer.
    pub(crate) fn give_back(&mut self, id: TenantId, cpu_millis: u32) {
        if let Some(tenant) = self.all.get_mut(&id) {
            tenant.used_cpu_millis -= u64::from(cpu_millis);
        }
    }

    /// Whose turn comes first: whose steps take less, by weight; then by name.
    pub(crate) fn turn(&self, one: TenantId, other: TenantId, settings: &Settings) -> Ordering {
        let (Some(one), Some(other)) = (self.all.get(&one), self.all.get(&other)) else {
            return Ordering::Equal;
        };
        let weight = |tenant: &Tenant| u128::from(settings.weight(&tenant.name));
        let share = |tenant: &Tenant, other: &Tenant| u128::from(tenant.used_cpu_millis) * weight(other);
        share(one, other).cmp(&share(other, one)).then_with(|| one.name.cmp(&other.name))
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
