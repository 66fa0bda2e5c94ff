//! Which ready step starts where.

use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap};

use crate::place::{Demand, Group, Priority};
use crate::ready::Reservation;
use crate::tenants::{TenantId, TenantTurn};
use crate::{State, WorkerId};

/// Start this step there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Assignment {
    pub(crate) step: Priority,
    pub(crate) group: Group,
    pub(crate) worker: WorkerId,
}

/// How many smaller steps may be started before one that fits nowhere, until a worker is kept free for it. High
/// enough that a worker of eight processors is filled twice over, low enough that a large step waits for
/// minutes and not for the end of the queue.
const PATIENCE: u32 = 16;

/// Workers whose share of a step's inputs differs by less are as good as each other: a megabyte comes over the
/// network in hundredths of a second.
const SAME_BYTES: u64 = 1 << 20;

/// What happened since nothing more could be started.
#[derive(Debug, Default)]
pub(crate) struct News {
    /// Workers that have more room, or may take more, than they had.
    pub(crate) grown: BTreeSet<WorkerId>,
    /// Groups that are new, or may go to other workers than before.
    pub(crate) fresh: BTreeSet<Group>,
    /// Workers came, went or changed: what could be placed before perhaps cannot now.
    pub(crate) workers: bool,
}

/// Starts steps one after the other.
///
/// Between tenants goes first who had least of the workers so far, by weight, so that each gets its share (see
/// [`TenantTurn`]). Between the runs of a tenant go first those of the highest priority, then the one whose running steps
/// take least, then the one that had its turn before the others; within a run, the step whose chain of dependents is expected
/// to take longest. All operations of a client have turns together, as steps of a run do, and go by age. A step takes the worker
/// with most of its inputs among those that have room now: it never waits for one that is busy, since waiting costs more than
/// fetching. Then the one with most processor left; ties go to the lower number.
///
/// A step that does not fit anywhere now does not hold up smaller ones behind it, until it was passed
/// [`PATIENCE`] times: then one worker takes no other steps until this one fits. Only one worker is kept free at a
/// time; whoever was passed most is next. Steps end, so every ready step starts some day.
///
/// A round costs the number of tenants, where there is room for anything, and that of distinct demands. An assignment costs
/// the number of groups that are looked at until one fits, times the workers with more room than before, which is mostly
/// one. How many workers, ready steps or finished ones there are hardly matters.
pub(crate) struct Round<'n> {
    news: &'n mut News,
    /// What fits nowhere: room only shrinks while a round lasts. (The group that a worker is kept free for is
    /// tried before, on that worker as well.)
    dropped: Vec<Demand>,
    /// Tenants with ready steps, once that was asked for. Their turns come in this order or later, as steps were started since.
    line: Option<BinaryHeap<Reverse<TenantTurn>>>,
    /// Those that had their turn, and nothing of theirs fitted.
    unfit: Vec<TenantId>,
}

impl<'n> Round<'n> {
    pub(crate) fn new(state: &mut State, news: &'n mut News) -> Self {
        if news.workers {
            news.fresh.extend(state.ready.shunning());
        }
        reserve(state, news);
        let mut round = Self { news, dropped: Vec::new(), line: None, unfit: Vec::new() };
        if state.tenants.has_woken() {
            round.line_up(state);
        }
        round
    }

    /// The next step to start. It must be started before this is asked again.
    pub(crate) fn next(&mut self, state: &mut State) -> Option<Assignment> {
        if let Some(Reservation { group, .. }) = state.ready.reservation()
            && let Some(step) = state.ready.head(group)
            && let Some(worker) = self.place(state, group, step)
        {
            return Some(Assignment { step, group, worker });
        }
        if !self.has_room(state) {
            return None;
        }
        self.line_up(state);
        while let Some(Reverse(turn)) = self.line.as_mut().and_then(BinaryHeap::pop) {
            let now = state.tenants.turn(turn.tenant, state.latest())?;
            if now > turn {
                self.line.as_mut()?.push(Reverse(now));
                continue;
            }
            if let Some(assignment) = self.first_of(state, turn.tenant) {
                self.line.as_mut()?.push(Reverse(turn));
                return Some(assignment);
            }
            self.unfit.push(turn.tenant);
        }
        None
    }

    /// Looks whose turn it is, unless that is known. No time passes during a round.
    fn line_up(&mut self, state: &mut State) {
        if self.line.is_none() {
            let now = state.latest();
            let State { tenants, ready, .. } = state;
            self.line = Some(tenants.line_up(ready.tenants(), now).into_iter().map(Reverse).collect());
        }
    }

    /// Whether there may be room for any step, whosever it is.
    fn has_room(&self, state: &State) -> bool {
        let mut demands = state.ready.demands().filter(|demand| !self.dropped.contains(demand));
        demands.any(|demand| self.news.grown.iter().any(|id| state.workers.room(*id, demand).is_some()))
            || self
                .news
                .fresh
                .iter()
                .any(|group| state.ready.head(*group).is_some() && self.fits(state, *group))
    }

    /// The first step of a tenant that fits somewhere.
    fn first_of(&mut self, state: &State, tenant: TenantId) -> Option<Assignment> {
        let mut first: Option<(Priority, Group)> = None;
        for (group, head) in state.ready.groups(tenant) {
            if self.dropped.contains(&group.demand) {
                continue;
            }
            if !self.fits(state, group) {
                self.dropped.push(group.demand);
                continue;
            }
            if first.is_none_or(|(first, _)| head < first) {
                first = Some((head, group));
            }
        }
        let (step, group) = first?;
        self.place(state, group, step).map(|worker| Assignment { step, group, worker })
    }

    /// Groups that an assignment passes: those before it in the line that do not fit.
    pub(crate) fn passed(&self, state: &State, started: &Assignment) -> Vec<Group> {
        if state.ready.reservation().is_some_and(|reservation| reservation.group == started.group) {
            return Vec::new();
        }
        let mine = started.group.tenant;
        // Nothing of theirs fits, or it would be their turn.
        let theirs = self.unfit.iter().flat_map(|tenant| state.ready.groups(*tenant)).map(|(group, _)| group);
        let own = state
            .ready
            .groups(mine)
            .filter(|(group, head)| self.dropped.contains(&group.demand) && *head < started.step);
        theirs.chain(own.map(|(group, _)| group)).collect()
    }

    /// A worker has more room than there was, although no step ended: it is no longer kept free, or has a place for an operation.
    pub(crate) fn release(&mut self, worker: WorkerId) {
        self.news.grown.insert(worker);
        self.dropped.clear();
        if let Some(line) = &mut self.line {
            line.extend(self.unfit.drain(..).map(|tenant| Reverse(TenantTurn::first(tenant))));
        }
    }

    /// The worker that is kept free for others than this group.
    fn kept(state: &State, group: Group) -> Option<WorkerId> {
        let kept = state.ready.reservation().filter(|reservation| reservation.group != group);
        kept.map(|reservation| reservation.worker)
    }

    /// Whether any worker has room for a step of the group.
    fn fits(&self, state: &State, group: Group) -> bool {
        let kept = Self::kept(state, group);
        if self.news.fresh.contains(&group) {
            return state.workers.roomiest(group.demand, kept).is_some();
        }
        let mut grown = self.news.grown.iter();
        grown.any(|worker| state.workers.room_but(*worker, group.demand, kept).is_some())
    }

    /// The best worker for the first step of a group.
    fn place(&self, state: &State, group: Group, step: Priority) -> Option<WorkerId> {
        let kept = Self::kept(state, group);
        let demand = group.demand;
        let id = step.id();
        let near = state.runs.get(&id.run).and_then(|run| run.near.get(&id.step));
        let held = |worker: WorkerId| {
            let near = near.and_then(|near| near.iter().find(|(known, _)| *known == worker));
            near.map_or(0, |(_, bytes)| *bytes)
        };
        let room = |worker: WorkerId| {
            let free = state.workers.room_but(worker, demand, kept)?;
            Some((held(worker), free, Reverse(worker)))
        };
        let mut able: Vec<(u64, u64, Reverse<WorkerId>)> = Vec::new();
        if self.news.fresh.contains(&group) {
            able.extend(near.into_iter().flatten().filter_map(|(worker, _)| room(*worker)));
            able.extend(state.workers.roomiest(demand, kept).and_then(room));
        } else {
            able.extend(self.news.grown.iter().filter_map(|worker| room(*worker)));
        }
        let most = able.iter().map(|(held, ..)| *held).max()?;
        let good = able.into_iter().filter(|(held, ..)| held.saturating_add(SAME_BYTES) >= most);
        good.max_by_key(|(_, free, worker)| (*free, *worker)).map(|(_, _, Reverse(worker))| worker)
    }
}

/// Keeps the reservation there is, if it still makes sense, or makes one for the group that was passed most, if
/// that was too often.
fn reserve(state: &mut State, news: &mut News) {
    if let Some(Reservation { group, worker }) = state.ready.reservation() {
        if state.workers.could_hold(worker, group.demand) {
            return;
        }
        news.grown.insert(worker);
        state.ready.reserve(None);
    }
    let starving = state.ready.starving(PATIENCE).into_iter();
    let starving = starving.filter(|group| !state.ready.stuck().contains_key(&group.demand));
    let mut possible = starving.filter_map(|group| {
        let worker = state.workers.roomiest_able(group.demand)?;
        Some(Reservation { group, worker })
    });
    let reservation = possible.next();
    state.ready.reserve(reservation);
}
