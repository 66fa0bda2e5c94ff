//! How much a cluster takes in, keeps, and gives to whom.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use clap::Args;
use cullet_core::Settings;

/// The longest name of a tenant that a cluster takes, in bytes.
const MAX_NAME: usize = 255;
/// Every change of the settings is written down with all of them.
const MAX_WEIGHTS: usize = 1000;
/// A tenant that gets a thousandth of another one's share gets as good as nothing.
const WEIGHTS: RangeInclusive<u32> = 1..=1000;

/// Limits of a cluster. All that its coordinators decide by is written into their log.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Limits (those of the coordinator that leads hold)")]
pub struct LimitArgs {
    /// Give this tenant W times the share of the processors that others get, from 1 to 1000; may be repeated
    #[arg(long = "tenant-weight", value_name = "NAME=W", value_parser = parse_weight)]
    pub tenant_weights: Vec<(String, u32)>,
    /// Take in at most N runs at once; who submits more is told when to come back
    #[arg(long, value_name = "N", default_value_t = 10_000, value_parser = runs())]
    pub max_live_runs: u32,
    /// Take in at most N runs of one tenant at once [default: what --max-live-runs says]
    #[arg(long, value_name = "N", value_parser = runs())]
    pub max_live_runs_per_tenant: Option<u32>,
    /// Take in runs with at most N steps together; each step takes about a kilobyte of memory
    #[arg(long, value_name = "N", default_value_t = 1_000_000, value_parser = steps())]
    pub max_live_steps: u64,
    /// Take in runs of one tenant with at most N steps together [default: what --max-live-steps says]
    #[arg(long, value_name = "N", value_parser = steps())]
    pub max_live_steps_per_tenant: Option<u64>,
    /// Keep at most N runs that ended; the oldest goes of the tenant that has the most
    #[arg(long, value_name = "N", default_value_t = 10_000, value_parser = kept_runs())]
    pub keep_runs: u32,
    /// Keep at most N runs of one tenant that ended [default: what --keep-runs says]
    #[arg(long, value_name = "N", value_parser = kept_runs())]
    pub keep_runs_per_tenant: Option<u32>,
    /// Keep runs that ended with at most N steps together; each step takes about a kilobyte of memory
    #[arg(long, value_name = "N", default_value_t = 200_000, value_parser = kept_steps())]
    pub keep_steps: u64,
}

impl LimitArgs {
    /// The settings with these limits.
    ///
    /// # Errors
    /// A tenant has two weights, or too many have one; for people.
    pub fn limit(&self, settings: Settings) -> Result<Settings, String> {
        if self.tenant_weights.len() > MAX_WEIGHTS {
            let count = self.tenant_weights.len();
            return Err(format!("--tenant-weight is given {count} times: {MAX_WEIGHTS} times is the most"));
        }
        let mut tenant_weights = BTreeMap::<Box<str>, u32>::new();
        for (tenant, weight) in &self.tenant_weights {
            if let Some(other) = tenant_weights.insert(tenant.as_str().into(), *weight) {
                return Err(format!(
                    "--tenant-weight gives '{tenant}' {other} and {weight}: give it one of them"
                ));
            }
        }
        Ok(Settings {
            tenant_weights,
            max_live_runs: self.max_live_runs,
            max_live_runs_per_tenant: self.max_live_runs_per_tenant.unwrap_or(self.max_live_runs),
            max_live_steps: self.max_live_steps,
            max_live_steps_per_tenant: self.max_live_steps_per_tenant.unwrap_or(self.max_live_steps),
            keep_finished_runs: self.keep_runs,
            keep_finished_runs_per_tenant: self.keep_runs_per_tenant.unwrap_or(self.keep_runs),
            keep_finished_steps: self.keep_steps,
            ..settings
        })
    }
}

/// A million runs take some gigabytes, whatever they do.
fn runs() -> clap::builder::RangedI64ValueParser<u32> {
    clap::value_parser!(u32).range(1..=1_000_000)
}

/// Ten million steps take about ten gigabytes of memory, and a snapshot of as many can still be read.
fn steps() -> clap::builder::RangedU64ValueParser<u64> {
    clap::value_parser!(u64).range(1..=10_000_000)
}

fn kept_runs() -> clap::builder::RangedI64ValueParser<u32> {
    clap::value_parser!(u32).range(0..=1_000_000)
}

fn kept_steps() -> clap::builder::RangedU64ValueParser<u64> {
    clap::value_parser!(u64).range(0..=10_000_000)
}

/// A tenant's name may hold further `=`.
fn parse_weight(text: &str) -> Result<(String, u32), String> {
    let (name, weight) = text.rsplit_once('=').ok_or("write NAME=W, such as release=3")?;
    if name.is_empty() || name.len() > MAX_NAME {
        return Err(format!("the name of a tenant has 1 to {MAX_NAME} bytes"));
    }
    match weight.parse() {
        Ok(number) if WEIGHTS.contains(&number) => Ok((name.to_owned(), number)),
        _ => Err(format!("'{weight}' is not a number from {} to {}", WEIGHTS.start(), WEIGHTS.end())),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        limits: LimitArgs,
    }

    fn settings(arguments: &str) -> Result<Settings, String> {
        let line = ["coordinator"].into_iter().chain(arguments.split_whitespace());
        let line = Line::try_parse_from(line).map_err(|error| error.to_string())?;
        line.limits.limit(Settings::default())
    }

    #[test]
    fn the_limits_of_a_tenant_are_those_of_all_where_it_has_none_of_its_own() {
        assert_eq!(settings(""), Ok(Settings { keep_finished_steps: 200_000, ..Settings::default() }));
        let given = "--max-live-runs 7 --max-live-steps 8 --keep-runs 9 --keep-steps 0";
        let all = Settings {
            max_live_runs: 7,
            max_live_runs_per_tenant: 7,
            max_live_steps: 8,
            max_live_steps_per_tenant: 8,
            keep_finished_runs: 9,
            keep_finished_runs_per_tenant: 9,
            keep_finished_steps: 0,
            ..Settings::default()
        };
        assert_eq!(settings(given), Ok(all.clone()));
        let own = "--max-live-runs-per-tenant 1 --max-live-steps-per-tenant 2 --keep-runs-per-tenant 3";
        let apart = Settings {
            max_live_runs_per_tenant: 1,
            max_live_steps_per_tenant: 2,
            keep_finished_runs_per_tenant: 3,
            ..all
        };
        assert_eq!(settings(&format!("{given} {own}")), Ok(apart));
    }

    #[test]
    fn weights_have_names_and_are_given_once() {
        let weights = settings("--tenant-weight release=3 --tenant-weight a,b=b=2 --tenant-weight c=1")
            .map(|given| given.tenant_weights);
        assert_eq!(weights, Ok([("release".into(), 3), ("a,b=b".into(), 2), ("c".into(), 1)].into()));
        let long = format!("--tenant-weight {}=1", "x".repeat(256));
        let many = (0..1001).map(|tenant| format!("--tenant-weight t{tenant}=1 ")).collect::<String>();
        for (wrong, words) in [
            ("--tenant-weight release", "NAME=W, such as release=3"),
            ("--tenant-weight =3", "1 to 255 bytes"),
            (&long, "1 to 255 bytes"),
            ("--tenant-weight a=0", "'0' is not a number from 1 to 1000"),
            ("--tenant-weight a=1001", "from 1 to 1000"),
            ("--tenant-weight a=x", "from 1 to 1000"),
            ("--tenant-weight a=1 --tenant-weight a=2", "gives 'a' 1 and 2"),
            (&many, "given 1001 times"),
            ("--max-live-runs 0", "0 is not in 1..=1000000"),
            ("--max-live-steps 1e6", "invalid digit"),
            ("--keep-runs -1", "unexpected argument"),
        ] {
            let error = settings(wrong).expect_err(wrong);
            assert!(error.contains(words), "{wrong}: {error}");
        }
    }
}
