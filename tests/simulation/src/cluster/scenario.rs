//! The whole cluster while coordinators and workers fail.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use cullet_coordinator::raft::NodeId;
use cullet_tests::calls;
use turmoil::Sim;

use super::client::Client;
use super::duty::Coordinating;
use super::ends::Ends;
use super::ledger::{Ledger, Store};
use super::plan::{Hit, Mishap, Whole};
use super::{started, worker};
use crate::chance::Chance;
use crate::coordinator::Coordinator;
use crate::inject::{Injector, LATENCY, WAKING};
use crate::invariants::{self, Broken, Sight};
use crate::network;
use crate::operator;
use crate::trace::Trace;
use crate::verdict::Verdict;

const WORKERS: usize = 3;
const CLIENTS: usize = 2;

/// How long clients go on after the last fault.
const MORE: Duration = Duration::from_millis(1500);

/// Until everything has ended after that: leases that still have to end, elections, and steps one after the other.
const RECOVERY: Duration = Duration::from_secs(40);

/// So much later the last change of members may come, which waits for the one before.
const LATER: Duration = Duration::from_secs(10);

/// A wall clock may be wrong by a day.
const WRONG_MS: i64 = 86_400_000;

/// Hosts of which the processes are no coordinators.
fn others() -> Vec<String> {
    let workers = (0..WORKERS).map(|number| format!("w{number}"));
    workers.chain((0..CLIENTS).map(|number| format!("k{number}"))).collect()
}

/// Everything that a simulation is made of.
struct World {
    seed: u64,
    all: Vec<Rc<Coordinator>>,
    ledger: Ledger,
    store: Store,
    /// For how long each worker's process stood still, when it goes on.
    stood: [Rc<Cell<Duration>>; WORKERS],
    broken: Broken,
    trace: Trace,
}

/// Plays one seed.
pub(crate) fn play(seed: u64, trace: &Trace) -> Verdict {
    let Whole { plan, hits, healed } = Whole::new(seed, WORKERS);
    let (all, (ledger, store, stood, broken)) = (plan.all(seed), Default::default());
    let world = World { seed, all, ledger, store, stood, broken, trace: trace.clone() };
    let mut sim = turmoil::Builder::new()
        .rng_seed(seed)
        .simulation_duration(healed + 2 * RECOVERY)
        .tick_duration(Duration::from_millis(1))
        .min_message_latency(Duration::from_millis(1))
        .max_message_latency(LATENCY)
        .tcp_capacity(65_536)
        .enable_random_order()
        .build();
    world.hosts(&mut sim);
    let mut injector = Injector::new(&plan, others());
    let (mut invariants, mut ends) = (invariants::all(), Ends::default());
    let mut deadline = healed + MORE + RECOVERY;
    let mut done = false;
    while sim.elapsed() < deadline && world.broken.get().is_none() && !done {
        if let Err(error) = sim.step() {
            world.broken.check(false, || format!("the simulation ended: {error}"));
        }
        injector.tick(&mut sim, &world.all, trace);
        world.hit(&mut sim, &hits);
        let sights: Vec<Sight> = world.all.iter().filter_map(|coordinator| Sight::of(coordinator)).collect();
        for invariant in &mut invariants {
            invariant.look(sim.elapsed(), &sights, &world.broken);
        }
        world.look(sim.elapsed().as_millis() as u64, &mut ends);
        if !injector.is_over() {
            deadline = deadline.max(sim.elapsed().min(healed + MORE + LATER) + RECOVERY);
        }
        let quiet = sim.elapsed() > healed + MORE && injector.is_over();
        world.ledger.open().closed = quiet;
        // Now and then: it takes a look at everything.
        done = quiet && sim.elapsed().as_millis().is_multiple_of(100) && {
            let taking_part =
                |sight: &&Sight| world.belongs(sight.id) && !injector.is_out(sight.id, &world.all);
            let out = world.all.iter().filter(|one| injector.is_out(one.id.get(), &world.all)).count();
            world.is_done(&sights.iter().filter(taking_part).collect::<Vec<_>>(), out)
        };
    }
    world.at_the_end(hits.len(), &ends);
    let (hash, lines) = trace.hash();
    Verdict {
        seed,
        broken: world.broken.get(),
        acknowledged: ends.count(),
        planned: plan.faults.len(),
        fired: injector.fired,
        hash,
        lines,
        took: sim.elapsed(),
    }
}

impl World {
    fn hosts(&self, sim: &mut Sim<'static>) {
        let addresses: Vec<String> = self.all.iter().map(|one| network::url(&one.host)).collect();
        for coordinator in &self.all {
            self.coordinator(sim, coordinator);
        }
        for number in 0..WORKERS {
            let host = format!("w{number}");
            let (ledger, store, addresses) = (self.ledger.clone(), self.store.clone(), addresses.clone());
            let (seed, name) = (self.seed, host.clone());
            let processes = Cell::new(0_u64);
            let stood = Rc::clone(&self.stood[number]);
            sim.host(host, move || {
                processes.set(processes.get() + 1);
                let chance = Chance::new(seed ^ processes.get() << 40, &name);
                let working =
                    worker::work(name.clone(), addresses.clone(), chance, ledger.clone(), store.clone());
                let stood = Rc::clone(&stood);
                async move {
                    tokio::select! {
                        biased;
                        () = network::go_on(&stood) => {}
                        () = working => {}
                    }
                    Ok(())
                }
            });
        }
        for number in 0..CLIENTS {
            let host = format!("k{number}");
            let (seed, ledger, coordinators) = (self.seed, self.ledger.clone(), addresses.clone());
            sim.client(host.clone(), async move {
                let chance = Chance::new(seed, &host);
                Client { host, seed, coordinators, ledger, chance }.go_on().await;
                Ok(())
            });
        }
    }

    fn coordinator(&self, sim: &mut Sim<'static>, coordinator: &Rc<Coordinator>) {
        let first = coordinator.id.get() == 1;
        let members = self
            .all
            .iter()
            .filter(|one| first && !one.spare)
            .map(|coordinator| coordinator.member())
            .collect();
        let members: Vec<_> = members;
        let (coordinator, store, trace) = (Rc::clone(coordinator), self.store.clone(), self.trace.clone());
        let seed = self.seed;
        sim.host(coordinator.host.clone(), move || {
            let process = Rc::clone(&coordinator);
            let mut chance = Chance::new(seed ^ process.incarnation.get() << 8, &process.host);
            let off_ms = (chance.next() % (2 * WRONG_MS as u64)) as i64 - WRONG_MS;
            let duty = Coordinating::new(process.host.clone(), store.clone(), off_ms);
            let (members, trace) = (members.clone(), trace.clone());
            async move {
                process.run(members, trace, duty).await;
                Ok(())
            }
        });
    }

    /// Whether it is to have what all have in the end.
    fn belongs(&self, id: NodeId) -> bool {
        self.all.iter().any(|one| one.id.get() == id && !one.spare)
    }

    /// What is planned for workers, when it is time.
    fn hit(&self, sim: &mut Sim<'static>, hits: &[Hit]) {
        let (now, tick) = (sim.elapsed(), Duration::from_millis(1));
        let is_now = |at: Duration| at <= now && now < at + tick;
        for hit in hits {
            let name = format!("w{}", hit.worker);
            match hit.mishap {
                Mishap::Kill if is_now(hit.begins) => sim.crash(name.as_str()),
                Mishap::Kill if is_now(hit.ends) => sim.bounce(name.as_str()),
                Mishap::Isolate if is_now(hit.begins) => {
                    self.all.iter().for_each(|one| sim.partition(name.as_str(), one.host.as_str()));
                }
                Mishap::Isolate if is_now(hit.ends) => {
                    self.all.iter().for_each(|one| sim.repair(name.as_str(), one.host.as_str()));
                }
                Mishap::Pause if is_now(hit.begins) => {
                    self.all.iter().for_each(|one| sim.hold(name.as_str(), one.host.as_str()));
                }
                // Its timers are late before anything that came meanwhile is read.
                Mishap::Pause if is_now(hit.ends) => self.stood[hit.worker].set(hit.ends - hit.begins),
                Mishap::Pause if is_now(hit.ends + WAKING) => {
                    self.all.iter().for_each(|one| sim.release(name.as_str(), one.host.as_str()));
                }
                _ => continue,
            }
            self.trace.add(format_args!("{} {hit:?}", now.as_millis()));
        }
    }

    /// Looks at the newest state there is, and at what began.
    fn look(&self, now: u64, ends: &mut Ends) {
        let begun = {
            let mut pages = self.ledger.open();
            pages.lines.drain(..).for_each(|line| self.trace.add(line));
            std::mem::take(&mut pages.begun)
        };
        for coordinator in &self.all {
            let node = coordinator.node.borrow();
            let Some(node) = node.as_ref() else { continue };
            let applying = node.state().read();
            ends.look(now, applying.log_id.map_or(0, |id| id.index), &applying.state, &self.broken);
        }
        let pages = self.ledger.open();
        for name in ends.take_succeeded() {
            started::over_when_recorded(&name, &pages, &self.broken);
        }
        drop(pages);
        for begun in begun {
            self.newest(|state| started::after_its_dependencies(state, &begun, &self.broken));
        }
    }

    /// Reads the state of whoever has applied most.
    fn newest<T>(&self, read: impl FnOnce(&cullet_core::State) -> T) -> Option<T> {
        let nodes: Vec<_> = self.all.iter().filter_map(|one| one.node.borrow().clone()).collect();
        let newest = nodes.iter().max_by_key(|node| node.state().read().log_id.map_or(0, |id| id.index))?;
        Some(read(&newest.state().read().state))
    }

    /// Whether everybody but those that are out for good has the same, and every run is at its end.
    fn is_done(&self, sights: &[&Sight], out: usize) -> bool {
        let everybody = sights.len() + out == self.all.iter().filter(|one| !one.spare).count();
        let agree = everybody && sights.iter().all(|one| one.applied == sights[0].applied);
        let ended = |state: &cullet_core::State| {
            let known = self.ledger.open().runs.len();
            let idle = state.workers().all(|worker| worker.running == 0);
            idle && state.runs().count() >= known && state.runs().all(|(_, run)| run.status().is_some())
        };
        agree && self.newest(ended).unwrap_or(false)
    }

    fn at_the_end(&self, mishaps: usize, ends: &Ends) {
        operator::at_the_end(&self.all, &self.broken);
        let pages = self.ledger.open();
        started::seldom_enough(self.seed, &pages, mishaps, &self.broken);
        let ended_at = |request| ends.ended_at(pages.runs.get(&request)?);
        if let Some(wrong) = calls::contradiction(&pages.calls, ended_at) {
            self.broken.check(false, || wrong);
        }
        let taken: Vec<String> = pages.runs.values().cloned().collect();
        self.newest(|state| {
            for run in taken {
                let there = state.runs().any(|(id, _)| id.to_string() == run);
                self.broken.check(there, || format!("run {run} was taken in and is not there"));
            }
            Ends::at_the_end(state, &self.broken);
        });
    }
}
