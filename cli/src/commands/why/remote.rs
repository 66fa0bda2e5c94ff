//! What a cluster knows of its runs.

use std::sync::Arc;

use cullet_digest::Digest;
use cullet_proto::v1;

use super::facts::Facts;
use super::known::{Execution, Known, Results};
use crate::cluster::Cluster;
use crate::config::Config;
use crate::error::CliError;
use crate::history::keys::KeyRecord;
use crate::ui::duration::now_ms;

/// A run of the cluster, and what its events say of a step. Where none is named: the newest, of the tenant that the
/// configuration names if it does.
pub(super) async fn known(
    cluster: &Cluster,
    config: &Config,
    run: Option<&str>,
    step: &str,
) -> Result<(Known, Facts), CliError> {
    let run = cluster.find(run, config.tenant()).await?;
    let run = cluster.run(&run).await?.summary.unwrap_or_default();
    let events = cluster.events_so_far(&run, now_ms()).await?;
    let facts = Facts::read(step, |each| {
        events.into_iter().for_each(|(event, at_ms)| each(event, at_ms.saturating_sub(run.submitted_at_ms)));
        Ok(())
    })?;
    // A step that is not in the run is a person's mistake, for which there are better words.
    let keys = match facts.ends.is_empty() {
        true => v1::ListStepKeysResponse::default(),
        false => cluster.step_keys(&run.run, step).await?,
    };
    let last = facts.ends.last().and_then(|ended| ended.end.action_digest.clone());
    let execution = keys
        .execution
        .map(|made| Execution { started_ms: made.started_at_ms, duration_ms: made.duration_ms });
    let evicted_ms = (keys.evicted_at_ms > 0).then_some(keys.evicted_at_ms);
    let known = Known {
        run: run.run,
        started_ms: run.submitted_at_ms,
        no_cache: keys.no_cache,
        keys: keys.earlier.into_iter().map(record).collect(),
        // All runs of a cluster know of each other.
        until_ms: None,
        blobs: Arc::new(cluster.store(&config.cache_dir)?),
        results: Box::new(Told { key: last, execution, evicted_ms, audited: keys.audited }),
        shared: None,
    };
    Ok((known, facts))
}

fn record(key: v1::StepKey) -> KeyRecord {
    let v1::StepKey { run, action, status, cached, finished_at_ms } = key;
    let digest = action.map(|action| format!("{}/{}", action.hash, action.size_bytes)).unwrap_or_default();
    KeyRecord { digest, status, cached, at_ms: finished_at_ms, run }
}

/// What the cluster says of the result of one key.
struct Told {
    key: Option<String>,
    execution: Option<Execution>,
    evicted_ms: Option<u64>,
    audited: Vec<String>,
}

impl Results for Told {
    fn execution(&self, key: &Digest) -> Option<Execution> {
        self.execution.filter(|_| self.key.as_deref() == Some(&*key.to_string()))
    }

    fn evicted_ms(&self, key: &Digest) -> Option<u64> {
        self.evicted_ms.filter(|_| self.key.as_deref() == Some(&*key.to_string()))
    }

    fn audited(&self) -> &[String] {
        &self.audited
    }
}
