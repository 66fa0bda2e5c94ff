//! `cullet journal`: what is on record of break-glass runs.

mod outcomes;
mod send;
mod taken;

use std::collections::BTreeSet;
use std::fs;
use std::io::{self, Write};
use std::path::Path;

use cullet_cache::PublicKey;
use cullet_coordinator::glass::{Begun, Checked, Entry, Event, Finished, check};

use crate::args::{Format, JournalArgs, JournalCommand};
use crate::config::Config;
use crate::diagnostics;
use crate::error::{CliError, ExitStatus};
use crate::glass::{head, is_running, known_keys, path_in};
use crate::ui::clean;

const NOT_WHOLE: &str = "this journal is not what was written: cullet journal verify says where";

/// Looks at the journal.
pub(super) fn journal(
    args: &JournalArgs,
    config: &Config,
    out: &mut dyn Write,
) -> Result<ExitStatus, CliError> {
    let dir = &config.glass.dir;
    match &args.command {
        JournalCommand::Export => {
            let bytes = own(dir)?;
            out.write_all(&bytes).map_err(CliError::output)?;
            Ok(ExitStatus::Success)
        }
        JournalCommand::List { cluster: Some(cluster), format } => taken::list(cluster, config, *format, out),
        JournalCommand::Send { file, cluster } => send::send(file.as_deref(), cluster, config, out),
        JournalCommand::List { cluster: None, format } => {
            // A key that cannot be read is for `verify` to tell.
            let keys = known_keys(&config.glass).ok();
            let checked = check(&own(dir)?, keys.as_ref(), head(dir).as_ref());
            if *format == Format::Json && !checked.problems.is_empty() {
                diagnostics::report(&format!("warning: {NOT_WHOLE}\n"));
            }
            list(&checked, dir, *format, out).map_err(CliError::output)?;
            Ok(ExitStatus::Success)
        }
        JournalCommand::Verify { file, keys } => {
            let keys: Result<BTreeSet<PublicKey>, _> = keys.iter().map(|key| key.parse()).collect();
            let keys = keys.map_err(|error| CliError::usage("--key").because(error))?;
            let bytes = match file {
                Some(file) => fs::read(file).map_err(|error| unreadable(file, error))?,
                None => own(dir)?,
            };
            let keys = match file {
                _ if !keys.is_empty() => Some(keys),
                None => Some(known_keys(&config.glass)?),
                Some(_) => None,
            };
            let head = if file.is_none() { head(dir) } else { None };
            let checked = check(&bytes, keys.as_ref(), head.as_ref());
            verify(&checked, dir, out).map_err(CliError::output)?;
            Ok(if checked.problems.is_empty() { ExitStatus::Success } else { ExitStatus::StepFailed })
        }
    }
}

/// The bytes of the journal of this machine; none where nobody ever broke the glass.
fn own(dir: &Path) -> Result<Vec<u8>, CliError> {
    let path = path_in(dir);
    match fs::read(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        read => read.map_err(|error| unreadable(&path, error)),
    }
}

fn unreadable(path: &Path, error: io::Error) -> CliError {
    CliError::infra(format!("cannot read {}", path.display())).because(error)
}

fn verify(checked: &Checked, dir: &Path, out: &mut dyn Write) -> io::Result<()> {
    for problem in &checked.problems {
        writeln!(out, "{problem}")?;
    }
    if checked.torn {
        writeln!(out, "it ends with half an entry, as after a power cut; the next run keeps that aside")?;
    }
    // Where entries are missing, nobody knows that.
    let unfinished = if checked.problems.is_empty() { checked.unfinished() } else { Vec::new() };
    for entry in unfinished {
        let state = if is_running(dir, &entry.run) { "is still going on" } else { "never came to its end" };
        writeln!(out, "the run of entry {} {state}", entry.seq)?;
    }
    if !checked.problems.is_empty() {
        return Ok(());
    }
    let keys: Vec<String> = checked.keys.iter().map(ToString::to_string).collect();
    match checked.entries.len() {
        0 => writeln!(out, "no break-glass run is on record"),
        1 => writeln!(out, "1 entry, unchanged, signed by {}", keys.join(", ")),
        count => writeln!(out, "{count} entries, unchanged and in order, signed by {}", keys.join(", ")),
    }
}

fn list(checked: &Checked, dir: &Path, format: Format, out: &mut dyn Write) -> io::Result<()> {
    if format == Format::Json {
        for entry in &checked.entries {
            writeln!(out, "{}", serde_json::to_string(entry)?)?;
        }
        return Ok(());
    }
    for entry in &checked.entries {
        let Event::Begun(begun) = &entry.event else { continue };
        let end = checked.entries.iter().find_map(|other| match &other.event {
            Event::Finished(end) if other.run == entry.run => Some(end),
            _ => None,
        });
        let end = match end {
            Some(end) => Ended::So(end),
            None if is_running(dir, &entry.run) => Ended::Not("running"),
            None => Ended::Not("NEVER FINISHED"),
        };
        line(entry, begun, end, out)?;
    }
    if checked.entries.is_empty() {
        writeln!(out, "no break-glass run is on record")?;
    }
    if !checked.problems.is_empty() || checked.torn {
        writeln!(out, "{NOT_WHOLE}")?;
    }
    Ok(())
}

/// How a run ended.
enum Ended<'a> {
    So(&'a Finished),
    /// There is no end; in words.
    Not(&'static str),
}

fn line(entry: &Entry, begun: &Begun, end: Ended<'_>, out: &mut dyn Write) -> io::Result<()> {
    let text = |text: &str| clean::line(text);
    let ended = match end {
        Ended::So(Finished { outcome, executed, cached, failed, .. }) => {
            format!("{}, {executed} executed, {cached} cached, {failed} failed", text(outcome))
        }
        Ended::Not(why) => why.to_owned(),
    };
    let who = format!("{}@{}", text(&entry.who.user), text(&entry.who.host));
    let (seq, time, run) = (entry.seq, text(&entry.time), text(&entry.run));
    writeln!(out, "{seq}  {time}  {who}  {}  {run}  {ended}", text(&begun.pipeline.name))?;
    writeln!(out, "    because: {}", text(&begun.reason))?;
    if !begun.effects.is_empty() {
        let names: Vec<String> = begun.approvals.iter().map(|approved| text(&approved.name)).collect();
        let by = if names.is_empty() { "nobody".to_owned() } else { names.join(", ") };
        // Which of those that were allowed to were really executed, the end says.
        let acted: Vec<&str> = match end {
            Ended::So(Finished { steps, .. }) => {
                let ran =
                    |name: &&String| steps.iter().any(|step| step.step == **name && step.status != "skipped");
                begun.effects.iter().filter(ran).map(String::as_str).collect()
            }
            Ended::Not(_) => begun.effects.iter().map(String::as_str).collect(),
        };
        let what = match (&acted[..], end) {
            ([], _) => "did not act on the outside world".to_owned(),
            (acted, Ended::So(_)) => format!("acted on the outside world ({})", text(&acted.join(", "))),
            (acted, Ended::Not(_)) => {
                format!("may have acted on the outside world ({})", text(&acted.join(", ")))
            }
        };
        writeln!(out, "    {what}, approved by {by}")?;
    }
    Ok(())
}
