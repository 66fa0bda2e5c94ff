//! Bringing results where others find them.

use std::fmt::Debug;
use std::time::Duration;

use async_trait::async_trait;
use backon::{ExponentialBuilder, Retryable as _};
use cullet_cache::{ActionResult, LogStream, Tiers};

use crate::attempt::sentence;
use crate::{Conclusion, Outcome};

/// The way of a result to the rest of the cluster.
#[async_trait]
pub trait Publisher: Debug + Send + Sync {
    /// Stores every blob that the result names, and everything below its directories, where the whole cluster reads.
    /// When this returns the result may be relied on. Doing it again costs little.
    ///
    /// # Errors
    /// In a sentence.
    async fn publish(&self, result: &ActionResult) -> Result<(), String>;
}

/// To the shared store behind the local disk.
#[async_trait]
impl Publisher for Tiers {
    async fn publish(&self, result: &ActionResult) -> Result<(), String> {
        self.upload(result).await.map(drop).map_err(|error| sentence(&error))
    }
}

/// How often is tried again, and after how long: about eight seconds in all. A store that stays away longer has the
/// step run elsewhere.
const RETRIES: usize = 5;
const FIRST_WAIT: Duration = Duration::from_millis(100);
const LONGEST_WAIT: Duration = Duration::from_secs(2);

/// Publishes what a conclusion names. A success that cannot be published is none: nobody else could use it. What
/// else cannot be published keeps its outcome and loses what is not in the message itself.
pub(super) async fn publish(publisher: &dyn Publisher, mut conclusion: Conclusion) -> Conclusion {
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
        (|| publisher.publish(result)).retry(waits).await
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
