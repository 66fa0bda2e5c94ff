//! `cullet journal send`: what a cluster that is back has not been told yet.

use std::fs;
use std::io::{self, Write};
use std::path::Path;

use bytes::Bytes;
use cullet_coordinator::glass::{Head, hash, lines, sha256};
use cullet_proto::v1;
use cullet_proto::v1::line_verdict::Status;

use super::outcomes::Outcomes;
use super::{own, unreadable};
use crate::args::ClusterFlag;
use crate::cluster::Cluster;
use crate::commands::on_cluster;
use crate::config::Config;
use crate::error::{CliError, ExitStatus};
use crate::glass::sent;
use crate::ui::clean;

/// Lines, and bytes of lines, after which a call is full: each line takes the cluster a request or two. One alone may be larger.
const LINES: usize = 100;
const BYTES: usize = 2 << 20;

/// What became of a journal.
#[derive(Debug, Default)]
struct Sent {
    taken: u64,
    known: u64,
    unverified: u64,
    /// What was refused, in order, and why.
    refused: Vec<(u64, String)>,
    /// What the cluster wants somebody to look into.
    notes: Vec<String>,
    outcomes: Outcomes,
    /// Entries that the cluster has now.
    entries: u64,
}

/// Sends a cluster what it does not have of a journal.
pub(super) fn send(
    file: Option<&Path>,
    flag: &ClusterFlag,
    config: &Config,
    out: &mut dyn Write,
) -> Result<ExitStatus, CliError> {
    let addresses = on_cluster::required(flag, config)?;
    let bytes = match file {
        Some(file) => fs::read(file).map_err(|error| unreadable(file, error))?,
        None => own(&config.glass.dir)?,
    };
    let all: Vec<Bytes> = lines(&bytes).map(Bytes::copy_from_slice).collect();
    let Some(last) = all.last() else {
        writeln!(out, "no break-glass run is on record: there is nothing to send")
            .map_err(CliError::output)?;
        return Ok(ExitStatus::Success);
    };
    let work =
        async |cluster: Cluster| send_all(&cluster.known_as(config.cluster_token.as_ref()), &all).await;
    let sent = on_cluster::block_on(&addresses, work)?;
    if file.is_none() && sent.refused.is_empty() {
        let head = Head { seq: all.len() as u64, hash: hash(last) };
        sent::remember(&config.glass.dir, &addresses.urls().join(","), head)?;
    }
    say(&sent, all.len(), out).map_err(CliError::output)?;
    Ok(if sent.refused.is_empty() { ExitStatus::Success } else { ExitStatus::StepFailed })
}

/// Asks how far the cluster is and goes on from there, call by call. Nothing is sent behind a line that was refused.
async fn send_all(cluster: &Cluster, all: &[Bytes]) -> Result<Sent, CliError> {
    let hashes: Vec<[u8; 32]> = all.iter().map(|line| sha256(line)).collect();
    let before = |count: usize| Bytes::from(hashes[..count].concat());
    let mut sent = Sent::default();
    let asked = cluster.take_in(before(hashes.len()), Vec::new()).await?;
    let mut at = usize::try_from(asked.entries).unwrap_or(usize::MAX).min(all.len());
    sent.known = at as u64;
    sent.add(asked);
    while at < all.len() && sent.refused.is_empty() {
        let batch = batch(&all[at..]);
        let answer = cluster.take_in(before(at), batch.to_vec()).await?;
        sent.add(answer);
        at += batch.len();
    }
    if sent.refused.is_empty() && sent.entries > all.len() as u64 {
        let why = format!(
            "the cluster has {} entries of this journal: those behind entry {} are missing here",
            sent.entries,
            all.len()
        );
        sent.refused.push((all.len() as u64 + 1, why));
    }
    Ok(sent)
}

/// As many lines as go into a call, and at least one.
fn batch(lines: &[Bytes]) -> &[Bytes] {
    let mut bytes = 0;
    let fits = |line: &&Bytes| {
        bytes += line.len();
        bytes <= BYTES
    };
    let count = lines.iter().take(LINES).take_while(fits).count();
    &lines[..count.max(1)]
}

impl Sent {
    fn add(&mut self, answer: v1::TakeInResponse) {
        self.entries = answer.entries;
        self.notes.extend(answer.notes);
        for line in answer.lines {
            match line.status() {
                Status::Taken => self.taken += 1,
                Status::Known => self.known += 1,
                Status::Refused | Status::Unspecified => self.refused.push((line.seq, line.fault)),
            }
            self.unverified += u64::from(line.unverified);
            self.outcomes.add(line.seq, line.steps);
        }
    }
}

fn say(sent: &Sent, all: usize, out: &mut dyn Write) -> io::Result<()> {
    let Sent { taken, known, unverified, refused, notes, outcomes, .. } = sent;
    for note in notes {
        writeln!(out, "look into this: {}", clean::line(note))?;
    }
    if let Some((seq, why)) = refused.first() {
        let left = (all as u64).saturating_sub(seq.saturating_sub(1)).max(1);
        writeln!(out, "refused: {}", clean::line(why))?;
        writeln!(out, "{taken} taken in, {known} there before, {left} not taken in")?;
    } else {
        writeln!(out, "{taken} taken in, {known} there before: the cluster has all {all} entries")?;
    }
    if *unverified > 0 {
        writeln!(
            out,
            "{unverified} of them are of nobody whom the cluster knows: it names no `keys` in [journals] of --trust"
        )?;
    }
    outcomes.say(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_is_bounded_and_takes_at_least_one_line() {
        let lines = |sizes: &[usize]| -> Vec<Bytes> {
            sizes.iter().map(|size| Bytes::from(vec![b'x'; *size])).collect()
        };
        assert_eq!(batch(&lines(&[1; 250])).len(), LINES);
        assert_eq!(batch(&lines(&[BYTES + 1, 1])).len(), 1);
        assert_eq!(batch(&lines(&[BYTES / 2, BYTES / 2, 1])).len(), 2);
    }
}
