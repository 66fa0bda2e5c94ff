//! How long to go on trying while nothing works.

use std::time::Duration;

use backon::{BackoffBuilder as _, ExponentialBackoff, ExponentialBuilder};
use tokio::time::Instant;
use tonic::Status;

use super::verdict::was_answered;

/// The pause after a first failure, which only makes room for another coordinator's answer.
const FIRST: Duration = Duration::from_millis(20);

/// The longest pause. An election takes about a second: nobody waits much longer than that for its outcome.
const LONGEST: Duration = Duration::from_secs(1);

/// How long nobody wonders why nothing happens.
const WONDERING: Duration = Duration::from_millis(1_500);

/// A stretch of time in which every attempt failed.
#[derive(Debug)]
pub(super) struct Outage {
    limit: Duration,
    /// When somebody said that it does not work.
    answered: Option<Instant>,
    open: Option<(Instant, ExponentialBackoff)>,
}

impl Outage {
    /// None so far; one of them is endured for `limit`.
    pub(super) const fn new(limit: Duration) -> Self {
        Self { limit, answered: None, open: None }
    }

    /// It works again.
    pub(super) fn over(&mut self) {
        self.open = None;
    }

    /// After a failure: where somebody is there and says that it does not work now, that is no silence. A majority of the
    /// others may be gone for long, and comes back.
    pub(super) fn heard(&mut self, status: &Status) {
        if was_answered(status) {
            self.answered = Some(Instant::now());
        }
    }

    /// After a failure of an attempt that began then: nothing has worked since, or for longer.
    pub(super) fn since(&mut self, began: Instant) {
        self.open.get_or_insert_with(|| (began, pauses()));
    }

    /// After a failure: how much longer it is tried, once it has been tried for so long that a person wonders.
    pub(super) fn wondered_at(&self) -> Option<Duration> {
        let lasted = self.open.as_ref()?.0.elapsed();
        (lasted >= WONDERING).then(|| self.limit.saturating_sub(lasted))
    }

    /// After a failure: how long to pause before the next attempt; none where this has lasted too long.
    pub(super) fn pause(&mut self) -> Option<Duration> {
        let (since, pauses) = self.open.get_or_insert_with(|| (Instant::now(), pauses()));
        let pause = pauses.next().unwrap_or(LONGEST);
        let silent = self.answered.map_or(*since, |answered| answered.max(*since)).elapsed();
        (silent + pause <= self.limit).then_some(pause)
    }
}

/// They double, and vary, so that many who failed at the same instant do not come back at the same instant.
fn pauses() -> ExponentialBackoff {
    let builder = ExponentialBuilder::new().with_min_delay(FIRST).with_max_delay(LONGEST);
    builder.with_jitter().without_max_times().build()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn an_outage_ends_when_something_works_or_when_it_has_lasted_too_long() {
        let mut outage = Outage::new(Duration::from_secs(10));
        let start = Instant::now();
        let mut pauses = 0;
        while let Some(pause) = outage.pause() {
            let wondered =
                (1_500 <= start.elapsed().as_millis()).then(|| Duration::from_secs(10) - start.elapsed());
            assert_eq!(outage.wondered_at(), wondered);
            tokio::time::sleep(pause).await;
            pauses += 1;
        }
        let lasted = start.elapsed();
        assert!(lasted <= Duration::from_secs(10) && lasted > Duration::from_secs(7), "{lasted:?}");
        assert!((8..40).contains(&pauses), "{pauses}");
        outage.over();
        assert!(outage.pause().is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn who_says_that_it_does_not_work_is_there() {
        let mut outage = Outage::new(Duration::from_secs(10));
        for _ in 0..60 {
            outage.heard(&Status::unavailable("no majority"));
            tokio::time::sleep(outage.pause().unwrap()).await;
        }
        // What the way to it says is no answer.
        let on_the_way = Status::from_error(Box::new(std::io::Error::other("refused")));
        while let Some(pause) = outage.pause() {
            outage.heard(&on_the_way);
            tokio::time::sleep(pause).await;
        }
    }
}
