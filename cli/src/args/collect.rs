//! What garbage collection keeps of a bucket.

use std::time::Duration;

use clap::Args;
use cullet_cache::collect::{LEAST_GRACE, Policy};
use cullet_pipeline::parse_duration;

use crate::ui::{duration, size};

/// The flags of `cullet cache gc --shared-cache`.
#[derive(Debug, Clone, Args)]
pub struct CollectArgs {
    /// Keep results for so long after they were stored, or used by a cluster or a run that publishes [default: 30d]
    #[arg(long, value_name = "DURATION", requires = "shared_cache", value_parser = parse_duration)]
    pub keep: Option<Duration>,
    /// Keep at most SIZE; those go that were used least recently [default: no bound]
    #[arg(long, value_name = "SIZE", requires = "shared_cache", value_parser = size::parse)]
    pub max_size: Option<u64>,
    /// Remove what was announced after so long, at least 1h: whoever began to read it before has that time [default: 24h]
    #[arg(long, value_name = "DURATION", requires = "shared_cache", value_parser = parse_grace)]
    pub grace: Option<Duration>,
}

/// The same flags of `cullet coordinator`.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "What is kept of a bucket (the coordinator that leads collects the rest)")]
pub struct StoreKeepArgs {
    /// Keep results for so long after they were stored or used; `forever` collects nothing [default: 30d]
    #[arg(long, value_name = "DURATION", value_parser = parse_keep_or_forever)]
    pub store_keep: Option<Keep>,
    /// Keep at most SIZE; results go that were used least recently [default: no bound]
    #[arg(long, value_name = "SIZE", value_parser = size::parse)]
    pub store_max_size: Option<u64>,
    /// Remove what was announced after so long, at least 1h [default: 24h]
    #[arg(long, value_name = "DURATION", value_parser = parse_grace)]
    pub store_gc_grace: Option<Duration>,
}

/// How long results are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keep {
    /// For so long.
    For(Duration),
    /// Nothing is collected.
    Forever,
}

impl CollectArgs {
    /// What these flags keep.
    pub fn policy(&self) -> Policy {
        policy(self.keep, self.max_size, self.grace)
    }
}

impl StoreKeepArgs {
    /// What these flags keep; none where nothing is to be collected.
    pub fn policy(&self) -> Option<Policy> {
        let keep = match self.store_keep {
            Some(Keep::Forever) => return None,
            Some(Keep::For(keep)) => Some(keep),
            None => None,
        };
        Some(policy(keep, self.store_max_size, self.store_gc_grace))
    }
}

fn policy(keep: Option<Duration>, max_bytes: Option<u64>, grace: Option<Duration>) -> Policy {
    let usual = Policy::default();
    Policy { keep: keep.unwrap_or(usual.keep), max_bytes, grace: grace.unwrap_or(usual.grace) }
}

fn parse_keep_or_forever(text: &str) -> Result<Keep, String> {
    match text {
        "forever" => Ok(Keep::Forever),
        _ => parse_duration(text).map(Keep::For),
    }
}

/// Writers rely on what they found for a third of the shortest grace.
fn parse_grace(text: &str) -> Result<Duration, String> {
    let grace = parse_duration(text)?;
    if grace < LEAST_GRACE {
        return Err(format!(
            "it is at least {}: what was found is relied on for a while",
            duration::human(LEAST_GRACE)
        ));
    }
    Ok(grace)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_said_is_usual() {
        assert_eq!(policy(None, None, None), Policy::default());
        let flags = StoreKeepArgs { store_keep: None, store_max_size: Some(5), store_gc_grace: None };
        assert_eq!(flags.policy(), Some(Policy { max_bytes: Some(5), ..Policy::default() }));
        let flags = StoreKeepArgs { store_keep: parse_keep_or_forever("forever").ok(), ..flags };
        assert_eq!(flags.policy(), None);
    }

    #[test]
    fn a_grace_is_not_too_short() {
        assert_eq!(parse_grace("90m"), Ok(Duration::from_secs(5400)));
        assert!(parse_grace("59m").is_err_and(|error| error.contains("1h 00m")));
        assert!(parse_grace("soon").is_err());
        assert_eq!(parse_duration("0s"), Ok(Duration::ZERO));
    }
}
