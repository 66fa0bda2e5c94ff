//! `cullet status`.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::io::Write;
use std::time::Duration;

use cullet_coordinator::{Event, StepEnd};

use super::runs::tone;
use crate::args::{Format, StatusArgs};
use crate::config::Config;
use crate::error::{CliError, ExitStatus};
use crate::history::{RunState, Store, StoredRun};
use crate::ui::model::{Model, cause};
use crate::ui::{Closing, Style, Summary, Tone, clean, duration, quoted};

/// Steps that are listed one by one.
const STEPS: usize = 200;

/// Runs with more steps than this list only those that were not answered by the cache.
const FEW: usize = 50;

/// Shows one run.
pub(super) fn status(
    args: &StatusArgs,
    config: &Config,
    out: &mut dyn Write,
) -> Result<ExitStatus, CliError> {
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
    let mut model = Model::default();
    let mut ends: Vec<StepEnd> = Vec::new();
    let mut at: HashMap<String, usize> = HashMap::new();
    let mut last_ms = 0;
    run.events(|event, at_ms| {
        last_ms = at_ms.max(last_ms);
        model.event(&event, Duration::from_millis(at_ms));
        if let Event::StepFinished(end) = event {
            match at.get(&end.step) {
                Some(known) => ends[*known] = end,
                None => {
                    at.insert(end.step.clone(), ends.len());
                    ends.push(end);
                }
            }
        }
    })?;
    let mut text = heading(run, &state, style, now_ms);
    steps(&ends, model.total(), style, &mut text);
    let elapsed = Duration::from_millis(run.elapsed_ms(&state, now_ms).unwrap_or(last_ms));
    if state == RunState::Running {
        running(&model, elapsed, style, &mut text);
    } else {
        let closing = Closing::default();
        let summary = Summary { model: &model, closing: &closing, style, logs: false };
        if model.failures.is_empty() {
            text.push('\n');
        }
        text.push_str(&summary.render(elapsed));
    }
    Ok(text)
}

fn heading(run: &StoredRun, state: &RunState, style: Style, now_ms: u64) -> String {
    let meta = run.meta();
    let ago = duration::ago(meta.started_at_ms, now_ms);
    let command: Vec<String> = meta.command_line.iter().map(|word| quoted(&clean::line(word))).collect();
    let lines = [
        ("run", meta.run.clone()),
        ("pipeline", clean::line(&meta.pipeline)),
        ("file", clean::line(&meta.file)),
        ("command", command.join(" ")),
        ("started", format!("{} ({ago})", run.started())),
        ("status", style.paint(tone(state), state.word()).to_string()),
    ];
    let mut text = String::new();
    for (name, value) in lines {
        let _ = writeln!(text, "{} {value}", style.paint(Tone::Faint, format!("{name:<9}")));
    }
    text
}

fn steps(ends: &[StepEnd], total: usize, style: Style, text: &mut String) {
    let cached = |end: &StepEnd| end.cached && end.status == "succeeded";
    let quiet = |end: &StepEnd| cached(end) || end.status == "skipped";
    let listed: Vec<&StepEnd> = ends.iter().filter(|end| total <= FEW || !quiet(end)).collect();
    if !listed.is_empty() {
        text.push('\n');
    }
    for end in listed.iter().take(STEPS) {
        let took = duration::human_ms(end.duration_ms);
        let (tone, mark, what) = match end.status.as_str() {
            "succeeded" if end.cached => (Tone::Good, style.tick(), "cached".to_owned()),
            "succeeded" => (Tone::Good, style.tick(), took),
            status @ ("skipped" | "cancelled") => (Tone::Warn, style.dash(), status.to_owned()),
            status => {
                let why = cause(status, end.exit_code, end.reason.as_deref(), end.duration_ms);
                (Tone::Bad, style.cross(), format!("{took}{}{why}", style.separator()))
            }
        };
        let _ = writeln!(text, "{} {} {what}", style.paint(tone, mark), clean::line(&end.step));
    }
    if listed.len() > STEPS {
        let _ = writeln!(text, "and {} more: cullet status --format json", listed.len() - STEPS);
    }
}

fn running(model: &Model, elapsed: Duration, style: Style, text: &mut String) {
    for step in &model.running {
        let took = duration::human(elapsed.saturating_sub(step.since));
        let _ = writeln!(text, "{} {} {took}", style.paint(Tone::Busy, style.dot()), clean::line(&step.step));
    }
    let counts = model.counts;
    let (dot, time) = (style.separator(), duration::human(elapsed));
    let _ = write!(text, "\n{}/{} done after {time}", counts.done(), model.total());
    for (count, what) in [
        (counts.cached, "cached"),
        (counts.failed + counts.tolerated, "failed"),
        (counts.running, "running"),
        (counts.queued, "queued"),
    ] {
        if count > 0 {
            let _ = write!(text, "{dot}{count} {what}");
        }
    }
    text.push('\n');
}
