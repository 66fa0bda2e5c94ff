//! Clients whose operations wait or run. Each of them has turns as a run of a pipeline has, however many operations it asks for.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::place::{Flow, Priority, Rank, Turn};
use crate::run::Run;
use crate::tenants::TenantId;
use crate::{Epoch, StepIndex};

/// Of a tenant, and with one priority.
type Name = (TenantId, Reverse<i8>, u64);

/// What there is of a client while something of it waits for a worker or runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Client {
    /// Operations that wait for a worker or run.
    operations: u32,
    /// What those count that run, see [`crate::workers::Workers::counted`].
    used: u64,
    /// The epoch of its last start; before that, the last one that was given out when it came.
    last_start: Epoch,
    /// Age: that of the operation that came first.
    order: u64,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Clients(BTreeMap<Name, Client>);

impl Clients {
    /// An operation begins to wait for a worker.
    pub(crate) fn enter(&mut self, run: &Run, last_start: Epoch) {
        let Some(name) = name(run) else { return };
        let new = Client { operations: 0, used: 0, last_start, order: run.order };
        self.0.entry(name).or_insert(new).operations += 1;
    }

    /// It neither waits nor runs any more.
    pub(crate) fn leave(&mut self, run: &Run) {
        let Some(name) = name(run) else { return };
        if let Some(client) = self.0.get_mut(&name) {
            client.operations -= 1;
            if client.operations == 0 {
                self.0.remove(&name);
            }
        }
    }

    /// It starts, with this epoch, and counts so much.
    pub(crate) fn take(&mut self, run: &Run, counted: u64, epoch: Epoch) {
        if let Some(client) = name(run).and_then(|name| self.0.get_mut(&name)) {
            client.used += counted;
            client.last_start = epoch;
        }
    }

    /// It runs no longer.
    pub(crate) fn give_back(&mut self, run: &Run, counted: u64) {
        if let Some(client) = name(run).and_then(|name| self.0.get_mut(&name)) {
            client.used -= counted;
        }
    }

    /// When it is the turn of a run, or of the client that asked for it.
    pub(crate) fn turn(&self, run: &Run) -> Turn {
        let priority = Reverse(run.spec.priority);
        match name(run).and_then(|name| self.0.get(&name)) {
            Some(Client { used, last_start, order, .. }) => {
                let flow = Flow::Client(run.spec.client);
                Turn { priority, used: *used, last: *last_start, order: *order, flow }
            }
            None => Turn {
                priority,
                used: run.used,
                last: run.last_start,
                order: run.order,
                flow: Flow::Run(run.id),
            },
        }
    }

    /// Where a step stands among those that wait for a worker.
    pub(crate) fn priority(&self, run: &Run, step: StepIndex) -> Priority {
        let id = run.step_id(step);
        let rank = if run.spec.operation {
            Rank::Operation(run.order, id)
        } else {
            Rank::Step(Reverse(run.steps[step as usize].rank), id)
        };
        Priority { turn: self.turn(run), rank }
    }
}

/// Whose operation it is, while it is live. Runs of pipelines are nobody's.
fn name(run: &Run) -> Option<Name> {
    let tenant = run.tenant.filter(|_| run.spec.operation)?;
    Some((tenant, Reverse(run.spec.priority), run.spec.client))
}
