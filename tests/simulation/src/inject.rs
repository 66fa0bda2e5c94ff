//! Makes planned faults happen.

use std::rc::Rc;
use std::time::Duration;

use cullet_coordinator::raft::NodeId;
use cullet_raft_log::simulation::Faults;
use turmoil::Sim;

use crate::coordinator::{Coordinator, DISK_MS};
use crate::fault::{Fault, Plan, Planned};
use crate::operator::{Change, Operator, Order, Part};
use crate::trace::Trace;

/// Latency of a network that works.
pub(crate) const LATENCY: Duration = Duration::from_millis(5);

/// How long a fault of a disk waits for the disk to be used. Somebody has to lead for that, which may take an election.
const WAITING: Duration = Duration::from_secs(2);

/// How long writes take on a slow disk, milliseconds: around the time after which a leader is given up.
const SLOW_DISK_MS: u64 = 250;

/// The same where all are slow: more than a call waits for a quorum.
const SLOW_DISKS_MS: u64 = 2500;

/// From the moment a process goes on until it reads what came while it stood still.
pub(crate) const WAKING: Duration = Duration::from_millis(3);

/// How long messages take on a slow network: less than the time after which a leader is given up, with what comes back
/// more than it.
const SLOW_NETWORK: Duration = Duration::from_millis(120);

/// The faults of a plan on their way.
pub(crate) struct Injector {
    coming: Vec<Planned>,
    present: Vec<Present>,
    operator: Operator,
    /// Hosts of which the processes are no coordinators.
    others: Vec<String>,
    /// Faults that had something to happen to.
    pub(crate) fired: usize,
}

struct Present {
    planned: Planned,
    target: usize,
    /// For a fault that waits for its moment: whether it came.
    fired: bool,
}

impl Injector {
    pub(crate) fn new(plan: &Plan, others: Vec<String>) -> Self {
        let (present, operator) = Default::default();
        Self { coming: plan.faults.clone(), present, operator, others, fired: 0 }
    }

    /// Whether it is time, and nothing is in the way: while members change, a quorum is missed that much sooner.
    fn is_due(&self, planned: &Planned, now: Duration) -> bool {
        let alone = planned.fault.changes_members() || planned.is_for_good();
        let changing = self.present.iter().any(|present| present.planned.fault.changes_members());
        planned.begins <= now && !(alone && (changing || !self.operator.is_idle()))
    }

    /// Begins and ends what is due.
    pub(crate) fn tick(&mut self, sim: &mut Sim<'_>, all: &[Rc<Coordinator>], trace: &Trace) {
        let now = sim.elapsed();
        while let Some(position) = self.coming.iter().position(|planned| self.is_due(planned, now)) {
            let planned = self.coming.remove(position).no_sooner_than(now);
            let target = target(&planned, all);
            trace.add(format_args!(
                "{} begins: {:?} of {}",
                now.as_millis(),
                planned.fault,
                all[target].host
            ));
            let mut present = Present { planned, target, fired: true };
            present.begin(sim, all, self);
            self.fired += usize::from(planned.is_for_good());
            self.present.push(present);
        }
        self.operator.tick(all);
        for present in &mut self.present {
            present.watch(sim, all, &self.operator);
        }
        while let Some(position) = self.present.iter().position(|present| present.is_over(now)) {
            let present = self.present.remove(position);
            trace.add(format_args!("{} ends: {:?}", now.as_millis(), present.planned.fault));
            self.fired += usize::from(present.fired);
            present.end(sim, all, self);
            // Others may still be going on that the same links are part of.
            for other in &self.present {
                other.cut(sim, all, &self.others);
            }
        }
        // A process that ended by itself is started again, as an init system would.
        for (position, coordinator) in all.iter().enumerate() {
            let held = self.present.iter().any(|present| present.target == position && present.keeps_down());
            if !held && coordinator.ended.borrow().is_some() {
                let disk = coordinator.disk.borrow().restart();
                coordinator.stop(disk);
                start(sim, coordinator);
            }
        }
    }

    /// Whether all is over that ends.
    pub(crate) fn is_over(&self) -> bool {
        self.coming.is_empty()
            && self.operator.is_idle()
            && self.present.iter().all(|present| present.planned.is_for_good())
    }

    /// Whether this coordinator has something for good.
    pub(crate) fn is_out(&self, id: NodeId, all: &[Rc<Coordinator>]) -> bool {
        let mut lasting = self.present.iter().filter(|present| present.planned.is_for_good());
        lasting.any(|present| all[present.target].id.get() == id)
    }
}

fn target(planned: &Planned, all: &[Rc<Coordinator>]) -> usize {
    let spare = all.iter().position(|coordinator| coordinator.spare);
    if let (Fault::Expand, Some(spare)) = (planned.fault, spare) {
        return spare;
    }
    let wanted = planned.leader || planned.fault == Fault::Transfer;
    let leader = all.iter().position(|coordinator| coordinator.leads()).filter(|_| wanted);
    leader.unwrap_or(planned.pick as usize % of_the_cluster(all))
}

/// How many there are but the spare one, which is the last.
fn of_the_cluster(all: &[Rc<Coordinator>]) -> usize {
    all.iter().filter(|coordinator| !coordinator.spare).count()
}

fn start(sim: &mut Sim<'_>, coordinator: &Coordinator) {
    coordinator.ended.take();
    sim.bounce(coordinator.host.as_str());
}

fn crash(sim: &mut Sim<'_>, coordinator: &Coordinator, loses_power: bool) {
    let disk = coordinator.disk.borrow();
    let found = if loses_power { disk.power_cut() } else { disk.restart() };
    drop(disk);
    coordinator.stop(found);
    sim.crash(coordinator.host.as_str());
}

/// It loses its disk, and is another one when it is started again.
fn renew(sim: &mut Sim<'_>, coordinator: &Coordinator) {
    crash(sim, coordinator, true);
    coordinator.lose_disk();
}

impl Present {
    fn begin(&mut self, sim: &mut Sim<'_>, all: &[Rc<Coordinator>], injector: &mut Injector) {
        let victim = &all[self.target];
        let disk = victim.disk.borrow().clone();
        match self.planned.fault {
            Fault::Kill => crash(sim, victim, false),
            Fault::PowerCut => crash(sim, victim, true),
            Fault::Blackout => all.iter().for_each(|coordinator| crash(sim, coordinator, true)),
            Fault::TornWrite => {
                let stop_at = Some(disk.changes() + self.planned.pick % 6);
                disk.set_faults(Faults { stop_at, ..Faults::default() });
                self.fired = false;
            }
            Fault::FailedSync => {
                let fail_sync = Some(disk.syncs() + self.planned.pick % 3);
                disk.set_faults(Faults { fail_sync, ..Faults::default() });
                self.fired = false;
            }
            Fault::FullDisk => {
                disk.set_faults(Faults { capacity_bytes: Some(0), ..Faults::default() });
                self.fired = false;
            }
            Fault::SlowDisk => victim.disk_ms.set(SLOW_DISK_MS),
            Fault::SlowDisks => all.iter().for_each(|coordinator| coordinator.disk_ms.set(SLOW_DISKS_MS)),
            Fault::SlowNetwork => self.each_other(all, |other| {
                sim.set_link_max_message_latency(victim.host.as_str(), other, SLOW_NETWORK);
            }),
            Fault::Pause => {
                victim.stands.set(true);
                self.cut(sim, all, &injector.others);
            }
            Fault::Transfer => self.transfer(all),
            Fault::Expand => {
                // It may have been taken out before.
                renew(sim, victim);
                start(sim, victim);
                let part = if self.planned.pick.is_multiple_of(4) { Part::Learner } else { Part::Voter };
                injector.operator.want(self.target, part);
                self.fired = false;
            }
            Fault::Shrink => {
                victim.left.set(self.planned.is_for_good());
                injector.operator.want(self.target, Part::None);
                self.fired = false;
            }
            Fault::Replace => renew(sim, victim),
            _ => self.cut(sim, all, &injector.others),
        }
    }

    /// Breaks the links of a fault of the network.
    fn cut(&self, sim: &mut Sim<'_>, all: &[Rc<Coordinator>], others: &[String]) {
        let victim = all[self.target].host.as_str();
        match self.planned.fault {
            Fault::Isolate => self.each_other(all, |other| sim.partition(victim, other)),
            Fault::Deaf => self.each_other(all, |other| sim.partition_oneway(other, victim)),
            Fault::Mute => self.each_other(all, |other| sim.partition_oneway(victim, other)),
            Fault::Hang => self.each_other(all, |other| sim.hold(victim, other)),
            Fault::Pause => {
                self.each_other(all, |other| sim.hold(victim, other));
                others.iter().for_each(|other| sim.hold(victim, other.as_str()));
            }
            Fault::Minority | Fault::Bridge => {
                let place = |offset: usize| all[(self.target + offset) % of_the_cluster(all)].host.as_str();
                let (near, far): (&[usize], &[usize]) = if self.planned.fault == Fault::Bridge {
                    (&[1, 2], &[3, 4])
                } else {
                    (&[0, 1], &[2, 3, 4])
                };
                for (one, other) in near.iter().flat_map(|one| far.iter().map(move |other| (*one, *other))) {
                    sim.partition(place(one), place(other));
                }
            }
            _ => {}
        }
    }

    /// Notices what happens when the disk gets to it.
    fn watch(&mut self, sim: &mut Sim<'_>, all: &[Rc<Coordinator>], operator: &Operator) {
        let victim = &all[self.target];
        let ended = victim.ended.borrow().is_some();
        match self.planned.fault {
            Fault::TornWrite if !self.fired && victim.disk.borrow().is_stopped() => {
                crash(sim, victim, true);
                self.fired = true;
            }
            Fault::FailedSync | Fault::FullDisk if ended => self.fired = true,
            Fault::Expand | Fault::Shrink => self.fired |= operator.is_idle(),
            // Its timers are late before anything that came meanwhile is read.
            Fault::Pause if victim.stands.get() && sim.elapsed() >= self.planned.ends => {
                victim.stands.set(false);
                victim.stood.set(self.planned.ends - self.planned.begins);
            }
            Fault::Transfer if !self.fired => {
                self.target = target(&self.planned, all);
                self.transfer(all);
            }
            _ => {}
        }
    }

    /// A fault that waits for its moment is given some more time.
    fn is_over(&self, now: Duration) -> bool {
        !self.planned.is_for_good()
            && now >= self.planned.ends + if self.fired { self.afterwards() } else { WAITING }
    }

    fn afterwards(&self) -> Duration {
        if self.planned.fault == Fault::Pause { WAKING } else { Duration::ZERO }
    }

    /// Whether nobody starts the process again meanwhile.
    fn keeps_down(&self) -> bool {
        match self.planned.fault {
            Fault::Kill | Fault::PowerCut | Fault::Blackout | Fault::Replace => true,
            Fault::TornWrite => self.fired,
            _ => false,
        }
    }

    fn end(&self, sim: &mut Sim<'_>, all: &[Rc<Coordinator>], injector: &mut Injector) {
        let victim = &all[self.target];
        match self.planned.fault {
            Fault::Kill | Fault::PowerCut => start(sim, victim),
            Fault::Blackout => all.iter().for_each(|coordinator| start(sim, coordinator)),
            Fault::TornWrite if self.fired => start(sim, victim),
            Fault::TornWrite | Fault::FailedSync | Fault::FullDisk | Fault::SlowDisk => victim.mend(),
            Fault::SlowDisks => all.iter().for_each(|coordinator| coordinator.disk_ms.set(DISK_MS)),
            Fault::SlowNetwork => self.each_other(all, |other| {
                sim.set_link_max_message_latency(victim.host.as_str(), other, LATENCY);
            }),
            Fault::Transfer => {}
            Fault::Expand => {
                injector.operator.give_up();
                injector.operator.want(self.target, Part::None);
            }
            Fault::Shrink => {
                // Whoever was taken out is not taken in again under its number.
                injector.operator.give_up();
                renew(sim, victim);
                start(sim, victim);
                injector.operator.want(self.target, Part::at_the_end(victim));
            }
            Fault::Replace => {
                start(sim, victim);
                injector.operator.want(self.target, Part::at_the_end(victim));
            }
            Fault::Pause => {
                self.each_other(all, |other| sim.release(victim.host.as_str(), other));
                injector.others.iter().for_each(|other| sim.release(victim.host.as_str(), other.as_str()));
            }
            Fault::Hang => self.each_other(all, |other| sim.release(victim.host.as_str(), other)),
            Fault::Isolate | Fault::Deaf | Fault::Mute | Fault::Minority | Fault::Bridge => {
                for one in all {
                    for other in all.iter().filter(|other| other.host > one.host) {
                        sim.repair(one.host.as_str(), other.host.as_str());
                    }
                }
            }
        }
    }

    fn each_other(&self, all: &[Rc<Coordinator>], mut act: impl FnMut(&str)) {
        for (position, other) in all.iter().enumerate() {
            if position != self.target {
                act(&other.host);
            }
        }
    }

    fn transfer(&mut self, all: &[Rc<Coordinator>]) {
        let victim = &all[self.target];
        self.fired = victim.leads();
        if self.fired {
            victim.orders.borrow_mut().push_back(Order::new(Change::HandOver));
        }
    }
}
