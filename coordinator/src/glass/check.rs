//! Whether a journal is what was written.

use std::collections::{BTreeMap, BTreeSet};

use cullet_cache::PublicKey;

use serde::{Deserialize, Serialize};

use super::entry::{Entry, Event};
use super::line::{Line, hash, lines};

/// What the first entry names as the one before it.
pub const NOTHING: &str = "0000000000000000000000000000000000000000000000000000000000000000";

/// How far a journal has come.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    /// Its last entry.
    pub seq: u64,
    /// Of the line of that entry.
    pub hash: String,
}

/// What a look at a journal finds.
#[derive(Debug, Clone, Default)]
pub struct Checked {
    /// What could be read, in the order of the file.
    pub entries: Vec<Entry>,
    /// What is wrong, each a sentence that names the entry.
    pub problems: Vec<String>,
    /// Keys that signed.
    pub keys: BTreeSet<PublicKey>,
    /// It ends in half a line.
    pub torn: bool,
}

/// Reads a journal and compares each entry with its signature and with the one before. `keys` are those that may sign; none
/// where every key may. `head` is how far it is known to have come.
pub fn check(bytes: &[u8], keys: Option<&BTreeSet<PublicKey>>, head: Option<&Head>) -> Checked {
    let all: Vec<(&[u8], Option<Line<'_>>)> = lines(bytes).map(|line| (line, Line::parse(line))).collect();
    let present: BTreeSet<u64> = all.iter().filter_map(|(_, line)| Some(line.as_ref()?.entry.seq)).collect();
    let mut checked = Checked { torn: bytes.last().is_some_and(|byte| *byte != b'\n'), ..Checked::default() };
    // Number and hash of the line before, and whether anything was wrong with it: then that is said, and not once more.
    let (mut before, mut hashed, mut is_sound) = (0, NOTHING.to_owned(), true);
    for (index, (bytes, line)) in all.iter().enumerate() {
        let Some(line) = line else {
            checked.problems.push(format!("line {} is no entry: it was changed, or damaged", index + 1));
            (before, hashed, is_sound) = (before + 1, hash(bytes), false);
            continue;
        };
        let (entry, expected) = (&line.entry, before + 1);
        let problem = if !line.is_sound() {
            Some(format!("entry {} was changed: its signature does not fit", entry.seq))
        } else if keys.is_some_and(|keys| !keys.contains(&line.key)) {
            Some(format!("entry {} is signed by {}, who may not", entry.seq, line.key))
        } else if entry.seq != expected {
            Some(misplaced(entry.seq, expected, &present))
        } else if is_sound && entry.previous != hashed {
            Some(match before {
                0 => "entry 1 was not the first one of its journal".to_owned(),
                _ => format!("entry {before} was replaced: entry {} names another one", entry.seq),
            })
        } else {
            None
        };
        (before, hashed, is_sound) = (entry.seq, hash(bytes), problem.is_none());
        checked.problems.extend(problem);
        checked.keys.insert(line.key);
        checked.entries.push(entry.clone());
    }
    let Some(head) = head else { return checked };
    if head.seq > before {
        checked.problems.push(format!("{} at the end", missing(before + 1, head.seq)));
    } else if head.seq == before && is_sound && head.hash != hashed {
        checked.problems.push(format!("entry {before} was replaced after it was written"));
    }
    checked
}

fn misplaced(seq: u64, expected: u64, present: &BTreeSet<u64>) -> String {
    if seq < expected {
        return format!("entry {seq} is not in its place: entry {} stands before it", expected - 1);
    }
    let gone: Vec<u64> = (expected..seq).filter(|seq| !present.contains(seq)).take(2).collect();
    match gone[..] {
        [] => format!("entry {seq} is not in its place: entry {expected} comes after it"),
        _ => format!("{} before entry {seq}", missing(expected, seq - 1)),
    }
}

fn missing(first: u64, last: u64) -> String {
    if first == last {
        format!("entry {first} is missing")
    } else {
        format!("entries {first} to {last} are missing")
    }
}

impl Checked {
    /// Runs that began and never finished, with the entries that say so.
    pub fn unfinished(&self) -> Vec<&Entry> {
        let mut open: BTreeMap<&str, &Entry> = BTreeMap::new();
        for entry in &self.entries {
            match entry.event {
                Event::Begun(_) => drop(open.insert(&entry.run, entry)),
                Event::Finished(_) => drop(open.remove(&*entry.run)),
            }
        }
        let mut open: Vec<&Entry> = open.into_values().collect();
        open.sort_by_key(|entry| entry.seq);
        open
    }

    /// Those of them that nothing came behind: who begins now has not heard of them yet.
    pub fn newly_unfinished(&self) -> Vec<&Entry> {
        let finished = |entry: &&Entry| matches!(entry.event, Event::Finished(_));
        let last = self.entries.iter().rfind(finished).map_or(0, |entry| entry.seq);
        self.unfinished().into_iter().filter(|entry| entry.seq > last).collect()
    }
}
