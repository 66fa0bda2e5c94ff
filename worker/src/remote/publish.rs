//! Bringing results where others find them.

use std::time::Duration;

use backon::{ExponentialBuilder, Retryable as _};
use cullet_cache::LogStream;

use super::Exchange;
use crate::{Conclusion, Outcome};

/// How often is tried again, and after how long: about eight seconds in all. A store that stays away longer has the
/// step run elsewhere.
const RETRIES: usize = 5;
const FIRST_WAIT: Duration = Duration::from_millis(100);
const LONGEST_WAIT: Duration = Duration::from_secs(2);

/// Publishes what a conclusion names. A success that cannot be published is none: nobody else could use it. What
/// else cannot be published keeps its outcome and loses what is not in the message itself.
pub(super) async fn publish(exchange: &dyn Exchange, mut conclusion: Conclusion) -> Conclusion {
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
        (|| exchange.publish(result)).retry(waits).await
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
