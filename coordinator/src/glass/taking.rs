//! What a cluster does with lines that it is sent.

use cullet_cache::StoreError;

use super::bytes::{hex, sha256};
use super::entry::Entry;
use super::judge::{self, Fault, Hash, Verdict};
use super::kept::{About, KeptJournals, KeptLine};
use super::line::Line;
use crate::policy::JournalTrust;

/// What became of what was sent.
#[derive(Debug)]
pub(crate) struct Answer {
    /// How many entries the cluster has of the journal.
    pub(crate) entries: u64,
    /// The first of the sender's lines before those that were sent that the cluster has otherwise.
    pub(crate) differs: Option<(u64, Fault)>,
    /// One for each line.
    pub(crate) lines: Vec<Judged>,
    /// What somebody should look into, in sentences.
    pub(crate) notes: Vec<String>,
}

/// A line, looked at.
#[derive(Debug)]
pub(crate) struct Judged {
    /// Its number by its place.
    pub(crate) seq: u64,
    pub(crate) verdict: Verdict,
}

/// Who sends, and when.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sender<'a> {
    pub(crate) name: &'a str,
    pub(crate) now_ms: u64,
}

/// Takes in what goes on where the journal ends that begins with the same line, and says of each line what became of it.
///
/// # Errors
/// The store: nothing is said of any line then, and sending them again goes on where this ended.
pub(crate) async fn take_in(
    kept: &KeptJournals,
    trust: &JournalTrust,
    before: &[Hash],
    lines: &[&[u8]],
    sender: Sender<'_>,
) -> Result<Answer, StoreError> {
    let first = before.first().copied().or_else(|| lines.first().map(|line| sha256(line)));
    let Some(first) = first else {
        return Ok(Answer { entries: 0, differs: None, lines: Vec::new(), notes: Vec::new() });
    };
    let journal = hex(&first);
    let mut known = kept.known(&journal).await?;
    let verdicts = judge::judge(&known, before, lines, trust);
    let mut notes = Vec::new();
    if let Some(about) = lines.first().and_then(|first| begins(&journal, first, &verdicts)) {
        notes.extend(others(kept, &about).await?);
        // It is on the list before it is there: a journal that nobody finds would be worse than an empty one.
        kept.list(&about).await?;
    }
    let is_new = |verdict: &Verdict| matches!(verdict, Verdict::New(_));
    let from = known.0.len() as u64 + 1;
    let new: Vec<&[u8]> =
        lines.iter().zip(&verdicts).filter(|(_, verdict)| is_new(verdict)).map(|(line, _)| *line).collect();
    if !new.is_empty() {
        known.0.extend(new.iter().map(|line| sha256(line)));
        let lines: Vec<KeptLine> = new.into_iter().map(|line| sealed(line, sender)).collect();
        kept.extend(&journal, from, &lines, &known).await?;
    }
    let numbers = before.len() as u64 + 1..;
    let differs = judge::other_than_known(&known, before);
    let lines = numbers.zip(verdicts).map(|(seq, verdict)| Judged { seq, verdict }).collect();
    Ok(Answer { entries: known.0.len() as u64, differs, lines, notes })
}

/// What is said of a journal whose first line is among those that are taken.
fn begins(journal: &str, first: &[u8], verdicts: &[Verdict]) -> Option<About> {
    let Some(Verdict::New(entry)) = verdicts.first() else { return None };
    let Entry { seq: 1, who, .. } = &**entry else { return None };
    let key = Line::parse(first)?.key.to_string();
    Some(About { journal: journal.to_owned(), key, user: who.user.clone(), host: who.host.clone() })
}

/// Whether who signs it has begun another one before: then its entries may be ones that were written anew.
async fn others(kept: &KeptJournals, about: &About) -> Result<Vec<String>, StoreError> {
    let all = kept.all().await?;
    let others = all.iter().filter(|other| other.key == about.key && other.journal != about.journal);
    Ok(others
        .map(|other| {
            format!(
                "{} has signed another journal before, {}: this one does not go on from it",
                about.key, other.journal
            )
        })
        .collect())
}

/// What was parsed is UTF-8.
fn sealed(line: &[u8], sender: Sender<'_>) -> KeptLine {
    let line = String::from_utf8_lossy(line).into_owned();
    KeptLine { taken_at_ms: sender.now_ms, by: sender.name.to_owned(), line }
}
