//! How many steps are where.

use cullet_coordinator::StepEnd;

/// Where a step is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// For its inputs, or to be looked up.
    Waiting,
    /// Waits for room.
    Queued,
    /// An attempt runs.
    Running,
    /// Executed, and well.
    Executed,
    /// Answered by the cache or an identical step.
    Cached,
    /// Failed, timed out, or was failed by the machine.
    Failed,
    /// Failed, and may.
    Tolerated,
    /// Did not run to an end: skipped or cancelled.
    Skipped,
}

impl Place {
    pub(super) fn of(end: &StepEnd) -> Self {
        match end.status.as_str() {
            "succeeded" if end.cached => Self::Cached,
            "succeeded" => Self::Executed,
            "skipped" | "cancelled" => Self::Skipped,
            _ if end.allow_failure => Self::Tolerated,
            _ => Self::Failed,
        }
    }
}

/// Steps by place. The fields of finished steps and those of unfinished ones add up to all steps.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Wait for inputs, or to be looked up.
    pub waiting: usize,
    /// Wait for room.
    pub queued: usize,
    /// Run.
    pub running: usize,
    /// Were executed, and well.
    pub executed: usize,
    /// Were answered by the cache.
    pub cached: usize,
    /// Failed.
    pub failed: usize,
    /// Failed, and may.
    pub tolerated: usize,
    /// Did not run to an end.
    pub skipped: usize,
}

impl Counts {
    /// Steps that reached their end.
    pub fn done(&self) -> usize {
        self.executed + self.cached + self.failed + self.tolerated + self.skipped
    }

    pub(super) fn waiting(&mut self, more: usize) {
        self.waiting += more;
    }

    pub(super) fn moved(&mut self, from: Place, to: Place) {
        let slot = self.slot(from);
        *slot = slot.saturating_sub(1);
        *self.slot(to) += 1;
    }

    fn slot(&mut self, place: Place) -> &mut usize {
        match place {
            Place::Waiting => &mut self.waiting,
            Place::Queued => &mut self.queued,
            Place::Running => &mut self.running,
            Place::Executed => &mut self.executed,
            Place::Cached => &mut self.cached,
            Place::Failed => &mut self.failed,
            Place::Tolerated => &mut self.tolerated,
            Place::Skipped => &mut self.skipped,
        }
    }
}
