//! Why a step was executed, as far as the keys that were seen before tell it. Pure.

use crate::history::keys::KeyRecord;

/// A step that was executed, and what its run met.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asked<'a> {
    /// Its key.
    pub(super) key: &'a str,
    /// The run.
    pub(super) run: &'a str,
    /// What was seen later explains nothing, in milliseconds since the Unix epoch.
    pub(super) until_ms: u64,
    /// When the step was executed.
    pub(super) executed_ms: u64,
    /// Nobody wanted results of the cache.
    pub(super) no_cache: bool,
    /// When the result of its key was evicted last, in whole seconds of milliseconds.
    pub(super) evicted_ms: Option<u64>,
}

/// Why a step was executed.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Reason<'a> {
    /// No earlier key of it is known.
    FirstTime,
    /// Its key was never seen; this is the one before.
    Changed(&'a KeyRecord),
    /// The key was known, and the cache was not asked.
    NoCache,
    /// The key was known and had not succeeded.
    Failed(&'a KeyRecord),
    /// The key's result was evicted; and when the key was seen, where that is known.
    Evicted { at_ms: u64, before: Option<&'a KeyRecord> },
    /// The key had succeeded, and its result was not used for a reason that keys do not tell.
    Unused(&'a KeyRecord),
}

/// `known` are the sightings of the step's keys, the newest first.
pub(super) fn reason<'a>(asked: &Asked<'_>, known: &'a [KeyRecord]) -> Reason<'a> {
    let mut earlier = known.iter().filter(|record| record.run != asked.run && record.at_ms <= asked.until_ms);
    let same = earlier.clone().find(|record| record.digest == asked.key);
    // Evictions are known to the second. One in the second of the execution came before it only if there was
    // something to evict by then.
    let second = |ms: u64| ms / 1000;
    let evicted = asked.evicted_ms.filter(|at_ms| match same {
        Some(same) => is_before(same, *at_ms) && second(*at_ms) <= second(asked.executed_ms),
        None => second(*at_ms) < second(asked.executed_ms),
    });
    match (same, evicted) {
        (Some(_), _) | (_, Some(_)) if asked.no_cache => Reason::NoCache,
        (before, Some(at_ms)) => Reason::Evicted { at_ms, before },
        (Some(same), None) if same.status != "succeeded" => Reason::Failed(same),
        (Some(same), None) => Reason::Unused(same),
        (None, None) => earlier.next().map_or(Reason::FirstTime, Reason::Changed),
    }
}

/// Whether a key was seen before its result was evicted. In one and the same second a success comes first, for then
/// there was something to evict.
fn is_before(record: &KeyRecord, evicted_ms: u64) -> bool {
    let (seen, evicted) = (record.at_ms / 1000, evicted_ms / 1000);
    seen < evicted || (seen == evicted && record.status == "succeeded")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(at_ms: u64, digest: &str, status: &str) -> KeyRecord {
        let (digest, status) = (digest.to_owned(), status.to_owned());
        KeyRecord { digest, status, cached: false, at_ms, run: format!("r{at_ms}") }
    }

    /// A step with the key `a` whose run `r` started at 50,000 and executed it at 51,000.
    const ASKED: Asked<'_> = Asked {
        key: "a",
        run: "r",
        until_ms: 50_000,
        executed_ms: 51_000,
        no_cache: false,
        evicted_ms: None,
    };

    #[test]
    fn a_key_that_returns_and_had_failed_is_not_a_changed_one() {
        let known = [seen(20_000, "b", "succeeded"), seen(10_000, "a", "failed")];
        assert_eq!(reason(&ASKED, &known), Reason::Failed(&known[1]));
        let known = [seen(30_000, "a", "succeeded"), seen(10_000, "a", "failed")];
        assert_eq!(reason(&ASKED, &known), Reason::Unused(&known[0]));
    }

    #[test]
    fn an_eviction_is_told_whatever_came_in_between() {
        let known = [seen(20_000, "b", "succeeded"), seen(10_000, "a", "succeeded")];
        let asked = Asked { evicted_ms: Some(30_000), ..ASKED };
        let evicted = Reason::Evicted { at_ms: 30_000, before: Some(&known[1]) };
        assert_eq!(reason(&asked, &known), evicted);
        // The history may have forgotten what the cache remembers.
        assert_eq!(reason(&asked, &[]), Reason::Evicted { at_ms: 30_000, before: None });
    }

    #[test]
    fn an_eviction_explains_nothing_before_it_or_after_the_result_came_back() {
        let known = [seen(10_000, "a", "succeeded")];
        let later = Asked { evicted_ms: Some(52_000), ..ASKED };
        assert_eq!(reason(&later, &known), Reason::Unused(&known[0]));
        let by_its_own_run = Asked { evicted_ms: Some(51_000), ..ASKED };
        assert_eq!(reason(&by_its_own_run, &[]), Reason::FirstTime);
        let made_again = Asked { evicted_ms: Some(9_000), ..ASKED };
        assert_eq!(reason(&made_again, &known), Reason::Unused(&known[0]));
        let failed_since = [seen(10_500, "a", "failed")];
        let asked = Asked { evicted_ms: Some(10_000), ..ASKED };
        assert_eq!(reason(&asked, &failed_since), Reason::Failed(&failed_since[0]));
        let known = [seen(10_500, "a", "succeeded")];
        let evicted = Reason::Evicted { at_ms: 10_000, before: Some(&known[0]) };
        assert_eq!(reason(&asked, &known), evicted);
    }

    #[test]
    fn later_runs_and_the_run_itself_explain_nothing() {
        let own = KeyRecord { run: "r".to_owned(), ..seen(50_000, "a", "failed") };
        let known = [seen(90_000, "a", "failed"), own, seen(40_000, "b", "succeeded")];
        assert_eq!(reason(&ASKED, &known), Reason::Changed(&known[2]));
        assert_eq!(reason(&ASKED, &known[..2]), Reason::FirstTime);
    }

    #[test]
    fn a_cache_that_was_not_asked_is_the_reason_only_if_it_could_have_answered() {
        let known = [seen(10_000, "a", "succeeded")];
        let asked = Asked { no_cache: true, ..ASKED };
        assert_eq!(reason(&asked, &known), Reason::NoCache);
        let other = [seen(10_000, "b", "succeeded")];
        assert_eq!(reason(&asked, &other), Reason::Changed(&other[0]));
    }
}
