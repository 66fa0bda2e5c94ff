//! Trying again.

use std::time::Duration;

use super::{RegistryOptions, RegistryProblem};

/// How often something is still tried again, and how long to wait before.
#[derive(Debug)]
pub(super) struct Retries {
    left: u32,
    all: u32,
    pause: Duration,
    first: Duration,
    longest: Duration,
}

impl Retries {
    /// A mirror is not waited for: the registry itself comes next.
    pub(super) fn new(options: &RegistryOptions, is_mirror: bool) -> Self {
        let all = if is_mirror { 0 } else { options.retries };
        Self { left: all, all, pause: options.pause, first: options.pause, longest: options.longest_pause }
    }

    /// Waits before the next attempt.
    ///
    /// # Errors
    /// The problem, where there is none.
    pub(super) async fn pause(&mut self, problem: RegistryProblem) -> Result<(), RegistryProblem> {
        if self.left == 0 || !problem.may_pass() {
            return Err(problem);
        }
        let pause = match &problem {
            RegistryProblem::Limited { after_s: Some(after), .. } => Duration::from_secs(*after),
            // Between half and all of it, so that many do not come back at the same instant.
            _ => self.pause.mul_f64(fastrand::f64().mul_add(0.5, 0.5)),
        };
        if pause > self.longest {
            return Err(problem);
        }
        tracing::debug!(%problem, ?pause, "trying again");
        self.left -= 1;
        self.pause = (self.pause * 2).min(self.longest);
        tokio::time::sleep(pause).await;
        Ok(())
    }

    /// Something was achieved meanwhile.
    pub(super) fn refresh(&mut self) {
        (self.left, self.pause) = (self.all, self.first);
    }
}
