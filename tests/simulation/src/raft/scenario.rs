//! Raft and the log under it: commands from everywhere while everything fails, and what must hold all the same.

use std::rc::Rc;
use std::time::Duration;

use turmoil::Sim;

use super::work::Work;
use crate::coordinator::Coordinator;
use crate::fault::Plan;
use crate::history::{Answer, History};
use crate::inject::{Injector, LATENCY};
use crate::invariants::{self, Broken, Sight};
use crate::trace::Trace;
use crate::verdict::Verdict;

/// How long all have, after the last fault, to agree and to commit something new. A connection that lost messages is
/// given up after seconds, and an election after that takes several more tries at worst.
const RECOVERY: Duration = Duration::from_secs(15);

/// Nothing is submitted any more for so long, and then all must have the same.
const QUIET: Duration = Duration::from_millis(600);

/// Plays one seed.
pub(crate) fn play(seed: u64, trace: &Trace) -> Verdict {
    let plan = Plan::new(seed);
    let mut sim = network(seed, &plan);
    let (history, broken) = (History::default(), Broken::default());
    let all = plan.all(seed);
    for coordinator in &all {
        host(&mut sim, seed, coordinator, &all, (&history, &broken, trace));
    }
    let mut injector = Injector::new(&plan, Vec::new());
    let mut invariants = invariants::all();
    let mut healed = None;
    let mut deadline = plan.healed + RECOVERY;
    while sim.elapsed() < deadline && broken.get().is_none() {
        if let Err(error) = sim.step() {
            broken.check(false, || format!("the simulation ended: {error}"));
        }
        injector.tick(&mut sim, &all, trace);
        let sights: Vec<Sight> = all.iter().filter_map(|coordinator| Sight::of(coordinator)).collect();
        for invariant in &mut invariants {
            invariant.look(sim.elapsed(), &sights, &broken);
        }
        if injector.is_over() {
            let (since, acknowledged) =
                *healed.get_or_insert_with(|| (sim.elapsed(), history.count(Answer::Acknowledged)));
            deadline = deadline.max(since + RECOVERY);
            let works = history.count(Answer::Acknowledged) > acknowledged + 3;
            if works && !history.is_closed() {
                trace.add(format_args!("works again after {} ms", (sim.elapsed() - since).as_millis()));
                history.close(sim.elapsed());
            }
            if history.closed_for(sim.elapsed()) > QUIET && agree(&sights, &all) {
                break;
            }
        }
    }
    broken.check(history.is_closed(), || {
        format!("nothing could be committed after the last fault{}", shown(&all))
    });
    broken.check(sim.elapsed() < deadline, || format!("no agreement after the last fault{}", shown(&all)));
    invariants::at_the_end(&all, &history, &broken);
    let (hash, lines) = trace.hash();
    Verdict {
        seed,
        broken: broken.get(),
        acknowledged: history.count(Answer::Acknowledged),
        planned: plan.faults.len(),
        fired: injector.fired,
        hash,
        lines,
        took: sim.elapsed(),
    }
}

fn network(seed: u64, plan: &Plan) -> Sim<'static> {
    turmoil::Builder::new()
        .rng_seed(seed)
        .simulation_duration(plan.healed + 2 * RECOVERY)
        .tick_duration(Duration::from_millis(1))
        .min_message_latency(Duration::from_millis(1))
        .max_message_latency(LATENCY)
        // Segments on their way on one connection; the default is less than a snapshot has.
        .tcp_capacity(65_536)
        .enable_random_order()
        .build()
}

fn host(
    sim: &mut Sim<'static>,
    seed: u64,
    coordinator: &Rc<Coordinator>,
    all: &[Rc<Coordinator>],
    (history, broken, trace): (&History, &Broken, &Trace),
) {
    // The first one makes the cluster, whenever it starts; once it was made, that changes nothing.
    let members: Vec<_> = if coordinator.id.get() == 1 {
        all.iter().filter(|coordinator| !coordinator.spare).map(|coordinator| coordinator.member()).collect()
    } else {
        Vec::new()
    };
    let (coordinator, history) = (Rc::clone(coordinator), history.clone());
    let (broken, trace) = (broken.clone(), trace.clone());
    sim.host(coordinator.host.clone(), move || {
        let process = Rc::clone(&coordinator);
        let seed = seed ^ (process.incarnation.get() << 8);
        let work = Work {
            coordinator: Rc::clone(&coordinator),
            history: history.clone(),
            trace: trace.clone(),
            broken: broken.clone(),
            seed,
        };
        let (members, trace) = (members.clone(), trace.clone());
        async move {
            process.run(members, trace, work).await;
            Ok(())
        }
    });
}

/// Whether all of the cluster run and have applied the same.
fn agree(sights: &[Sight], all: &[Rc<Coordinator>]) -> bool {
    all.iter().filter(|coordinator| !coordinator.spare).all(|coordinator| {
        sights.iter().any(|sight| sight.id == coordinator.id.get() && sight.applied == newest(sights))
    })
}

fn newest(sights: &[Sight]) -> u64 {
    sights.iter().map(|sight| sight.applied).max().unwrap_or(0)
}

fn shown(all: &[Rc<Coordinator>]) -> String {
    let show = |coordinator: &Rc<Coordinator>| match &*coordinator.node.borrow() {
        None => format!("; {} is down", coordinator.host),
        Some(node) => format!("; {}: {:?}", coordinator.host, node.view()),
    };
    all.iter().map(show).collect()
}
