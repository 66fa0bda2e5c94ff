//! Waiting for services.

use std::future::Future;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use futures_util::future::{select_all, try_join_all};
use tokio_util::sync::CancellationToken;

use super::told::{self, LastLines};
use crate::ExecuteError;

/// How long one check may take. One that hangs must not be the last: the service may answer the next.
pub(crate) const ONE_CHECK: Duration = Duration::from_secs(10);

/// When nobody says how long a service may take: as in the language. Nothing but a start is waited for then.
pub(crate) const STARTING: Duration = Duration::from_secs(60);

/// Why the step does not begin.
pub(crate) enum NoStep {
    /// A service is to blame, in a sentence.
    NotReady(String),
    /// Somebody asked for its end.
    Cancelled,
    /// The machine is to blame.
    Trouble(ExecuteError),
}

/// Until all services are ready, or one is not going to be. `probes` end when a service is ready, with a sentence where it
/// is not in time, and `ends` when one ends.
pub(crate) async fn all_ready<P, E>(
    probes: Vec<P>,
    ends: Vec<E>,
    cancel: &CancellationToken,
) -> Result<(), NoStep>
where
    P: Future<Output = Result<(), String>>,
    E: Future<Output = NoStep>,
{
    let ends = ends.into_iter().map(Box::pin);
    tokio::select! {
        biased;
        () = cancel.cancelled() => Err(NoStep::Cancelled),
        (ended, ..) = select_all(ends) => Err(ended),
        ready = try_join_all(probes) => ready.map(drop).map_err(NoStep::NotReady),
    }
}

/// Asks a service until it is ready; `ask` gets the time until which it may take, and says in a clause what is wrong.
pub(crate) async fn until_ready<F>(
    name: &str,
    (timeout, interval): (Duration, Duration),
    last: &Mutex<LastLines>,
    ask: impl Fn(Instant) -> F,
) -> Result<(), String>
where
    F: Future<Output = Result<(), String>>,
{
    let until = Instant::now() + timeout;
    let mut known: Option<String> = None;
    loop {
        let asked_at = Instant::now();
        let Err(trouble) = ask(until).await else { return Ok(()) };
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            // One that was cut short says less than the one before.
            let known = known.filter(|_| asked_at.elapsed() < ONE_CHECK.min(timeout / 2));
            let last = last.lock().unwrap_or_else(PoisonError::into_inner);
            return Err(told::late(name, timeout, &known.unwrap_or(trouble), &last));
        }
        known = Some(trouble);
        tokio::time::sleep(interval.min(left)).await;
    }
}
