//! `cullet status`.

mod picture;
mod remote;

use std::fmt::Write as _;
use std::io::Write;

use super::on_cluster;
use super::runs::tone;
use crate::args::{Format, StatusArgs};
use crate::config::Config;
use crate::error::{CliError, ExitStatus};
use crate::history::{RunState, Store, StoredRun};
use crate::ui::{Style, Tone, clean, duration, quoted};
use picture::Picture;

/// Shows one run.
pub(super) fn status(
    args: &StatusArgs,
    config: &Config,
    out: &mut dyn Write,
) -> Result<ExitStatus, CliError> {
    if let Some(addresses) = on_cluster::named(&args.cluster, config)? {
        return remote::status(args, config, &addresses, out);
    }
    let run = Store::open(config.runs_dir()).find(args.run.as_deref())?;
    if args.format == Format::Json {
        return events(&run, out);
    }
    let style = config.terminal.stdout_style(config.color);
    let text = describe(&run, style, duration::now_ms())?;
    out.write_all(text.as_bytes()).map_err(CliError::output)?;
    Ok(ExitStatus::Success)
}

fn events(run: &StoredRun, out: &mut dyn Write) -> Result<ExitStatus, CliError> {
    let mut failed = None;
    run.lines(|line| {
        // A crash can leave half a line, a failing disk anything.
        let is_event = serde_json::from_slice::<serde::de::IgnoredAny>(line).is_ok();
        if failed.is_none() && is_event {
            failed = out.write_all(line).and_then(|()| out.write_all(b"\n")).err();
        }
    })?;
    failed.map_or(Ok(ExitStatus::Success), |error| Err(CliError::output(error)))
}

fn describe(run: &StoredRun, style: Style, now_ms: u64) -> Result<String, CliError> {
    let state = run.state();
    let mut picture = Picture::default();
    run.events(|event, at_ms| picture.event(event, at_ms))?;
    let elapsed_ms = run.elapsed_ms(&state, now_ms);
    let body = picture.render(state == RunState::Running, elapsed_ms, style);
    Ok(heading(run, &state, style, now_ms) + &body)
}

fn heading(run: &StoredRun, state: &RunState, style: Style, now_ms: u64) -> String {
    let meta = run.meta();
    let ago = duration::ago(meta.started_at_ms, now_ms);
    let command: Vec<String> = meta.command_line.iter().map(|word| quoted(&clean::line(word))).collect();
    let mut lines = vec![
        ("run", meta.run.clone()),
        ("pipeline", clean::line(&meta.pipeline)),
        ("file", clean::line(&meta.file)),
        ("command", command.join(" ")),
        ("started", format!("{} ({ago})", run.started())),
        ("status", style.paint(tone(state.word()), state.word()).to_string()),
    ];
    if let Some(cluster) = &meta.cluster {
        lines.insert(4, ("cluster", clean::line(cluster)));
    }
    headed(&lines, style)
}

fn headed(lines: &[(&str, String)], style: Style) -> String {
    let mut text = String::new();
    for (name, value) in lines {
        let _ = writeln!(text, "{} {value}", style.paint(Tone::Faint, format!("{name:<9}")));
    }
    text
}
