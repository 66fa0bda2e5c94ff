//! Tenants get their shares, measured over time: each step takes a while, and what ends makes room for the next one.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use cullet_core::spec::{RunSpec, StepSpec};
use cullet_core::{
    AttemptId, AttemptOutcome, Effect, Epoch, LogCommand, Resolution, RunId, Settings, State, StepId, TimeMs,
};

use crate::driver::worker_spec;
use crate::steps::{digest, run, step, tree};

/// What each tenant got within a window.
#[derive(Debug, Clone, Default)]
struct Got {
    starts: u64,
    /// Milliseconds that its steps ran.
    ran_ms: u64,
}

/// A cluster on which steps end by themselves, those of each tenant after a time of their own.
struct Cluster {
    state: State,
    now: TimeMs,
    ends: BTreeSet<(TimeMs, StepId, AttemptId, Epoch)>,
    lasts_ms: BTreeMap<String, u64>,
    got: BTreeMap<String, Got>,
    runs: u128,
}

impl Cluster {
    /// With workers of one processor each.
    fn new(slots: u64, weights: &[(&str, u32)]) -> Self {
        let mut state = State::default();
        state.apply(&weigh(weights, 0));
        for worker in 0..slots {
            state.apply(&LogCommand::WorkerJoined { spec: worker_spec(worker, 1), at: 0 });
        }
        let (ends, lasts_ms, got) = (BTreeSet::new(), BTreeMap::new(), BTreeMap::new());
        Self { state, now: 0, ends, lasts_ms, got, runs: 0 }
    }

    /// One more run of a tenant, whose steps are all ready and take so long.
    fn submit(&mut self, tenant: &str, steps: u32, lasts_ms: u64) {
        self.submit_wide(tenant, steps, lasts_ms, 1);
    }

    fn submit_wide(&mut self, tenant: &str, steps: u32, lasts_ms: u64, cpus: u32) {
        self.submit_like(tenant, steps, lasts_ms, &StepSpec { cpu_millis: cpus * 1000, ..step("") });
    }

    fn submit_like(&mut self, tenant: &str, steps: u32, lasts_ms: u64, like: &StepSpec) {
        self.lasts_ms.insert(tenant.to_owned(), lasts_ms);
        self.runs += 1;
        let alike = |i| StepSpec { name: format!("s{i}").into(), ..like.clone() };
        let steps = (0..steps).map(alike).collect::<Vec<_>>();
        let spec = Arc::new(RunSpec { tenant: tenant.into(), ..run(steps) });
        for effect in self.apply(&LogCommand::Submit { run: RunId(self.runs), spec, at: self.now }) {
            let Effect::Resolve { id, .. } = effect else { continue };
            let resolution = Resolution::miss(digest(&format!("{id:?}")));
            self.apply(&LogCommand::Resolved { id, resolution, at: self.now });
        }
    }

    fn apply(&mut self, command: &LogCommand) -> Vec<Effect> {
        let effects = self.state.apply(command);
        for effect in &effects {
            let Effect::Start { id, attempt, epoch, .. } = *effect else { continue };
            let tenant = self.tenant(id);
            self.ends.insert((self.now + self.lasts_ms[&tenant], id, attempt, epoch));
            self.got.entry(tenant).or_default().starts += 1;
        }
        effects
    }

    fn tenant(&self, id: StepId) -> String {
        self.state.run(id.run).unwrap().spec().tenant.to_string()
    }

    /// Time passes.
    fn pass(&mut self, ms: u64) {
        let until = self.now + ms;
        while let Some((at, id, attempt, epoch)) = self.ends.first().copied().filter(|end| end.0 <= until) {
            self.ends.pop_first();
            self.now = at;
            let tenant = self.tenant(id);
            let duration_ms = self.lasts_ms[&tenant];
            self.got.entry(tenant).or_default().ran_ms += duration_ms;
            let outcome = AttemptOutcome::Succeeded { outputs: [tree("output")].into() };
            let detail = None;
            self.apply(&LogCommand::AttemptFinished { id, attempt, epoch, outcome, duration_ms, detail, at });
        }
        self.now = until;
    }

    /// What each got from now on, for so long.
    fn window(&mut self, ms: u64) -> BTreeMap<String, Got> {
        self.got.clear();
        self.pass(ms);
        self.got.clone()
    }
}

fn weigh(weights: &[(&str, u32)], at: TimeMs) -> LogCommand {
    let tenant_weights = weights.iter().map(|(tenant, weight)| ((*tenant).into(), *weight)).collect();
    let settings = Settings { tenant_weights, placement_grace_ms: u64::MAX, ..Settings::default() };
    LogCommand::Configure { settings: Box::new(settings), at }
}

/// 1 where all have as much, 1/n where one of n has everything (Jain, Chiu and Hawe, DEC-TR-301, 1984).
fn jain(shares: impl Iterator<Item = u64>) -> f64 {
    let shares: Vec<f64> = shares.map(|share| share as f64).collect();
    let (sum, squares) = (shares.iter().sum::<f64>(), shares.iter().map(|share| share * share).sum::<f64>());
    sum * sum / (shares.len() as f64 * squares)
}

#[test]
fn a_tenant_that_floods_gets_as_much_as_each_of_the_others() {
    for (tenants, slots) in [(2, 1), (5, 3), (8, 64), (20, 7), (3, 100)] {
        let mut cluster = Cluster::new(slots, &[]);
        // It came long before the others, with a hundred runs.
        (0..100).for_each(|_| cluster.submit("flood", 200, 1000));
        cluster.pass(20_500);
        let steps = (600 * slots / tenants) as u32;
        (1..tenants).for_each(|tenant| cluster.submit(&format!("t{tenant}"), steps, 1000));
        let got = cluster.window(100_000);
        assert_eq!(got.len() as u64, tenants, "{got:?}");
        let jain = jain(got.values().map(|got| got.starts));
        eprintln!("{tenants} tenants on {slots} processors: a Jain index of {jain:.4}");
        assert!(jain >= 0.95, "{jain} with {tenants} tenants on {slots} processors: {got:?}");
    }
}

#[test]
fn small_runs_one_after_the_other_get_as_much_as_a_flood_and_no_more() {
    // Whose name comes first must not matter.
    for (flood, small) in [("a", "z"), ("z", "a")] {
        let mut cluster = Cluster::new(1, &[]);
        cluster.submit(flood, 1000, 1000);
        for _ in 0..200 {
            // It has no run under way in between.
            if cluster.state.tenants().all(|tenant| tenant.name != small) {
                cluster.submit(small, 1, 1000);
            }
            cluster.pass(1000);
        }
        let jain = jain(cluster.got.values().map(|got| got.starts));
        assert!(jain >= 0.95, "{jain}: {:?}", cluster.got);
    }
}

/// Its steps are longer than those of the flood, and it has no run under way when one has ended.
#[test]
fn coming_anew_for_each_long_step_gives_nobody_more() {
    let mut cluster = Cluster::new(1, &[]);
    cluster.submit("flood", 9000, 1000);
    for _ in 0..2000 {
        if cluster.state.tenants().all(|tenant| tenant.name != "long") {
            cluster.submit("long", 1, 20_000);
        }
        cluster.pass(1000);
    }
    let jain = jain(cluster.got.values().map(|got| got.ran_ms));
    assert!(jain >= 0.99, "{jain}: {:?}", cluster.got);
}

#[test]
fn weights_are_honoured_however_few_processors_there_are() {
    for slots in [1, 2, 3, 5, 6, 8, 64] {
        let mut cluster = Cluster::new(slots, &[("heavy", 3)]);
        cluster.submit("light", 400 * slots as u32, 1000);
        cluster.submit("heavy", 400 * slots as u32, 1000);
        cluster.pass(20_000);
        let got = cluster.window(300_000);
        let ratio = got["heavy"].starts as f64 / got["light"].starts as f64;
        eprintln!("weights of 1 and 3 on {slots} processors: 1 to {ratio:.2}");
        assert!((2.7..=3.3).contains(&ratio), "1 to {ratio} on {slots} processors");
    }
}

#[test]
fn what_is_shared_is_time_and_not_the_number_of_steps() {
    let mut cluster = Cluster::new(4, &[]);
    cluster.submit("long", 400, 20_000);
    cluster.submit("short", 8000, 500);
    cluster.pass(60_000);
    let got = cluster.window(600_000);
    let jain = jain(got.values().map(|got| got.ran_ms));
    assert!(jain >= 0.99, "{jain}: {got:?}");
}

/// Nobody pays later for what nobody else wanted, nor is given what others had before.
#[test]
fn what_was_before_gives_nobody_a_claim() {
    let mut cluster = Cluster::new(4, &[]);
    cluster.submit("early", 8000, 1000);
    cluster.pass(600_000);
    cluster.submit("late", 1000, 1000);
    let got = cluster.window(100_000);
    let fair = jain(got.values().map(|got| got.starts));
    assert!(fair >= 0.99, "{fair}: {got:?}");
}

#[test]
fn who_could_not_be_served_catches_up_for_a_while_only() {
    let mut cluster = Cluster::new(4, &[]);
    cluster.submit_wide("wide", 1, 1000, 2);
    cluster.submit("other", 20_000, 1000);
    cluster.pass(3_600_000);
    cluster.submit("wide", 8000, 1000);
    let got = cluster.window(300_000);
    let more = got["wide"].starts.saturating_sub(got["other"].starts);
    assert!((400..=620).contains(&more), "ten minutes of a processor more: {got:?}");
}

/// For hours one has one processor and the other seven, and neither wants more. Then both do.
#[test]
fn who_had_more_of_what_nobody_else_wanted_is_not_kept_waiting() {
    for first in ["big", "small"] {
        let mut cluster = Cluster::new(8, &[]);
        cluster.submit("small", 1, 7_200_000);
        cluster.submit("big", 7, 7_200_000);
        cluster.pass(7_000_000);
        let second = if first == "big" { "small" } else { "big" };
        for tenant in [first, second] {
            cluster.submit(tenant, 3000, 60_000);
        }
        cluster.pass(200_000);
        let got = cluster.window(1_200_000);
        let least = got["small"].starts.min(got["big"].starts);
        assert!(least >= 65, "of 160 starts, ten at most to catch up, {first} first: {got:?}");
    }
}

/// A step that fits nowhere waits all the time, while the other one runs what takes hours.
#[test]
fn nobody_is_further_behind_than_the_bound_whenever_it_counts() {
    let mut cluster = Cluster::new(8, &[]);
    cluster.submit_wide("wide", 1, 1000, 2);
    cluster.submit("other", 8, 7_200_000);
    cluster.pass(7_000_000);
    cluster.submit("other", 3000, 60_000);
    cluster.submit("wide", 3000, 60_000);
    cluster.pass(199_999);
    let got = cluster.window(1_200_000);
    let more = got["wide"].starts.saturating_sub(got["other"].starts);
    // Eight end at a time.
    assert!((4..=20).contains(&more), "ten minutes of a processor more: {got:?}");
}

#[test]
fn weights_that_change_take_and_give_nothing_of_what_was() {
    for (before, after) in [(100, 1), (1, 100)] {
        let mut cluster = Cluster::new(4, &[("a", before)]);
        cluster.submit("a", 40_000, 1000);
        cluster.submit("b", 40_000, 1000);
        cluster.pass(6_000_000);
        let at = cluster.now;
        cluster.apply(&weigh(&[("a", after)], at));
        let got = cluster.window(500_000);
        let share = got["a"].starts as f64 / 2000.0;
        let expected = f64::from(after) / f64::from(after + 1);
        assert!((share - expected).abs() < 0.03, "{before} to {after}: {share} of all, {got:?}");
    }
}

/// Of two tenants, and of two runs of one tenant.
#[test]
fn who_takes_all_memory_and_hardly_any_processor_takes_a_worker() {
    for tenants in [["hog", "fair"], ["both", "both"]] {
        let mut cluster = Cluster::new(8, &[]);
        for (tenant, cpu_millis) in tenants.into_iter().zip([10, 1000]) {
            let like = StepSpec { cpu_millis, memory_bytes: 1 << 30, ..step("") };
            cluster.submit_like(tenant, 9000, 1000, &like);
        }
        cluster.pass(10_000);
        cluster.got.clear();
        let ended = |run| u64::from(cluster.state.run(RunId(run)).unwrap().counts().executed);
        let before = [ended(1), ended(2)];
        cluster.pass(600_000);
        let ended = |run| u64::from(cluster.state.run(RunId(run)).unwrap().counts().executed);
        let got = [ended(1) - before[0], ended(2) - before[1]];
        assert!(jain(got.into_iter()) >= 0.99, "{tenants:?}: {got:?}");
    }
}
