//! `cullet journal list --cluster`: what a cluster has taken in.

use std::io::{self, Write};

use cullet_coordinator::glass::{Begun, Entry, Event, Finished, Line};
use cullet_proto::v1;
use serde_json::json;

use super::outcomes::{Outcomes, object};
use super::{Ended, line};
use crate::args::{ClusterFlag, Format};
use crate::cluster::Cluster;
use crate::commands::on_cluster;
use crate::config::Config;
use crate::error::{CliError, ExitStatus};
use crate::ui::duration::rfc3339;
use crate::ui::{clean, short};

/// A journal of the cluster.
type Journal = (v1::JournalSummary, Vec<v1::TakenLine>);

/// Lists what a cluster has.
pub(super) fn list(
    cluster: &str,
    config: &Config,
    format: Format,
    out: &mut dyn Write,
) -> Result<ExitStatus, CliError> {
    let flag = ClusterFlag { cluster: Some(cluster.to_owned()) };
    let work = async |cluster: Cluster| {
        let mut all = Vec::new();
        for summary in cluster.journals().await? {
            // One whose first line was never stored is listed and empty.
            let lines = match cluster.journal(&summary.journal).await {
                Err(crate::cluster::ClusterError::Refused { code: tonic::Code::NotFound, .. }) => Vec::new(),
                lines => lines?,
            };
            all.push((summary, lines));
        }
        Ok(all)
    };
    let all: Vec<Journal> = on_cluster::block_on(&on_cluster::required(&flag, config)?, work)?;
    if format == Format::Json {
        all.iter().try_for_each(|journal| objects(journal, out)).map_err(CliError::output)?;
    } else if all.is_empty() {
        writeln!(out, "the cluster has taken in no journal").map_err(CliError::output)?;
    } else {
        all.into_iter().try_for_each(|journal| human(journal, out)).map_err(CliError::output)?;
    }
    Ok(ExitStatus::Success)
}

/// One object for each entry.
fn objects((summary, lines): &Journal, out: &mut dyn Write) -> io::Result<()> {
    for taken in lines {
        let entry = Line::parse(&taken.line).map(|line| line.entry);
        let steps: Vec<_> = taken.steps.iter().map(object).collect();
        let object = json!({
            "journal": summary.journal,
            "key": summary.key,
            "owner": Some(&summary.owner).filter(|owner| !owner.is_empty()),
            "seq": taken.seq,
            "taken_at": rfc3339(taken.taken_at_ms),
            "by": taken.by,
            "verified": taken.fault.is_empty() && !taken.unverified,
            "fault": Some(&taken.fault).filter(|fault| !fault.is_empty()),
            "entry": entry,
            "results": steps,
        });
        writeln!(out, "{object}")?;
    }
    Ok(())
}

fn human((summary, lines): Journal, out: &mut dyn Write) -> io::Result<()> {
    let v1::JournalSummary { journal, key, user, host, owner } = &summary;
    let owner =
        if owner.is_empty() { "of nobody whom the cluster knows".to_owned() } else { clean::line(owner) };
    let (who, key) = (clean::line(&format!("{user}@{host}")), clean::line(key));
    writeln!(out, "journal {}  {who}  {key} ({owner})", short(&clean::line(journal)))?;
    let entries: Vec<Option<Entry>> =
        lines.iter().map(|taken| Some(Line::parse(&taken.line)?.entry)).collect();
    for (taken, entry) in lines.iter().zip(&entries) {
        if !taken.fault.is_empty() {
            writeln!(out, "  NOT VERIFIED: {}", clean::line(&taken.fault))?;
        }
        let Some(entry @ Entry { event: Event::Begun(begun), .. }) = entry else { continue };
        shown(taken, entry, begun, end_of(entry, &entries), out)?;
    }
    let mut outcomes = Outcomes::default();
    lines.into_iter().for_each(|taken| outcomes.add(taken.seq, taken.steps));
    outcomes.say(out)
}

fn end_of<'a>(begun: &Entry, entries: &'a [Option<Entry>]) -> Option<&'a Finished> {
    entries.iter().flatten().find_map(|other| match &other.event {
        Event::Finished(end) if other.run == begun.run => Some(end),
        _ => None,
    })
}

fn shown(
    taken: &v1::TakenLine,
    entry: &Entry,
    begun: &Begun,
    end: Option<&Finished>,
    out: &mut dyn Write,
) -> io::Result<()> {
    line(entry, begun, end.map_or(Ended::Not("NO END (killed, or not sent yet)"), Ended::So), out)?;
    writeln!(out, "    taken in at {}, sent by {}", rfc3339(taken.taken_at_ms), clean::line(&taken.by))
}
