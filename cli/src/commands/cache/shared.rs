//! `cullet cache gc --shared-cache`.

use std::fmt::Write as _;

use cullet_cache::ObjectOptions;
use cullet_cache::collect::{self, Policy, Report};
use serde_json::json;

use crate::args::Format;
use crate::config::Config;
use crate::error::CliError;
use crate::runtime;
use crate::ui::{duration, size};

/// Goes through a bucket once, and says what came of it.
pub(super) fn collect(
    location: &str,
    policy: &Policy,
    format: Format,
    config: &Config,
) -> Result<String, CliError> {
    let variables = config.store.variables.clone();
    let options = ObjectOptions { variables, ..ObjectOptions::new(config.cache_dir.join("spool")) };
    let store = collect::open(location, &options).map_err(|error| {
        CliError::usage(error.to_string()).hint("variables AWS_*, GOOGLE_* or AZURE_* reach a bucket")
    })?;
    let report = runtime::of_one_thread()?.block_on(collect::collect(store, policy)).map_err(|error| {
        CliError::infra("the garbage of the shared cache was not collected, or not all of it").because(error)
    })?;
    Ok(match format {
        Format::Human => describe(&report, policy),
        Format::Json => object(&report),
    })
}

fn describe(report: &Report, policy: &Policy) -> String {
    let mut text = String::new();
    if let Some(waits) = report.waits {
        let waits = duration::human(waits);
        let _ =
            writeln!(text, "nothing is removed yet: what was announced may be needed for another {waits}");
        return text;
    }
    let (removed, results, freed) = (report.removed, report.results, size::human(report.removed_bytes));
    let _ = writeln!(text, "removed {removed} objects, {results} of them results: {freed}");
    let _ = match report.announced {
        0 => writeln!(text, "nothing else is there that is not needed"),
        count => {
            let grace = duration::human(policy.grace);
            writeln!(
                text,
                "announced {count} objects that are not needed: the first call after {grace} removes them"
            )
        }
    };
    if policy.max_bytes.is_some() {
        let _ = writeln!(text, "kept {}", size::human(report.kept_bytes));
    }
    if report.damaged > 0 {
        let _ = writeln!(text, "damaged records, for which nothing is kept: {}", report.damaged);
    }
    if report.strange > 0 {
        let _ = writeln!(text, "objects that are none of Cullet's, and stay: {}", report.strange);
    }
    text
}

fn object(report: &Report) -> String {
    let object = json!({
        "removed": report.removed,
        "removed_bytes": report.removed_bytes,
        "results": report.results,
        "announced": report.announced,
        "waits_s": report.waits.map(|waits| waits.as_secs()),
        "kept_bytes": report.kept_bytes,
        "damaged": report.damaged,
        "strange": report.strange,
    });
    format!("{object}\n")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_round_is_told_in_words() {
        let policy = Policy::default();
        let report = Report { announced: 3, ..Report::default() };
        assert_eq!(
            describe(&report, &policy),
            "removed 0 objects, 0 of them results: 0 B\n\
             announced 3 objects that are not needed: the first call after 1d 00h removes them\n"
        );
        let report = Report { waits: Some(Duration::from_secs(1800)), ..report };
        assert_eq!(
            describe(&report, &policy),
            "nothing is removed yet: what was announced may be needed for another 30m 00s\n"
        );
        let report = Report { removed: 7, results: 2, removed_bytes: 2048, damaged: 1, ..Report::default() };
        assert_eq!(
            describe(&report, &policy),
            "removed 7 objects, 2 of them results: 2.0 KiB\nnothing else is there that is not needed\n\
             damaged records, for which nothing is kept: 1\n"
        );
    }
}
