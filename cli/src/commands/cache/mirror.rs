//! `cullet cache mirror`.

use std::fmt::Write as _;
use std::io::Write;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use cullet_bundle::Bundle;
use cullet_cache::collect::Rescuing;
use cullet_cache::mirror::{self, MirrorOptions, Mirrored, Named};
use cullet_cache::{Location, ObjectOptions, Objects, StoreError};
use serde_json::json;

use crate::args::{CacheMirrorArgs, Format};
use crate::config::Config;
use crate::error::{CliError, ExitStatus};
use crate::ui::size;
use crate::{runtime, shared_store};

/// How often it is said how far it is.
const TOLD: Duration = Duration::from_secs(10);

/// Copies, and says what was copied.
pub(super) fn mirror(
    args: &CacheMirrorArgs,
    config: &Config,
    out: &mut dyn Write,
) -> Result<ExitStatus, CliError> {
    let from = source(&args.from, config)?;
    let to = destination(&args.to, config)?;
    let options = MirrorOptions {
        scopes: args.scopes.iter().map(cullet_cache::Scope::id).collect(),
        verify: args.verify,
    };
    let told = Mutex::new(Instant::now());
    let tell = |done: &Mirrored| {
        let Ok(mut told) = told.lock() else { return };
        if args.format == Format::Human && told.elapsed() >= TOLD {
            *told = Instant::now();
            // Nobody may listen any more.
            let _ = writeln!(std::io::stderr(), "{} so far", counts(done));
        }
    };
    let spool = config.cache_dir.join("spool");
    let copied = runtime::of_one_thread()?.block_on(mirror::mirror(from, to, &spool, &options, &tell));
    let done = copied.map_err(|error| {
        CliError::infra(format!("not all of {} was copied to {}", args.from, args.to))
            .because(error)
            .hint("run it again: it goes on where it stopped")
    })?;
    let text = match args.format {
        Format::Human => describe(&done),
        Format::Json => object(&done),
    };
    out.write_all(text.as_bytes()).map_err(CliError::output)?;
    Ok(if done.unusable == 0 { ExitStatus::Success } else { ExitStatus::StepFailed })
}

fn source(from: &str, config: &Config) -> Result<Arc<dyn Named>, CliError> {
    if !from.contains("://") && Path::new(from).is_file() {
        let bundle = Bundle::open(Path::new(from), &[])
            .map_err(|error| CliError::usage(format!("the bundle {from} cannot be read")).because(error))?;
        return Ok(Arc::new(bundle).objects());
    }
    shared_store::named(from, &options(config), &config.registries).map_err(unusable)
}

fn destination(to: &str, config: &Config) -> Result<Arc<dyn Objects>, CliError> {
    let named = shared_store::named(to, &options(config), &config.registries).map_err(unusable)?;
    Ok(match to.parse().map_err(unusable)? {
        Location::Registry(_) => named,
        // Nothing that is relied on may be collected meanwhile.
        _ => Arc::new(Rescuing::new(named)),
    })
}

fn options(config: &Config) -> ObjectOptions {
    let variables = config.store.variables.clone();
    ObjectOptions { variables, ..ObjectOptions::new(config.cache_dir.join("spool")) }
}

fn unusable(error: StoreError) -> CliError {
    match error {
        StoreError::Location { .. } => CliError::usage(error.to_string()),
        error => error.into(),
    }
}

fn counts(done: &Mirrored) -> String {
    format!(
        "{} results copied, {} were there, {} sent",
        done.copied,
        done.present,
        size::human(done.moved.bytes)
    )
}

fn describe(done: &Mirrored) -> String {
    if done.copied + done.present + done.unusable == 0 {
        return "there are no results to copy\n".to_owned();
    }
    let mut text = format!("{}\n", counts(done));
    if done.mended > 0 {
        let _ = writeln!(text, "{} of those that were there were damaged, and copied again", done.mended);
    }
    if done.runs > 0 {
        let _ = writeln!(text, "what runs of {} pipelines found was brought together", done.runs);
    }
    for (action, why) in &done.named {
        let _ = writeln!(text, "left out: the result of action {}: {why}", action.short());
    }
    let rest = done.unusable - done.named.len() as u64;
    if rest > 0 {
        let _ = writeln!(text, "left out: {rest} more");
    }
    text
}

fn object(done: &Mirrored) -> String {
    let left_out: Vec<_> = done
        .named
        .iter()
        .map(|(action, why)| json!({ "action": action.to_string(), "reason": why }))
        .collect();
    let object = json!({
        "copied": done.copied,
        "present": done.present,
        "mended": done.mended,
        "runs": done.runs,
        "sent_bytes": done.moved.bytes,
        "unusable": done.unusable,
        "left_out": left_out,
    });
    format!("{object}\n")
}

#[cfg(test)]
mod tests {
    use cullet_digest::DigestFunction;

    use super::*;

    #[test]
    fn what_was_left_out_is_named_and_counted() {
        let action = DigestFunction::Blake3.digest(b"a");
        let done = Mirrored {
            copied: 3,
            present: 4,
            mended: 1,
            unusable: 2,
            named: vec![(action, "gone".to_owned())],
            ..Mirrored::default()
        };
        assert_eq!(
            describe(&done),
            format!(
                "3 results copied, 4 were there, 0 B sent\n\
                 1 of those that were there were damaged, and copied again\n\
                 left out: the result of action {}: gone\nleft out: 1 more\n",
                action.short()
            )
        );
    }
}
