//! Which ready step starts where. A pure function of who is ready and what room there is.

use std::collections::BTreeSet;

use crate::WorkerId;
use crate::place::{Demand, Priority};
use crate::ready::ReadyQueue;
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
}

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
/// lower number. A step that does not fit anywhere now does not hold up smaller ones behind it.
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
    while let Some((step, group)) = heads.pop_first() {
        let (demand, steps) = &mut groups[group];
        // Room only shrinks from here on: a group that does not fit once is not looked at again.
        let Some(room) = roomiest(&mut rooms, *demand) else { continue };
        room.cpu_millis -= u64::from(demand.cpu_millis);
        room.memory_bytes -= demand.memory_bytes;
        schedule.assignments.push(Assignment { step, demand: *demand, worker: room.worker });
        heads.extend(steps.next().map(|next| (*next, group)));
    }
    schedule
}

fn roomiest(rooms: &mut [Room], demand: Demand) -> Option<&mut Room> {
    // `max_by_key` keeps the last of equals, and rooms are in the order of worker numbers.
    rooms.iter_mut().rev().filter(|room| room.fits(demand)).max_by_key(|room| room.cpu_millis)
}
