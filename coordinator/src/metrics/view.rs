//! What is in the state and in raft, read when somebody asks.

use std::collections::BTreeMap;
use std::fmt::Error;
use std::sync::Arc;

use cullet_core::State;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::gauge::ConstGauge;

use super::{counter, gauge};
use crate::cluster::Seat;
use crate::raft::RaftView;

/// Tenants that are told by name: those with the most steps. More would make as many series in whatever keeps them.
const TENANTS: usize = 20;

/// Stands for all others. No tenant is called so.
const OTHERS: &str = "(others)";

/// Reads a coordinator's own state.
#[derive(Debug)]
pub(super) struct StateView {
    seat: Arc<Seat>,
}

/// Copied out of the state, so that nothing waits while it is written.
#[derive(Debug, Default)]
struct Seen {
    index: u64,
    hash: String,
    ready: u64,
    live_runs: u64,
    live_steps: BTreeMap<String, u64>,
    workers: [u64; 2],
    running: u64,
    cpu_millis: [u64; 2],
    memory_bytes: [u64; 2],
    applied: u64,
    refused: u64,
}

impl Seen {
    fn of(state: &State) -> Self {
        let mut seen =
            Self { applied: state.applied_commands(), refused: state.refused(), ..Self::default() };
        let mut tenants: Vec<(u64, &str)> = Vec::new();
        for tenant in state.tenants() {
            seen.ready += tenant.ready as u64;
            seen.live_runs += u64::from(tenant.live_runs);
            tenants.push((tenant.live_steps, tenant.name));
        }
        tenants.sort_unstable_by_key(|(steps, name)| (std::cmp::Reverse(*steps), *name));
        for (place, (steps, name)) in tenants.into_iter().enumerate() {
            let name = if place < TENANTS { name } else { OTHERS };
            *seen.live_steps.entry(name.to_owned()).or_default() += steps;
        }
        for worker in state.workers() {
            seen.workers[usize::from(worker.draining)] += 1;
            seen.running += worker.running as u64;
            let [all, used] = &mut seen.cpu_millis;
            (*all, *used) = (*all + u64::from(worker.spec.cpu_millis), *used + worker.used_cpu_millis);
            let [all, used] = &mut seen.memory_bytes;
            (*all, *used) = (*all + worker.spec.memory_bytes, *used + worker.used_memory_bytes);
        }
        seen
    }
}

impl StateView {
    pub(super) const fn new(seat: Arc<Seat>) -> Self {
        Self { seat }
    }
}

impl Collector for StateView {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), Error> {
        let ready = u64::from(self.seat.not_ready().is_none());
        gauge(&mut encoder, "cullet_ready", "Whether this coordinator can take part in deciding", ready)?;
        let Some(node) = self.seat.node() else { return Ok(()) };
        let view = node.view();
        let seen = {
            let applying = node.state().read();
            let hash = applying.state.log_hash().iter().map(|byte| format!("{byte:02x}")).collect();
            let index = applying.log_id.map_or(0, |log_id| log_id.index);
            Seen { index, hash, ..Seen::of(&applying.state) }
        };
        raft(&mut encoder, &view, self.seat.id())?;
        state(&mut encoder, &seen)?;
        workers(&mut encoder, &seen)
    }
}

fn raft(encoder: &mut DescriptorEncoder<'_>, view: &RaftView, id: u64) -> Result<(), Error> {
    let voters = view.members.iter().filter(|member| member.voter).count() as u64;
    for (name, help, value) in [
        ("cullet_raft_term", "The current term", view.term),
        (
            "cullet_raft_is_leader",
            "Whether this coordinator leads",
            u64::from(view.leader == Some(id) && view.members.iter().any(|member| member.id == id)),
        ),
        ("cullet_raft_has_leader", "Whether a leader is known", u64::from(view.leader.is_some())),
        ("cullet_raft_voters", "Coordinators that count for a majority", voters),
        ("cullet_raft_last_log_index", "Index of the last entry in the log", view.last_log_index),
        ("cullet_raft_committed_index", "Index of the last entry on a majority", view.committed_index),
        ("cullet_raft_applied_index", "Index of the last entry that was applied", view.applied_index),
        ("cullet_raft_snapshot_index", "Index of the last entry in a snapshot", view.snapshot_index),
    ] {
        gauge(encoder, name, help, value)?;
    }
    Ok(())
}

fn state(encoder: &mut DescriptorEncoder<'_>, seen: &Seen) -> Result<(), Error> {
    let labels = [("index", seen.index.to_string()), ("hash", seen.hash.clone())];
    let help = "The hash of the state after the entry with this index, the same on every coordinator";
    let mut hash = encoder.encode_descriptor("cullet_state_hash_info", help, None, MetricType::Gauge)?;
    ConstGauge::new(1_u64).encode(hash.encode_family(&labels)?)?;
    for (name, help, value) in [
        ("cullet_live_runs", "Runs that have not ended", seen.live_runs),
        ("cullet_ready_steps", "Steps that wait for a worker", seen.ready),
        ("cullet_running_steps", "Steps that run on a worker", seen.running),
    ] {
        gauge(encoder, name, help, value)?;
    }
    let help = "Steps of runs that have not ended, by tenant";
    let mut steps = encoder.encode_descriptor("cullet_live_steps", help, None, MetricType::Gauge)?;
    for (tenant, count) in &seen.live_steps {
        ConstGauge::new(*count).encode(steps.encode_family(&[("tenant", tenant.as_str())])?)?;
    }
    let (applied, refused) = (seen.applied, seen.refused);
    counter(encoder, "cullet_commands_applied", "Commands in the log that were applied", applied)?;
    let help = "Commands that changed nothing: late, repeated or about something unknown";
    counter(encoder, "cullet_commands_refused", help, refused)
}

fn workers(encoder: &mut DescriptorEncoder<'_>, seen: &Seen) -> Result<(), Error> {
    let help = "Workers that the cluster counts on";
    let mut count = encoder.encode_descriptor("cullet_workers", help, None, MetricType::Gauge)?;
    for (state, value) in ["active", "draining"].into_iter().zip(seen.workers) {
        ConstGauge::new(value).encode(count.encode_family(&[("state", state)])?)?;
    }
    let [all, used] = seen.cpu_millis.map(|millis| millis as f64 / 1000.0);
    for (name, help, value) in [
        ("cullet_worker_cpus", "Processors of all workers", all),
        ("cullet_worker_cpus_used", "Processors that running steps take", used),
    ] {
        let metric = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
        ConstGauge::new(value).encode(metric)?;
    }
    let [all, used] = seen.memory_bytes;
    gauge(encoder, "cullet_worker_memory_bytes", "Memory of all workers", all)?;
    gauge(encoder, "cullet_worker_memory_used_bytes", "Memory that running steps take", used)
}

#[cfg(test)]
mod tests {
    use cullet_core::spec::RunSpec;
    use cullet_core::{LogCommand, RunId};

    use super::*;
    use crate::testing::lone_step;

    #[test]
    fn tenants_beyond_the_largest_are_told_together() {
        let mut state = State::default();
        for tenant in 0..30_u64 {
            let spec = RunSpec {
                tenant: format!("t{tenant:02}").into(),
                steps: vec![lone_step()],
                ..RunSpec::default()
            };
            let (run, spec) = (RunId(tenant.into()), Arc::new(spec));
            state.apply(&LogCommand::Submit { run, spec, at: 0 });
        }
        let seen = Seen::of(&state);
        assert_eq!((seen.live_runs, seen.live_steps.len()), (30, TENANTS + 1));
        assert_eq!((seen.live_steps["t00"], seen.live_steps[OTHERS]), (1, 10));
    }
}
