//! Whether lines of a journal go on where those end that are there.

use cullet_cache::PublicKey;

use super::bytes::{hex, sha256};
use super::check::NOTHING;
use super::entry::{Entry, Event};
use super::line::Line;
use crate::policy::JournalTrust;

/// The most bytes of a line: what the end of a run with fifty thousand steps takes.
pub const MOST_LINE: usize = 32 << 20;

/// The most entries of a journal: breaking the glass is no everyday thing, and their hashes are sent with each question.
pub(crate) const MOST_ENTRIES: usize = 50_000;

/// The SHA-256 of a line.
pub(crate) type Hash = [u8; 32];

/// What there is of a journal, by its hashes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Known(pub(crate) Vec<Hash>);

/// What becomes of a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It goes on where the journal ended.
    New(Box<Entry>),
    /// It was there.
    Known,
    /// It is not taken.
    Refused(Fault),
}

/// Why a line is not taken. Each says what is wrong, and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// It has another form.
    #[error("line {0} is no entry: it was changed, or damaged")]
    NoEntry(u64),
    /// Nobody writes such a line.
    #[error("line {0} has more than {MOST_LINE} bytes")]
    TooLong(u64),
    /// Its bytes are not those that were signed.
    #[error("entry {0} was changed: its signature does not fit")]
    Changed(u64),
    /// The policy of the cluster does not name who signed.
    #[error(
        "entry {0} is signed by {1}, whose journals the cluster does not take in: see `keys` in [journals] of --trust"
    )]
    Stranger(u64, PublicKey),
    /// Others should stand before it.
    #[error("entries are missing before line {expected}, which is entry {found}")]
    Gap {
        /// Its number by its place.
        expected: u64,
        /// The number that it says.
        found: u64,
    },
    /// It stands too late.
    #[error("line {expected} is entry {found}: entries are not in their order")]
    Misplaced {
        /// Its number by its place.
        expected: u64,
        /// The number that it says.
        found: u64,
    },
    /// It names another line as the one before.
    #[error("entry {before} was replaced: entry {after} names another one", before = .0 - 1, after = .0)]
    Replaced(u64),
    /// It names a line before the first one.
    #[error("entry 1 was not the first one of its journal")]
    NotFirst,
    /// The results are to be somebody else's.
    #[error("entry {0} says that its results belong to {1}, which is not the quarantine scope of its user")]
    OtherScope(u64, String),
    /// The cluster has taken another line in its place.
    #[error("entry {0} is not the one that the cluster took in: that one has the SHA-256 {1}")]
    Differs(u64, String),
    /// The sender holds lines back.
    #[error("the cluster has the entries up to {known}, and none up to {sent}, behind which this one is")]
    NotSent {
        /// How many the cluster has.
        known: u64,
        /// How many are to stand before it.
        sent: u64,
    },
    /// One before it was refused.
    #[error("it comes after line {0}, which was not taken in")]
    After(u64),
    /// There are too many.
    #[error("a journal with more than {MOST_ENTRIES} entries is not taken in any further")]
    Full,
}

/// What becomes of lines that stand behind others with these hashes, as their sender says, where the cluster knows those of
/// `known`. The first fault is one of all that comes after it: nobody knows any more what that goes on from.
pub(crate) fn judge(known: &Known, before: &[Hash], lines: &[&[u8]], trust: &JournalTrust) -> Vec<Verdict> {
    let mut fault = other_than_known(known, before);
    if fault.is_none() && before.len() > known.0.len() {
        let fault = Fault::NotSent { known: known.0.len() as u64, sent: before.len() as u64 };
        return vec![Verdict::Refused(fault); lines.len()];
    }
    let mut all = before.to_vec();
    let mut verdicts = Vec::with_capacity(lines.len());
    for line in lines {
        let seq = all.len() as u64 + 1;
        let hashed = sha256(line);
        let verdict = match (&fault, known.0.get(all.len())) {
            (Some((first, _)), _) => Err(Fault::After(*first)),
            (None, Some(there)) if *there == hashed => Ok(Verdict::Known),
            (None, Some(there)) => Err(Fault::Differs(seq, hex(there))),
            (None, None) => look_at(seq, all.last(), line, trust).map(|entry| Verdict::New(Box::new(entry))),
        };
        verdicts.push(verdict.unwrap_or_else(|found| {
            fault.get_or_insert_with(|| (seq, found.clone()));
            Verdict::Refused(found)
        }));
        all.push(hashed);
    }
    verdicts
}

/// The first of the sender's lines that is another one than the cluster's, and why that is so.
pub(crate) fn other_than_known(known: &Known, before: &[Hash]) -> Option<(u64, Fault)> {
    let (at, (there, _)) = known.0.iter().zip(before).enumerate().find(|(_, (one, other))| one != other)?;
    let seq = at as u64 + 1;
    Some((seq, Fault::Differs(seq, hex(there))))
}

/// Looks at a line that is to stand behind the one with this hash: its form, its signature, who signed, its place.
///
/// # Errors
/// What is wrong with it.
pub(crate) fn look_at(
    seq: u64,
    before: Option<&Hash>,
    bytes: &[u8],
    trust: &JournalTrust,
) -> Result<Entry, Fault> {
    if bytes.len() > MOST_LINE {
        return Err(Fault::TooLong(seq));
    }
    if seq > MOST_ENTRIES as u64 {
        return Err(Fault::Full);
    }
    let line = Line::parse(bytes).ok_or(Fault::NoEntry(seq))?;
    if !line.is_sound() {
        return Err(Fault::Changed(seq));
    }
    if !trust.takes(&line.key) {
        return Err(Fault::Stranger(seq, line.key));
    }
    let entry = line.entry;
    match (seq, entry.seq) {
        (expected, found) if found > expected => return Err(Fault::Gap { expected, found }),
        (expected, found) if found < expected => return Err(Fault::Misplaced { expected, found }),
        _ => {}
    }
    if entry.previous != before.map_or_else(|| NOTHING.to_owned(), |hash| hex(hash)) {
        return Err(if seq == 1 { Fault::NotFirst } else { Fault::Replaced(seq) });
    }
    if let Event::Begun(begun) = &entry.event
        && begun.scope != super::outcome::scope_of(&entry).to_string()
    {
        return Err(Fault::OtherScope(seq, begun.scope.clone()));
    }
    Ok(entry)
}
