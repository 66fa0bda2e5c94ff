//! Puts together what the history and the cache know about a key.

use std::fmt::Write as _;

use super::compare;
use super::facts::Ended;
use super::known::{Evicted, Known, parse};
use super::reason::{Asked, Reason, reason};
use crate::config::Config;
use crate::history::keys::KeyRecord;
use crate::ui::duration::{human_ms, now_ms, rfc3339};
use crate::ui::model::cause;
use crate::ui::{clean, duration, short};

/// Explains a step of one run.
pub(super) struct Explainer<'a> {
    pub(super) config: &'a Config,
    pub(super) known: &'a Known,
}

impl Explainer<'_> {
    /// Explains the last of a step's ends, and then those that went before it.
    pub(super) async fn explain(&self, ends: &[Ended]) -> String {
        let mut text = String::new();
        let Some((last, before)) = ends.split_last() else { return text };
        self.one(last, !before.is_empty(), &mut text).await;
        for (index, ended) in before.iter().enumerate().rev() {
            let mut earlier = String::new();
            self.one(ended, index > 0, &mut earlier).await;
            text.push_str("before that, in the same run:\n");
            earlier.lines().for_each(|line| {
                let _ = writeln!(text, "  {line}");
            });
        }
        if let Some(key) = &last.end.action_digest {
            let _ = writeln!(text, "key: {key}");
        }
        text
    }

    async fn one(&self, ended: &Ended, again: bool, text: &mut String) {
        let Ended { end, .. } = ended;
        let (step, run) = (clean::line(&end.step), self.name());
        let reason = |otherwise: &str| clean::line(end.reason.as_deref().unwrap_or(otherwise));
        let Some(key) = &end.action_digest else {
            let reason = reason("it was never reached");
            let _ = writeln!(text, "{step} did not run in {run} and has no key: {reason}");
            return;
        };
        match (end.cached, end.status.as_str()) {
            (_, "cancelled" | "skipped") => {
                let _ = writeln!(text, "{step} did not finish in {run}: {}", reason("the run was cancelled"));
            }
            (true, status) if status != "succeeded" || ended.identical.is_some() => self.shared(ended, text),
            (true, _) => self.hit(ended, key, text),
            (false, _) => self.miss(ended, key, again, text).await,
        }
    }

    fn name(&self) -> &str {
        short(&self.known.run)
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

    fn hit(&self, Ended { end, at_ms, .. }: &Ended, key: &str, text: &mut String) {
        let (step, run) = (clean::line(&end.step), self.name());
        let _ = writeln!(text, "{step} was answered by the cache in {run}: nothing in its key changed");
        if let Some((made, by)) = self.known.execution(key, self.known.started_ms + at_ms) {
            let (at, ago) = (rfc3339(made.started_ms), duration::ago(made.started_ms, now_ms()));
            let took = human_ms(made.duration_ms);
            let by = by.map(|by| format!(" in run {}", short(&by.run))).unwrap_or_default();
            let _ = writeln!(text, "it was executed at {at} ({ago}){by} and took {took}");
        }
    }

    async fn miss(&self, ended: &Ended, key: &str, again: bool, text: &mut String) {
        let again = if again { " again" } else { "" };
        let _ = writeln!(text, "{} was executed{again} in {}", clean::line(&ended.end.step), self.name());
        for note in &ended.notes {
            let _ = writeln!(text, "because: {}", clean::line(note));
        }
        if !ended.notes.is_empty() {
            return;
        }
        if !again.is_empty() {
            // It was said of an earlier end, and nothing is said twice.
            text.push_str("because: its outputs could no longer be read from the cache\n");
            return;
        }
        let evicted = self.known.evicted(key, self.config).await;
        match reason(&self.asked(ended, key, evicted.as_ref()), &self.known.keys) {
            Reason::Changed(nearest) => self.changed(key, nearest, text).await,
            reason => {
                let why = self.unchanged(&reason, evicted.as_ref(), ended, key).await;
                let _ = writeln!(text, "because: {why}");
            }
        }
    }

    fn asked<'a>(&'a self, ended: &Ended, key: &'a str, evicted: Option<&Evicted>) -> Asked<'a> {
        let known = self.known;
        let executed_ms = known.started_ms + ended.at_ms.saturating_sub(ended.end.duration_ms);
        Asked {
            key,
            run: &known.run,
            until_ms: known.until_ms.unwrap_or(executed_ms),
            executed_ms,
            no_cache: known.no_cache,
            evicted_ms: evicted.map(|evicted| evicted.at_ms),
        }
    }

    /// In words, where no key is to be compared with.
    async fn unchanged(
        &self,
        reason: &Reason<'_>,
        evicted: Option<&Evicted>,
        ended: &Ended,
        key: &str,
    ) -> String {
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
                match evicted {
                    Some(Evicted { audited, .. }) if !audited.is_empty() => {
                        format!(
                            "{since}its result was put in quarantine by an audit at {at} ({ago}): {}",
                            differing(audited)
                        )
                    }
                    _ => {
                        let from = evicted.map_or("the cache", |evicted| &evicted.place);
                        format!("{since}its result was evicted from {from} at {at} ({ago})")
                    }
                }
            }
            Reason::Unused(KeyRecord { run, .. }) => {
                let never = compare::is_never_reused(&*self.known.blobs, parse(key)).await;
                let why = match &ended.trouble {
                    _ if never => "it has `effects`: such results are never reused",
                    Some(trouble) => &clean::line(trouble),
                    None => "its result was no longer in the cache, or not whole",
                };
                format!("nothing changed since run {}, but {why}", short(run))
            }
        }
    }

    async fn changed(&self, key: &str, nearest: &KeyRecord, text: &mut String) {
        let before = short(&nearest.run);
        let _ = writeln!(text, "because its key differs from that of run {before}:");
        let (Some(old), Some(new)) = (parse(&nearest.digest), parse(key)) else { return };
        match compare::actions(&*self.known.blobs, self.config, &old, &new).await {
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

/// Which outputs two executions did not have alike.
fn differing(outputs: &[String]) -> String {
    let names: Vec<String> = outputs.iter().map(|output| clean::line(output)).collect();
    match &names[..] {
        [one] => format!("output {one} differs"),
        all => format!("outputs {} differ", all.join(", ")),
    }
}
