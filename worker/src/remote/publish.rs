//! Bringing results where others find them.

use std::time::{Duration, Instant};

use backon::{ExponentialBuilder, Retryable as _};
use cullet_cache::LogStream;

use super::Exchange;
use crate::{Conclusion, Outcome};

/// Pauses before it is tried again.
const FIRST_WAIT: Duration = Duration::from_millis(100);
const LONGEST_WAIT: Duration = Duration::from_secs(2);

/// How often at most, whatever time there is.
const RETRIES: usize = 1000;

/// How long for what is no success: somebody waits to hear why, and its logs are all that is lost.
const FAILURE: Duration = Duration::from_secs(5);

/// Publishes what a conclusion names. A success that cannot be published for so long is none: nobody else could use it. A
/// store that stays away longer has the step run elsewhere. What else cannot be published keeps its outcome and loses what is
/// not in the message itself.
pub(super) async fn publish(
    exchange: &dyn Exchange,
    mut conclusion: Conclusion,
    patience: Duration,
) -> Conclusion {
    let is_success = matches!(conclusion.outcome, Outcome::Succeeded { .. });
    let patience = if is_success { patience } else { patience.min(FAILURE) };
    let Some(result) = &mut conclusion.result else { return conclusion };
    if result.digests().next().is_none() {
        return conclusion;
    }
    let waits = ExponentialBuilder::new()
        .with_min_delay(FIRST_WAIT)
        .with_max_delay(LONGEST_WAIT)
        .with_max_times(RETRIES)
        .with_jitter();
    let published = {
        let result = &*result;
        let began = Instant::now();
        (|| exchange.publish(result)).retry(waits).when(|_| began.elapsed() < patience).await
    };
    let Err(trouble) = published else { return conclusion };
    tracing::warn!(%trouble, "a result could not be stored");
    for log in [&mut result.stdout, &mut result.stderr] {
        if matches!(log, LogStream::Blob(_)) {
            *log = LogStream::default();
            result.interleaving.clear();
        }
    }
    result.outputs.clear();
    let sentence = format!("what it left cannot be stored where others find it: {trouble}");
    match &conclusion.outcome {
        Outcome::Succeeded { .. } => {
            let outcome = Outcome::Infra { reason: sentence };
            Conclusion { outcome, exit_code: None, reason: None, ..conclusion }
        }
        _ => {
            conclusion.notes.push(sentence);
            conclusion
        }
    }
}
