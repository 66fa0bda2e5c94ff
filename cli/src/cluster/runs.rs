//! Questions about runs.

use std::time::Duration;

use cullet_proto::v1;

use super::client::Patience;
use super::{Cluster, ClusterError, Watch};
use cullet_coordinator::Event;
use cullet_coordinator::event::from_wire;

/// Runs in one answer.
const PAGE: u32 = 1000;

/// Answers that are asked for when a run is looked for by the start of its name: ten thousand runs, which is days of
/// work of a large cluster.
const PAGES: usize = 10;

/// Names that are shown where a name is not enough.
const CANDIDATES: usize = 5;

/// Digits of a whole name.
const DIGITS: usize = 32;

/// A run that lives may go on telling events for ever: after a pause of this length the rest counts as the future.
const STILL: Duration = Duration::from_millis(500);

impl Cluster {
    /// The run whose name begins with `name`; without one, the newest, of this tenant if one is named.
    pub(crate) async fn find(
        &self,
        name: Option<&str>,
        tenant: Option<&str>,
    ) -> Result<String, ClusterError> {
        let Some(name) = name else {
            let newest = self.runs(1, tenant).await?.into_iter().next();
            return newest.map(|run| run.run).ok_or(ClusterError::NoRuns);
        };
        let is_hex = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_hexdigit());
        if !is_hex || name.len() > DIGITS {
            return Err(ClusterError::UnknownRun { name: name.to_owned() });
        }
        let name = name.to_ascii_lowercase();
        if name.len() == DIGITS {
            return Ok(name);
        }
        let runs = self.runs(PAGE as usize * PAGES, None).await?;
        let mut found: Vec<String> =
            runs.into_iter().map(|run| run.run).filter(|run| run.starts_with(&name)).collect();
        found.truncate(CANDIDATES);
        match found.len() {
            0 => Err(ClusterError::UnknownRun { name }),
            1 => Ok(found.swap_remove(0)),
            _ => Err(ClusterError::AmbiguousRun { name, candidates: found }),
        }
    }

    /// The newest runs, at most `limit` of them.
    pub(crate) async fn runs(
        &self,
        limit: usize,
        tenant: Option<&str>,
    ) -> Result<Vec<v1::RunSummary>, ClusterError> {
        let mut runs = Vec::new();
        let mut page_token = String::new();
        while runs.len() < limit {
            let left = u32::try_from(limit - runs.len()).unwrap_or(PAGE);
            let request = v1::ListRunsRequest {
                limit: left.min(PAGE),
                page_token,
                tenant: tenant.unwrap_or_default().to_owned(),
            };
            let page = self
                .call(Patience::ASKING, |mut client| {
                    let request = request.clone();
                    async move { client.list_runs(request).await }
                })
                .await?;
            let last = page.next_page_token.is_empty() || page.runs.is_empty();
            runs.extend(page.runs);
            page_token = page.next_page_token;
            if last {
                break;
            }
        }
        runs.truncate(limit);
        Ok(runs)
    }

    /// One run as it is now.
    pub(crate) async fn run(&self, run: &str) -> Result<v1::Run, ClusterError> {
        let request = v1::GetRunRequest { run: run.to_owned() };
        let answer = self
            .call(Patience::ASKING, |mut client| {
                let request = request.clone();
                async move { client.get_run(request).await }
            })
            .await?;
        answer.run.ok_or_else(|| ClusterError::UnknownRun { name: run.to_owned() })
    }

    /// The keys that a step had in earlier runs.
    pub(crate) async fn step_keys(
        &self,
        run: &str,
        step: &str,
    ) -> Result<v1::ListStepKeysResponse, ClusterError> {
        let request = v1::ListStepKeysRequest { run: run.to_owned(), step: step.to_owned() };
        self.call(Patience::ASKING, |mut client| {
            let request = request.clone();
            async move { client.list_step_keys(request).await }
        })
        .await
    }

    /// Ends a run. Whether it had ended already.
    pub(crate) async fn cancel(&self, run: &str) -> Result<bool, ClusterError> {
        let request = v1::CancelRunRequest { run: run.to_owned() };
        let answer = self
            .call(Patience::ASKING, |mut client| {
                let request = self.question(request.clone());
                async move { client.cancel_run(request).await }
            })
            .await?;
        Ok(answer.had_ended)
    }

    /// What has happened in a run so far, with the time of each event in milliseconds since the Unix epoch. Of a run
    /// that lives the events up to `now_ms`, or up to a short silence.
    pub(crate) async fn events_so_far(
        &self,
        run: &v1::RunSummary,
        now_ms: u64,
    ) -> Result<Vec<(Event, u64)>, ClusterError> {
        let lives = run.finished_at_ms == 0;
        let mut watch = Watch::new(self.clone(), &run.run);
        let mut events = Vec::new();
        loop {
            let next = match lives && !events.is_empty() {
                true => match tokio::time::timeout(STILL, watch.next()).await {
                    Ok(next) => next?,
                    Err(_) => return Ok(events),
                },
                false => watch.next().await?,
            };
            let at = next.time_ms;
            let Some(next) = from_wire(next) else { continue };
            let last = matches!(next, Event::RunFinished(_));
            if lives && !last && at > now_ms && !events.is_empty() {
                return Ok(events);
            }
            events.push((next, at));
            if last {
                return Ok(events);
            }
        }
    }
}
