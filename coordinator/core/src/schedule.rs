//! Which ready step starts where. A pure function of who is ready and what room there is.

use std::cmp::Reverse;
use std::collections::BTreeSet;

use crate::WorkerId;
use crate::place::{Demand, Priority};
use crate::ready::{ReadyQueue, Reservation};
use crate::workers::{Worker, Workers};

/// Start this step there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Assignment {
    pub(crate) step: Priority,
    pub(crate) demand: Demand,
    pub(crate) worker: WorkerId,
}

/// What to do about ready steps.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Schedule {
    /// In the order of priority.
    pub(crate) assignments: Vec<Assignment>,
    /// Steps that no worker could hold even if it did nothing else.
    pub(crate) too_large: Vec<(Priority, Demand)>,
    /// Groups that did not fit, once for each step behind them that is started.
    pub(crate) passed: Vec<Demand>,
    /// The worker that is kept free, unless the step that it is kept for is started.
    pub(crate) reservation: Option<Reservation>,
}

/// How many smaller steps may be started before one that fits nowhere, until a worker is kept free for it. High
/// enough that a worker of eight processors is filled twice over, low enough that a large step waits for
/// minutes and not for the end of the queue.
const PATIENCE: u32 = 16;

/// What is left of a worker while a schedule is made.
struct Room {
    worker: WorkerId,
    cpu_millis: u64,
    memory_bytes: u64,
}

impl Room {
    fn of((worker, state): (WorkerId, &Worker)) -> Self {
        Self { worker, cpu_millis: state.free_cpu_millis(), memory_bytes: state.free_memory_bytes() }
    }

    const fn fits(&self, demand: Demand) -> bool {
        self.cpu_millis >= demand.cpu_millis as u64 && self.memory_bytes >= demand.memory_bytes
    }
}

/// Goes through ready steps by priority and gives each the worker with most processor left; ties go to the
/// lower number. A step that does not fit anywhere now does not hold up smaller ones behind it, until it was
/// passed [`PATIENCE`] times: then one worker takes no other steps until this one fits. Only one worker is kept
/// free at a time; whoever was passed most is next. Steps end, so every ready step starts some day.
///
/// Costs (assignments + distinct demands) × workers, however many steps are ready or finished.
pub(crate) fn schedule(ready: &ReadyQueue, workers: &Workers) -> Schedule {
    let mut schedule = Schedule::default();
    if ready.is_empty() {
        return schedule;
    }
    let mut rooms: Vec<Room> = workers.iter().map(Room::of).collect();
    if rooms.is_empty() {
        return schedule;
    }
    let mut groups = Vec::new();
    let mut heads = BTreeSet::new();
    for (demand, steps) in ready.groups() {
        if !workers.iter().any(|(_, worker)| worker.could_hold(demand)) {
            schedule.too_large.extend(steps.iter().map(|step| (*step, demand)));
            continue;
        }
        let mut steps = steps.iter();
        heads.extend(steps.next().map(|first| (*first, groups.len())));
        groups.push((demand, steps));
    }
    schedule.reservation = reservation(ready, workers, &heads, groups.iter().map(|(demand, _)| *demand));
    if let Some(Reservation { demand, .. }) = schedule.reservation
        && let Some(group) = groups.iter().position(|(known, _)| *known == demand)
        && let Some(&head) = heads.iter().find(|(_, place)| *place == group)
        && let Some(worker) = take(&mut rooms, demand, None)
    {
        heads.remove(&head);
        heads.extend(groups[group].1.next().map(|next| (*next, group)));
        schedule.assignments.push(Assignment { step: head.0, demand, worker });
        schedule.reservation = None;
    }
    let mut dropped: Vec<Demand> = Vec::new();
    while let Some((step, group)) = heads.pop_first() {
        let (demand, steps) = &mut groups[group];
        let kept = schedule.reservation.map(|reservation| reservation.worker);
        // Room only shrinks from here on: a group that does not fit once is not looked at again.
        let Some(worker) = take(&mut rooms, *demand, kept) else {
            dropped.push(*demand);
            continue;
        };
        schedule.passed.extend(&dropped);
        schedule.assignments.push(Assignment { step, demand: *demand, worker });
        heads.extend(steps.next().map(|next| (*next, group)));
    }
    schedule
}

/// The reservation there is, if it still makes sense, or one for the group that was passed most, if that was too
/// often.
fn reservation(
    ready: &ReadyQueue,
    workers: &Workers,
    heads: &BTreeSet<(Priority, usize)>,
    groups: impl Iterator<Item = Demand>,
) -> Option<Reservation> {
    let holds = |reservation: &Reservation| {
        let mut kept = workers.iter().filter(|(id, _)| *id == reservation.worker);
        kept.any(|(_, worker)| worker.could_hold(reservation.demand))
    };
    if let Some(reservation) = ready.reservation().filter(holds) {
        return Some(reservation);
    }
    let groups: Vec<Demand> = groups.collect();
    let starving = heads.iter().rev().map(|(_, group)| groups[*group]);
    // `max_by_key` keeps the last of equals, which is the first in the line.
    let demand = starving
        .filter(|demand| ready.passed(*demand) >= PATIENCE)
        .max_by_key(|demand| ready.passed(*demand))?;
    let able = workers.iter().filter(|(_, worker)| worker.could_hold(demand));
    let free = |(id, worker): &(WorkerId, &Worker)| (worker.free_cpu_millis(), Reverse(*id));
    let (worker, _) = able.max_by_key(free)?;
    Some(Reservation { demand, worker })
}

/// Takes room on the worker with most processor left, but not on `kept`.
fn take(rooms: &mut [Room], demand: Demand, kept: Option<WorkerId>) -> Option<WorkerId> {
    let fitting = rooms.iter_mut().filter(|room| Some(room.worker) != kept && room.fits(demand));
    // Rooms are in the order of worker numbers.
    let room = fitting.rev().max_by_key(|room| room.cpu_millis)?;
    room.cpu_millis -= u64::from(demand.cpu_millis);
    room.memory_bytes -= demand.memory_bytes;
    Some(room.worker)
}
