//! Finds values in all their forms.

use std::fmt;

use aho_corasick::{AhoCorasick, AhoCorasickKind, MatchKind};

use crate::forms::Forms;
use crate::stream::MaskedStream;
use crate::value::SecretValue;

/// What stands in the place of a value.
pub(crate) const MASK: &[u8] = b"***";

/// Long forms are looked for in pieces: what may be the beginning of one is held back, and nobody should wait long for
/// what a step prints.
pub(crate) const PIECE: usize = 1024;

/// Replaces values by `***`, in whatever form they are. Without values it changes nothing.
#[derive(Default)]
pub struct Masker {
    finder: Option<Finder>,
}

/// Values that cannot be looked for: the table for them would be too large. No limit on values allows that many, but
/// whoever has them must not print anything.
#[derive(Debug, thiserror::Error)]
#[error("what it prints cannot be searched for them: {why}")]
pub struct Unmaskable {
    why: String,
}

/// The table, and what it was made from.
pub(crate) struct Finder {
    automaton: AhoCorasick,
    /// Sorted, each once: to see what might be the beginning of one.
    pieces: Vec<Box<[u8]>>,
    /// A bit for each pair of bytes with which one begins: most of what is printed begins nothing.
    starts: Vec<u64>,
}

/// Up to so many bytes of patterns a table has a row for each, some 100 to 1000 bytes long, and is searched at the speed
/// of memory; for more, it would be too large.
const MOST_ROWS: usize = 16 << 10;

/// Finds patterns. Looking ahead for their first bytes, as the crate does by itself, is slower than the table: encoded
/// forms begin with letters that every text has.
pub(crate) fn table<P: AsRef<[u8]>>(patterns: &[P]) -> Result<AhoCorasick, Unmaskable> {
    let bytes: usize = patterns.iter().map(|pattern| pattern.as_ref().len()).sum();
    let kind = if bytes <= MOST_ROWS { AhoCorasickKind::DFA } else { AhoCorasickKind::ContiguousNFA };
    let mut builder = AhoCorasick::builder();
    let built = builder.match_kind(MatchKind::Standard).kind(Some(kind)).prefilter(false).build(patterns);
    // What the crate says is about numbers of states and of patterns.
    built.map_err(|error| Unmaskable { why: error.to_string() })
}

fn pair(first: u8, second: u8) -> (usize, u64) {
    let number = usize::from(first) << 8 | usize::from(second);
    (number >> 6, 1 << (number & 63))
}

impl Masker {
    /// For these values.
    ///
    /// # Errors
    /// They cannot be looked for. Nothing of theirs may then be printed.
    pub fn new<'a>(values: impl IntoIterator<Item = &'a SecretValue>) -> Result<Self, Unmaskable> {
        Self::with_table(values, |pieces| table(pieces))
    }

    fn with_table<'a>(
        values: impl IntoIterator<Item = &'a SecretValue>,
        table: impl Fn(&[Box<[u8]>]) -> Result<AhoCorasick, Unmaskable>,
    ) -> Result<Self, Unmaskable> {
        let mut pieces: Vec<Box<[u8]>> = Vec::new();
        for value in values {
            let forms = Forms::all(value);
            pieces.extend(forms.iter().flat_map(|form| form.chunks(PIECE)).map(Box::from));
        }
        // The last piece of a form may be a single byte, which is everywhere; the others say enough.
        pieces.retain(|piece| piece.len() >= crate::value::SHORTEST);
        pieces.sort_unstable();
        pieces.dedup();
        if pieces.is_empty() {
            return Ok(Self::default());
        }
        let mut starts = vec![0; 1 << 10];
        for piece in &pieces {
            let (word, bit) = pair(piece[0], piece[1]);
            starts[word] |= bit;
        }
        let automaton = table(&pieces)?;
        Ok(Self { finder: Some(Finder { automaton, pieces, starts }) })
    }

    /// Whether it changes nothing.
    #[must_use]
    pub const fn is_idle(&self) -> bool {
        self.finder.is_none()
    }

    /// A text with its values masked.
    #[must_use]
    pub fn text(&self, text: &str) -> String {
        if self.is_idle() {
            return text.to_owned();
        }
        let mut masked = Vec::with_capacity(text.len());
        let mut stream = MaskedStream::default();
        stream.feed(self, text.as_bytes(), &mut |bytes| masked.extend_from_slice(bytes));
        stream.finish(self, &mut |bytes| masked.extend_from_slice(bytes));
        // A value that is cut out of a character leaves the rest of it.
        String::from_utf8_lossy(&masked).into_owned()
    }

    pub(crate) const fn finder(&self) -> Option<&Finder> {
        self.finder.as_ref()
    }
}

impl Finder {
    /// Where values are, overlapping ones as well: (start, end).
    pub(crate) fn find<'f>(&'f self, bytes: &'f [u8]) -> impl Iterator<Item = (usize, usize)> + 'f {
        self.automaton.find_overlapping_iter(bytes).map(|found| (found.start(), found.end()))
    }

    /// Where the longest end of `bytes` begins that may be the beginning of a value.
    pub(crate) fn unsure_from(&self, bytes: &[u8]) -> usize {
        let first = bytes.len().saturating_sub(PIECE - 1);
        let may_begin = |start: usize| match bytes[start..] {
            [one, two, ..] => {
                let (word, bit) = pair(one, two);
                self.starts[word] & bit != 0 && self.begins(&bytes[start..])
            }
            _ => self.begins(&bytes[start..]),
        };
        (first..bytes.len()).find(|start| may_begin(*start)).unwrap_or(bytes.len())
    }

    /// Whether something longer begins like this.
    fn begins(&self, bytes: &[u8]) -> bool {
        let at = self.pieces.partition_point(|piece| **piece <= *bytes);
        self.pieces.get(at).is_some_and(|piece| piece.starts_with(bytes))
    }
}

impl fmt::Debug for Masker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Masker").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_table_there_is_no_masker() {
        let value = SecretValue::new(b"hunter22".to_vec()).unwrap();
        let refused = Masker::with_table([&value], |_| Err(Unmaskable { why: "too many".to_owned() }));
        let said = "what it prints cannot be searched for them: too many";
        assert_eq!(refused.map(|masker| masker.is_idle()).unwrap_err().to_string(), said);
        assert!(!Masker::new([&value]).unwrap().is_idle());
        assert!(Masker::new([]).unwrap().is_idle());
    }
}
