//! `cullet lock`: what the image references of a pipeline mean, written down.

use std::fmt;
use std::io::Write;

use cullet_image::{Digest, Platform};
use cullet_pipeline::Plan;

use super::pipeline_file::{self, base_directory};
use crate::args::LockArgs;
use crate::config::Config;
use crate::diagnostics;
use crate::error::{CliError, ExitStatus};
use crate::images::{Finder, Lock, LockFile, Wanted};
use crate::runtime;
use crate::ui::clean;

/// Writes `cullet.lock`, or says what is wrong with it.
pub(super) fn lock(args: &LockArgs, config: &Config, out: &mut dyn Write) -> Result<ExitStatus, CliError> {
    let color = config.terminal.stderr_style(config.color).color;
    let text = pipeline_file::read(&args.pipeline.file)?;
    let plan = match pipeline_file::plan(&args.pipeline, &[], &text) {
        Ok((plan, warnings)) => {
            diagnostics::report(&warnings.render(color));
            plan
        }
        Err(problems) => {
            diagnostics::report(&problems.render(color));
            return Ok(ExitStatus::Usage);
        }
    };
    let file = LockFile::beside(&args.pipeline.file)?;
    let old = file.lock();
    let own = plan.platform.as_ref().and_then(|platform| platform.to_string().parse().ok());
    let wanted = wanted(&plan, &platforms(args, &old, own.unwrap_or_else(Platform::host)));
    let lookups = lookups(args, &file, &old, &wanted)?;
    let finder = Finder::new(config, &base_directory(&args.pipeline.file))?;
    let Some(found) = find(&finder, &lookups)? else {
        diagnostics::report(&format!("interrupted: {} is as it was\n", file.name()));
        return Ok(ExitStatus::Interrupted);
    };
    let (new, changes) = changed(args, &old, &wanted, lookups.into_iter().zip(found));
    if args.check {
        return check(&file, &wanted, changes, out);
    }
    let written = file.replace(&new)?;
    for change in &changes {
        writeln!(out, "{change}").map_err(CliError::output)?;
    }
    let (name, count) = (file.name(), count(&new));
    let done = if written { "written" } else { "nothing changed" };
    writeln!(out, "{name}: {count}, {done}").map_err(CliError::output)?;
    Ok(ExitStatus::Success)
}

fn count(lock: &Lock) -> String {
    match lock.references().count() {
        1 => "1 image".to_owned(),
        more => format!("{more} images"),
    }
}

/// Those of the file, so that whoever runs this on another machine takes none away, and those of the flags. Without
/// flags, the pipeline's `own`, which is this machine's where it says nothing: there it is going to run. With `--prune`, only
/// those of the flags.
fn platforms(args: &LockArgs, old: &Lock, own: Platform) -> Vec<Platform> {
    let mut platforms = args.platforms.clone();
    if platforms.is_empty() {
        platforms.push(own);
    }
    if !args.prune || args.platforms.is_empty() {
        platforms.extend(old.platforms());
    }
    platforms.sort_by_cached_key(ToString::to_string);
    platforms.dedup();
    platforms
}

fn wanted(plan: &Plan, platforms: &[Platform]) -> Vec<Wanted> {
    let of = |reference: &String| {
        let reference = reference.clone();
        platforms
            .iter()
            .map(move |platform| Wanted { reference: reference.clone(), platform: platform.clone() })
    };
    plan.images.iter().flat_map(of).collect()
}

/// What has to be looked up. To check, only what this machine has: what a tag means today says nothing about whether
/// the lock is right.
fn lookups(args: &LockArgs, file: &LockFile, old: &Lock, wanted: &[Wanted]) -> Result<Vec<Wanted>, CliError> {
    let update = args.update.as_deref();
    for named in update.unwrap_or_default() {
        if !wanted.iter().any(|wanted| wanted.reference == *named) {
            let mut known: Vec<&str> = wanted.iter().map(|wanted| wanted.reference.as_str()).collect();
            known.dedup();
            let error = CliError::usage(format!(
                "there is no image `{named}` in {}: images are named as they are written there",
                args.pipeline.file.display()
            ));
            return Err(error.hint(format!("it has {}", known.join(", "))));
        }
    }
    let again =
        |wanted: &Wanted| update.is_some_and(|named| named.is_empty() || named.contains(&wanted.reference));
    let is_known = |wanted: &Wanted| old.get(&wanted.reference, &wanted.platform).is_some();
    let needed = |wanted: &&Wanted| match args.check {
        true => is_known(wanted) && wanted.is_local(),
        false => !is_known(wanted) || again(wanted),
    };
    let lookups: Vec<Wanted> = wanted.iter().filter(needed).cloned().collect();
    tracing::debug!(lock = %file.name(), lookups = lookups.len(), "images to look up");
    Ok(lookups)
}

/// None where somebody changed their mind.
fn find(finder: &Finder, lookups: &[Wanted]) -> Result<Option<Vec<Digest>>, CliError> {
    let runtime = runtime::of_one_thread()?;
    let found = runtime.block_on(async {
        tokio::select! {
            found = finder.find(lookups) => found.map(Some),
            _ = tokio::signal::ctrl_c() => Ok(None),
        }
    });
    // A credential helper that does not answer must not hold up the end.
    runtime.shutdown_background();
    found
}

/// A difference between the file and what it should be.
#[derive(Debug)]
enum Change {
    /// It is not there, and nobody has looked it up.
    Missing(Wanted),
    /// It was not there.
    Added(Wanted, Digest),
    /// It was another one.
    Moved(Wanted, Digest, Digest),
    /// Nobody needs this image on this platform.
    Dropped(String, String),
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing(wanted) => write!(f, "missing: {wanted}"),
            Self::Added(wanted, digest) => write!(f, "locked: {wanted}: {digest}"),
            Self::Moved(wanted, before, now) => write!(f, "changed: {wanted}: {before} -> {now}"),
            Self::Dropped(reference, platform) => {
                write!(f, "dropped: {} for {platform}", clean::line(reference))
            }
        }
    }
}

/// The lock as it should be, and what differs from the old one.
fn changed(
    args: &LockArgs,
    old: &Lock,
    wanted: &[Wanted],
    found: impl Iterator<Item = (Wanted, Digest)>,
) -> (Lock, Vec<Change>) {
    let (mut new, mut changes) = (old.clone(), Vec::new());
    for (wanted, digest) in found {
        new.set(&wanted.reference, &wanted.platform, digest);
        match old.get(&wanted.reference, &wanted.platform) {
            Some(before) if before == digest => {}
            Some(before) => changes.push(Change::Moved(wanted, before, digest)),
            None => changes.push(Change::Added(wanted, digest)),
        }
    }
    if args.prune {
        let is_wanted = |reference: &str| wanted.iter().any(|wanted| wanted.reference == reference);
        let kept = |reference: &str, platform: &str| {
            let asked = args.platforms.is_empty()
                || args.platforms.iter().any(|wanted| wanted.to_string() == platform);
            is_wanted(reference) && asked
        };
        let gone = new.retain(kept);
        changes.extend(gone.into_iter().map(|(reference, platform)| Change::Dropped(reference, platform)));
    }
    (new, changes)
}

/// A lock that would be written anew is wrong.
fn check(
    file: &LockFile,
    wanted: &[Wanted],
    changes: Vec<Change>,
    out: &mut dyn Write,
) -> Result<ExitStatus, CliError> {
    let old = file.lock();
    let lacks = |wanted: &&Wanted| old.get(&wanted.reference, &wanted.platform).is_none();
    let missing = wanted.iter().filter(lacks).cloned().map(Change::Missing);
    let changes: Vec<Change> = missing.chain(changes).collect();
    let name = file.name();
    if changes.is_empty() {
        writeln!(out, "{name}: {}, everything is locked", count(&old)).map_err(CliError::output)?;
        return Ok(ExitStatus::Success);
    }
    for change in &changes {
        writeln!(out, "{change}").map_err(CliError::output)?;
    }
    out.flush().map_err(CliError::output)?;
    let moved: Vec<String> = changes
        .iter()
        .filter_map(|change| match change {
            Change::Moved(wanted, ..) => Some(format!(" '{}'", clean::line(&wanted.reference))),
            _ => None,
        })
        .collect();
    let hint = match moved.is_empty() {
        true => "run `cullet lock` with the same flags, without --check, and commit the file".to_owned(),
        false => format!("run `cullet lock --update{}` and commit the file", moved.concat()),
    };
    Err(CliError::usage(format!("{name} does not say what the pipeline needs")).hint(hint))
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::args::{Cli, Command};

    fn args(flags: &[&str]) -> LockArgs {
        match Cli::try_parse_from([&["cullet", "lock"], flags].concat()).unwrap().command {
            Command::Lock(args) => args,
            other => panic!("{other:?}"),
        }
    }

    fn of(text: &str) -> Platform {
        text.parse().unwrap()
    }

    /// `a` for two platforms, and `b` for one.
    fn locked() -> Lock {
        let mut lock = Lock::default();
        for (reference, platform) in [("a", "linux/arm64"), ("a", "linux/s390x"), ("b", "linux/arm64")] {
            lock.set(reference, &of(platform), Digest::of(b"1"));
        }
        lock
    }

    #[test]
    fn platforms_are_kept_up_until_others_are_asked_for_alone() {
        let names = |flags: &[&str]| -> Vec<String> {
            platforms(&args(flags), &locked(), Platform::host()).iter().map(ToString::to_string).collect()
        };
        let mut with_this =
            vec![Platform::host().to_string(), "linux/arm64".to_owned(), "linux/s390x".to_owned()];
        with_this.sort();
        with_this.dedup();
        assert_eq!((names(&[]), names(&["--prune"])), (with_this.clone(), with_this));
        let more = ["--platform", "linux/386", "--platform", "linux/arm64/v8"];
        assert_eq!(names(&more), ["linux/386", "linux/arm64", "linux/s390x"]);
        assert_eq!(names(&[&more[..], &["--prune"]].concat()), ["linux/386", "linux/arm64"]);
    }

    #[test]
    fn pruning_drops_images_and_with_platforms_those() {
        let wanted = [Wanted { reference: "a".to_owned(), platform: of("linux/arm64") }];
        let dropped = |flags: &[&str]| -> Vec<String> {
            let changes = changed(&args(flags), &locked(), &wanted, std::iter::empty()).1;
            changes.iter().map(ToString::to_string).collect()
        };
        assert_eq!(dropped(&[]), [""; 0]);
        assert_eq!(dropped(&["--prune"]), ["dropped: b for linux/arm64"]);
        let both = ["dropped: a for linux/s390x", "dropped: b for linux/arm64"];
        assert_eq!(dropped(&["--prune", "--platform", "linux/arm64"]), both);
    }
}
