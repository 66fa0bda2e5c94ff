//! Puts together what the history and the cache know about a key.

use std::fmt::Write as _;

use cullet_cache::LocalCache;
use cullet_coordinator::event::{Note, StepEnd};
use cullet_digest::Digest;

use super::compare;
use crate::commands::run::prepare::FUNCTION;
use crate::config::Config;
use crate::error::CliError;
use crate::history::StoredRun;
use crate::history::keys::{self, KeyRecord};
use crate::ui::duration::{human_ms, now_ms, rfc3339};
use crate::ui::{duration, short};

/// Explains steps of one run.
pub(super) struct Explainer<'a> {
    pub(super) config: &'a Config,
    pub(super) cache: &'a LocalCache,
    pub(super) run: &'a StoredRun,
}

impl Explainer<'_> {
    pub(super) fn explain(&self, end: &StepEnd, notes: &[Note]) -> Result<String, CliError> {
        let mut text = String::new();
        let step = &end.step;
        let run = short(&self.run.meta().run);
        let Some(key) = &end.action_digest else {
            let reason = end.reason.as_deref().unwrap_or("it was never reached");
            let _ = writeln!(text, "{step} did not run in {run} and has no key: {reason}");
            return Ok(text);
        };
        match (end.cached, end.status.as_str()) {
            (true, _) => self.hit(end, key, &mut text),
            (false, "cancelled" | "skipped") => {
                let reason = end.reason.as_deref().unwrap_or("the run was cancelled");
                let _ = writeln!(text, "{step} did not finish in {run}: {reason}");
            }
            (false, _) => self.miss(end, key, notes, &mut text)?,
        }
        let _ = writeln!(text, "key: {key}");
        Ok(text)
    }

    fn hit(&self, end: &StepEnd, key: &str, text: &mut String) {
        let run = short(&self.run.meta().run);
        let _ = writeln!(text, "{} was answered by the cache in {run}: nothing in its key changed", end.step);
        let result = parse(key).and_then(|key| self.cache.all_actions.get_blocking(&key).ok().flatten());
        if let Some(result) = result {
            let at = rfc3339(result.started_at_ms);
            let ago = duration::ago(result.started_at_ms, now_ms());
            let took = human_ms(result.duration_ms);
            let _ = writeln!(text, "it was executed at {at} ({ago}) and took {took}");
        }
    }

    fn miss(&self, end: &StepEnd, key: &str, notes: &[Note], text: &mut String) -> Result<(), CliError> {
        let run = &self.run.meta().run;
        let _ = writeln!(text, "{} was executed in {}", end.step, short(run));
        for note in notes {
            let _ = writeln!(text, "because: {}", note.text);
        }
        let known = keys::nearest(&self.config.keys_dir(), &self.run.meta().pipeline, &end.step)?;
        let earlier = |record: &&KeyRecord| record.run != *run && record.at_ms <= self.ended_at(&known, run);
        if let Some(same) = known.iter().filter(earlier).find(|record| record.digest == key) {
            if notes.is_empty() {
                let _ = writeln!(text, "because: {}", self.same_key(same));
            }
            return Ok(());
        }
        match known.iter().find(earlier) {
            None => {
                let _ = writeln!(text, "because: this is the first time: no earlier key of it is known here");
            }
            Some(nearest) => self.changed(key, nearest, text),
        }
        Ok(())
    }

    /// Later than every key that the run can have been compared with.
    fn ended_at(&self, known: &[KeyRecord], run: &str) -> u64 {
        known.iter().find(|record| record.run == run).map_or(u64::MAX, |record| record.at_ms)
    }

    /// The key was there before, so its result was not, or nobody wanted it.
    fn same_key(&self, same: &KeyRecord) -> String {
        let asked = &self.run.meta().command_line;
        if asked.iter().any(|word| word == "--no-cache") {
            return "the run was started with --no-cache".to_owned();
        }
        let before = short(&same.run);
        if same.status != "succeeded" {
            let status = same.status.replace('_', " ");
            return format!("the same key {status} before, in run {before}: only successes are reused");
        }
        let evicted = parse(&same.digest).and_then(|key| self.cache.tombstone(&key).ok().flatten());
        if let Some(at) = evicted.and_then(|at| at.duration_since(std::time::UNIX_EPOCH).ok()) {
            let at = rfc3339(at.as_millis() as u64);
            return format!(
                "nothing changed since run {before}, but its result was evicted from the cache at {at}"
            );
        }
        format!(
            "nothing changed since run {before}, but its result may not be reused (`effects`), or was no longer \
             whole in the cache"
        )
    }

    fn changed(&self, key: &str, nearest: &KeyRecord, text: &mut String) {
        let before = short(&nearest.run);
        let _ = writeln!(text, "because its key differs from that of run {before}:");
        let (Some(old), Some(new)) = (parse(&nearest.digest), parse(key)) else { return };
        match compare::actions(self.cache, self.config, &old, &new) {
            Ok(differences) if differences.is_empty() => {
                let _ = writeln!(text, "  only in ways that this version cannot name");
            }
            Ok(differences) => differences.iter().for_each(|line| {
                let _ = writeln!(text, "  {line}");
            }),
            Err(reason) => {
                let _ = writeln!(text, "  what differs can no longer be told: {reason}");
            }
        }
    }
}

fn parse(key: &str) -> Option<Digest> {
    Digest::parse(FUNCTION, key).ok()
}
