//! How long to wait before trying again.

use std::time::Duration;

/// Pauses that double, up to a most. Each is drawn between nothing and its length ("full jitter"), so that many who
/// failed at the same instant do not come back at the same instant.
#[derive(Debug, Clone)]
pub(crate) struct Pauses {
    next: Duration,
}

const FIRST: Duration = Duration::from_millis(50);
const LONGEST: Duration = Duration::from_secs(2);

impl Pauses {
    pub(crate) const fn new() -> Self {
        Self { next: FIRST }
    }

    pub(crate) async fn pause(&mut self) {
        let length = self.next.mul_f64(fastrand::f64());
        self.next = (self.next * 2).min(LONGEST);
        tokio::time::sleep(length).await;
    }
}
