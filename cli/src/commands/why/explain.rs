//! Puts together what the history and the cache know about a key.

use std::fmt::Write as _;
use std::path::Path;
use std::time::UNIX_EPOCH;

use cullet_cache::LocalCache;
use cullet_digest::Digest;

use super::compare;
use super::facts::Ended;
use super::reason::{Asked, Reason, reason};
use crate::commands::run::prepare::FUNCTION;
use crate::config::Config;
use crate::error::CliError;
use crate::history::StoredRun;
use crate::history::keys::{self, KeyRecord};
use crate::ui::duration::{human_ms, now_ms, rfc3339};
use crate::ui::model::cause;
use crate::ui::{clean, duration, short};

/// Explains steps of one run.
pub(super) struct Explainer<'a> {
    pub(super) config: &'a Config,
    pub(super) cache: &'a LocalCache,
    pub(super) run: &'a StoredRun,
}

impl Explainer<'_> {
    /// Explains the last of a step's ends, and then those that went before it.
    pub(super) fn explain(&self, ends: &[Ended]) -> Result<String, CliError> {
        let mut text = String::new();
        let Some((last, before)) = ends.split_last() else { return Ok(text) };
        self.one(last, !before.is_empty(), &mut text)?;
        for (index, ended) in before.iter().enumerate().rev() {
            let mut earlier = String::new();
            self.one(ended, index > 0, &mut earlier)?;
            text.push_str("before that, in the same run:\n");
            earlier.lines().for_each(|line| {
                let _ = writeln!(text, "  {line}");
            });
        }
        if let Some(key) = &last.end.action_digest {
            let _ = writeln!(text, "key: {key}");
        }
        Ok(text)
    }

    fn one(&self, ended: &Ended, again: bool, text: &mut String) -> Result<(), CliError> {
        let Ended { end, .. } = ended;
        let (step, run) = (clean::line(&end.step), self.name());
        let reason = |otherwise: &str| clean::line(end.reason.as_deref().unwrap_or(otherwise));
        let Some(key) = &end.action_digest else {
            let reason = reason("it was never reached");
            let _ = writeln!(text, "{step} did not run in {run} and has no key: {reason}");
            return Ok(());
        };
        match (end.cached, end.status.as_str()) {
            (_, "cancelled" | "skipped") => {
                let _ = writeln!(text, "{step} did not finish in {run}: {}", reason("the run was cancelled"));
            }
            (true, status) if status != "succeeded" || ended.identical.is_some() => self.shared(ended, text),
            (true, _) => self.hit(ended, key, text),
            (false, _) => self.miss(ended, key, again, text)?,
        }
        Ok(())
    }

    fn name(&self) -> &str {
        short(&self.run.meta().run)
    }

    fn shared(&self, Ended { end, identical, .. }: &Ended, text: &mut String) {
        let (step, run) = (clean::line(&end.step), self.name());
        let other = match identical {
            Some(other) => format!("the identical step {} of this run", clean::line(other)),
            None => "an identical step".to_owned(),
        };
        let _ = writeln!(text, "{step} was not executed in {run}: its result is shared with {other}");
        if end.status != "succeeded" {
            let cause = cause(&end.status, end.exit_code, end.reason.as_deref(), end.duration_ms);
            let _ = writeln!(text, "which did not succeed: {cause}");
        }
        if let Some(other) = identical {
            let _ =
                writeln!(text, "why that one was executed: cullet why --run {run} '{}'", clean::line(other));
        }
    }

    fn hit(&self, Ended { end, .. }: &Ended, key: &str, text: &mut String) {
        let (step, run) = (clean::line(&end.step), self.name());
        let _ = writeln!(text, "{step} was answered by the cache in {run}: nothing in its key changed");
        let result = parse(key).and_then(|key| self.cache.all_actions.get_blocking(&key).ok().flatten());
        // What was executed since then answered nothing.
        let result = result.filter(|result| result.started_at_ms <= self.run.meta().started_at_ms);
        if let Some(result) = result {
            let at = rfc3339(result.started_at_ms);
            let ago = duration::ago(result.started_at_ms, now_ms());
            let took = human_ms(result.duration_ms);
            let _ = writeln!(text, "it was executed at {at} ({ago}) and took {took}");
        }
    }

    fn miss(&self, ended: &Ended, key: &str, again: bool, text: &mut String) -> Result<(), CliError> {
        let again = if again { " again" } else { "" };
        let _ = writeln!(text, "{} was executed{again} in {}", clean::line(&ended.end.step), self.name());
        for note in &ended.notes {
            let _ = writeln!(text, "because: {}", clean::line(note));
        }
        if !ended.notes.is_empty() {
            return Ok(());
        }
        if !again.is_empty() {
            // It was said of an earlier end, and nothing is said twice.
            text.push_str("because: its outputs could no longer be read from the cache\n");
            return Ok(());
        }
        let meta = self.run.meta();
        let scope = keys::scope(&meta.pipeline, Path::new(&meta.file));
        let known = keys::nearest(&self.config.keys_dir(), &scope, &ended.end.step)?;
        match reason(&self.asked(ended, key), &known) {
            Reason::Changed(nearest) => self.changed(key, nearest, text),
            reason => {
                let _ = writeln!(text, "because: {}", self.unchanged(&reason, ended, key));
            }
        }
        Ok(())
    }

    fn asked<'a>(&'a self, ended: &Ended, key: &'a str) -> Asked<'a> {
        let meta = self.run.meta();
        let evicted = parse(key).and_then(|key| self.cache.tombstone(&key).ok().flatten());
        let evicted = evicted.and_then(|at| at.duration_since(UNIX_EPOCH).ok());
        Asked {
            key,
            run: &meta.run,
            started_ms: meta.started_at_ms,
            executed_ms: meta.started_at_ms + ended.at_ms.saturating_sub(ended.end.duration_ms),
            no_cache: meta.command_line.iter().any(|word| word == "--no-cache"),
            evicted_ms: evicted.map(|at| at.as_secs().saturating_mul(1000)),
        }
    }

    /// In words, where no key is to be compared with.
    fn unchanged(&self, reason: &Reason<'_>, ended: &Ended, key: &str) -> String {
        match reason {
            Reason::FirstTime | Reason::Changed(_) => {
                "this is the first time: no earlier key of it is known here".to_owned()
            }
            Reason::NoCache => "the run was started with --no-cache".to_owned(),
            Reason::Failed(KeyRecord { run, status, .. }) => {
                let (status, run) = (status.replace('_', " "), short(run));
                format!("the same key {status} before, in run {run}: only successes are reused")
            }
            Reason::Evicted { at_ms, before } => {
                let (at, ago) = (rfc3339(*at_ms), duration::ago(*at_ms, now_ms()));
                let since =
                    before.map(|before| format!("nothing changed since run {}, but ", short(&before.run)));
                let since = since.unwrap_or_default();
                format!("{since}its result was evicted from the cache at {at} ({ago})")
            }
            Reason::Unused(KeyRecord { run, .. }) => {
                let why = match &ended.trouble {
                    _ if compare::is_never_reused(self.cache, parse(key)) => {
                        "it has `effects`: such results are never reused"
                    }
                    Some(trouble) => &clean::line(trouble),
                    None => "its result was no longer in the cache, or not whole",
                };
                format!("nothing changed since run {}, but {why}", short(run))
            }
        }
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
