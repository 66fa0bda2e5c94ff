//! A run of a cluster.

use std::io::Write;

use cullet_coordinator::Event;
use cullet_proto::v1;

use super::picture::Picture;
use super::{headed, on_cluster, tone};
use crate::args::{Format, StatusArgs};
use crate::cluster::Addresses;
use crate::config::Config;
use crate::error::{CliError, ExitStatus};
use crate::ui::{LineWriter, Style, clean, duration};

/// Shows one run; without a name the newest, of the tenant that the configuration names if it does.
pub(super) fn status(
    args: &StatusArgs,
    config: &Config,
    addresses: &Addresses,
    out: &mut dyn Write,
) -> Result<ExitStatus, CliError> {
    let now_ms = duration::now_ms();
    let (run, events) = on_cluster::block_on(addresses, async |cluster| {
        let run = cluster.find(args.run.as_deref(), config.tenant()).await?;
        let run = cluster.run(&run).await?.summary.unwrap_or_default();
        let events = cluster.events_so_far(&run, now_ms).await?;
        Ok((run, events))
    })?;
    let text = match args.format {
        Format::Json => lines(&events),
        Format::Human => {
            describe(&run, events, config.terminal.stdout_style(config.color), now_ms).into_bytes()
        }
    };
    out.write_all(&text).map_err(CliError::output)?;
    Ok(ExitStatus::Success)
}

fn lines(events: &[(Event, u64)]) -> Vec<u8> {
    let (mut text, mut lines) = (Vec::new(), LineWriter::default());
    for (event, at_ms) in events {
        lines.append(event, *at_ms, &mut text);
    }
    text
}

fn describe(run: &v1::RunSummary, events: Vec<(Event, u64)>, style: Style, now_ms: u64) -> String {
    let mut picture = Picture::default();
    for (event, at_ms) in events {
        picture.event(event, at_ms.saturating_sub(run.submitted_at_ms));
    }
    let live = run.finished_at_ms == 0;
    let until_ms = if live { now_ms } else { run.finished_at_ms };
    let elapsed_ms = until_ms.saturating_sub(run.submitted_at_ms);
    heading(run, style, now_ms) + &picture.render(live, Some(elapsed_ms), style)
}

fn heading(run: &v1::RunSummary, style: Style, now_ms: u64) -> String {
    let started = duration::rfc3339(run.submitted_at_ms);
    let ago = duration::ago(run.submitted_at_ms, now_ms);
    let status = clean::line(&run.status);
    let lines = [
        ("run", clean::line(&run.run)),
        ("pipeline", clean::line(&run.pipeline)),
        ("tenant", clean::line(&run.tenant)),
        ("scope", clean::line(&run.scope)),
        ("priority", run.priority.to_string()),
        ("started", format!("{started} ({ago})")),
        ("status", style.paint(tone(&status), &status).to_string()),
    ];
    headed(&lines, style)
}

#[cfg(test)]
mod tests {
    use cullet_coordinator::{RunStart, StepStart};

    use super::*;

    #[test]
    fn a_run_that_lives_says_what_runs() {
        let run = v1::RunSummary {
            run: "r".to_owned(),
            pipeline: "app".to_owned(),
            status: "running".to_owned(),
            submitted_at_ms: 1000,
            ..Default::default()
        };
        let steps = vec!["a".to_owned(), "b".to_owned()];
        let start = RunStart { run: "r".to_owned(), pipeline: "app".to_owned(), steps };
        let step = StepStart { step: "a".to_owned(), attempt: 1, worker: "w".to_owned() };
        let events = vec![(Event::RunStarted(start), 1000), (Event::StepStarted(step), 2000)];
        let json = String::from_utf8(lines(&events)).unwrap();
        assert!(
            json.starts_with("{\"event\":\"run_started\"") && json.contains("1970-01-01T00:00:02.000Z"),
            "{json}"
        );
        let text = describe(&run, events, Style::PLAIN, 5000);
        assert!(
            text.contains("a 3.0s") && text.contains("0/2 done after 4.0s") && text.contains("1 running"),
            "{text}"
        );
    }
}
