//! Looking for many patterns in one pass: some of them as they are, others also across the breaks of lines.

use aho_corasick::automaton::{Automaton, StateID};
use aho_corasick::nfa::contiguous::NFA;
use aho_corasick::{Anchored, MatchKind, dfa::DFA};

use crate::wrapped::{Unwrapping, back};

/// Up to so many bytes of patterns a table has a row for each, some 100 to 1000 bytes long, and is searched at the speed
/// of memory; for more, it would be too large.
const MOST_ROWS: usize = 16 << 10;

/// Values that cannot be looked for: the table for them would be too large. No limit on values allows that many, but
/// whoever has them must not print anything.
#[derive(Debug, thiserror::Error)]
#[error("what it prints cannot be searched for them: {why}")]
pub struct Unmaskable {
    why: String,
}

/// What is looked for.
#[derive(Debug, Default)]
pub(crate) struct Patterns {
    pub(crate) plain: Vec<Box<[u8]>>,
    /// Only of characters of encodings.
    pub(crate) wrapped: Vec<Box<[u8]>>,
}

/// Finds patterns. Looking ahead for their first bytes, as the crate offers, is slower than a table: encoded forms begin
/// with letters that every text has.
pub(crate) enum Table {
    Small(Pair<DFA>),
    Large(Pair<NFA>),
}

/// The two ways of reading, side by side: the processor waits for memory anyway.
pub(crate) struct Pair<A> {
    plain: A,
    wrapped: A,
    start: Walk,
}

/// A place in a text. A copy goes on from there.
#[derive(Clone, Copy)]
pub(crate) struct Walk {
    plain: StateID,
    wrapped: StateID,
    unwrapping: Unwrapping,
}

/// The longest of the patterns that end at a place.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Found {
    /// Behind its last byte, in the bytes that were read last.
    pub(crate) end: usize,
    /// Its number among its kind.
    pub(crate) pattern: usize,
    length: usize,
    pub(crate) is_wrapped: bool,
}

impl Found {
    /// Where it begins in `bytes`, which were read and have all of it.
    pub(crate) fn start(&self, bytes: &[u8]) -> usize {
        match self.is_wrapped {
            true => back(bytes, self.end, self.length),
            false => self.end - self.length,
        }
    }
}

impl Table {
    pub(crate) fn new(patterns: &Patterns) -> Result<Self, Unmaskable> {
        let Patterns { plain, wrapped } = patterns;
        let bytes: usize = plain.iter().chain(wrapped).map(|pattern| pattern.len()).sum();
        if bytes <= MOST_ROWS {
            let build = |patterns: &[Box<[u8]>]| {
                DFA::builder().match_kind(MatchKind::Standard).prefilter(false).build(patterns)
            };
            let built = build(plain).and_then(|plain| Ok((plain, build(wrapped)?)));
            return Ok(Self::Small(Pair::new(built.map_err(unmaskable)?)?));
        }
        let build = |patterns: &[Box<[u8]>]| {
            NFA::builder().match_kind(MatchKind::Standard).prefilter(false).build(patterns)
        };
        let built = build(plain).and_then(|plain| Ok((plain, build(wrapped)?)));
        Ok(Self::Large(Pair::new(built.map_err(unmaskable)?)?))
    }

    /// The beginning of a text, or a place in it where none of the patterns has begun.
    pub(crate) const fn start(&self, unwrapping: Unwrapping) -> Walk {
        let start = match self {
            Self::Small(pair) => pair.start,
            Self::Large(pair) => pair.start,
        };
        Walk { unwrapping, ..start }
    }

    /// Reads on, until `stop` says so of what was found.
    pub(crate) fn read(&self, walk: &mut Walk, bytes: &[u8], stop: impl FnMut(Found) -> bool) {
        match self {
            Self::Small(pair) => pair.read(walk, bytes, stop),
            Self::Large(pair) => pair.read(walk, bytes, stop),
        }
    }
}

impl<A: Automaton> Pair<A> {
    fn new((plain, wrapped): (A, A)) -> Result<Self, Unmaskable> {
        let start = |table: &A| table.start_state(Anchored::No).map_err(unmaskable);
        let start =
            Walk { plain: start(&plain)?, wrapped: start(&wrapped)?, unwrapping: Unwrapping::default() };
        Ok(Self { plain, wrapped, start })
    }

    fn read(&self, walk: &mut Walk, bytes: &[u8], mut stop: impl FnMut(Found) -> bool) {
        let Walk { mut plain, mut wrapped, mut unwrapping } = *walk;
        for (at, byte) in bytes.iter().enumerate() {
            plain = self.plain.next_state(Anchored::No, plain, *byte);
            let mut stops = self.plain.is_special(plain)
                && longest(&self.plain, plain, at + 1, false).is_some_and(&mut stop);
            if !unwrapping.skips(*byte) {
                wrapped = self.wrapped.next_state(Anchored::No, wrapped, *byte);
                stops |= self.wrapped.is_special(wrapped)
                    && longest(&self.wrapped, wrapped, at + 1, true).is_some_and(&mut stop);
            }
            if stops {
                break;
            }
        }
        *walk = Walk { plain, wrapped, unwrapping };
    }
}

fn longest<A: Automaton>(table: &A, state: StateID, end: usize, is_wrapped: bool) -> Option<Found> {
    if !table.is_match(state) {
        return None;
    }
    let ending = (0..table.match_len(state)).map(|index| table.match_pattern(state, index));
    let (length, pattern) = ending.map(|pattern| (table.pattern_len(pattern), pattern)).max()?;
    Some(Found { end, pattern: pattern.as_usize(), length, is_wrapped })
}

/// What the crate says is about numbers of states and of patterns.
fn unmaskable(error: impl std::fmt::Display) -> Unmaskable {
    Unmaskable { why: error.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(table: &Table, text: &[u8]) -> Vec<(usize, usize)> {
        let mut found = Vec::new();
        table.read(&mut table.start(Unwrapping::default()), text, |one| {
            found.push((one.start(text), one.end));
            false
        });
        found
    }

    #[test]
    fn both_kinds_of_tables_find_both_kinds_of_patterns() {
        let wrapped: Box<[u8]> = b"QUJDREVG".as_slice().into();
        let text = format!("a b c {}QUJD\n  REVG; a b\nQUJDREVG", "x".repeat(40));
        let long: Box<[u8]> = vec![b'~'; MOST_ROWS].into();
        for more in [Vec::new(), vec![long]] {
            let plain = [vec![b"a b".as_slice().into()], more].concat();
            let table = Table::new(&Patterns { plain, wrapped: vec![wrapped.clone()] }).unwrap();
            assert_eq!(found(&table, text.as_bytes()), [(0, 3), (46, 57), (59, 62), (63, 71)]);
        }
        let none = Table::new(&Patterns::default()).unwrap();
        assert!(found(&none, text.as_bytes()).is_empty());
    }

    #[test]
    fn a_refusal_says_why() {
        let said = "what it prints cannot be searched for them: too many";
        assert_eq!(unmaskable("too many").to_string(), said);
    }
}
