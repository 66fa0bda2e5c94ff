//! Finds values in all their forms.

use std::fmt;

use crate::forms::Forms;
use crate::stream::MaskedStream;
use crate::table::{Patterns, Table, Unmaskable};
use crate::value::{SHORTEST, SecretValue};
use crate::wrapped::{self, LOOK_BACK, Unwrapping, is_digit};

/// What stands in the place of a value.
pub(crate) const MASK: &[u8] = b"***";

/// Long forms are looked for in pieces: what may be the beginning of one is held back, and nobody should wait long for
/// what a step prints.
pub(crate) const PIECE: usize = 1024;

/// The shortest piece of a form that has several. A few bytes are everywhere.
const SHORTEST_PIECE: usize = 32;

/// Replaces values by `***`, in whatever form they are. Without values it changes nothing.
#[derive(Default)]
pub struct Masker {
    finder: Option<Finder>,
}

/// The table, and what it was made from.
pub(crate) struct Finder {
    table: Table,
    plain: Pieces,
    wrapped: Pieces,
}

/// Sorted, each once: to see what might be the beginning of one.
struct Pieces {
    sorted: Vec<Box<[u8]>>,
    /// A bit for each pair of bytes with which one begins: most of what is printed begins nothing.
    starts: Vec<u64>,
}

impl Masker {
    /// For these values.
    ///
    /// # Errors
    /// They cannot be looked for. Nothing of theirs may then be printed.
    pub fn new<'a>(values: impl IntoIterator<Item = &'a SecretValue>) -> Result<Self, Unmaskable> {
        let mut patterns = Patterns::default();
        for value in values {
            let forms = Forms::all(value);
            patterns.plain.extend(forms.plain().flat_map(|form| pieces(form, PIECE)));
            patterns.wrapped.extend(forms.wrapped().flat_map(|form| pieces(form, wrapped::PIECE)));
        }
        if patterns.plain.is_empty() && patterns.wrapped.is_empty() {
            return Ok(Self::default());
        }
        for pieces in [&mut patterns.plain, &mut patterns.wrapped] {
            pieces.sort_unstable();
            pieces.dedup();
        }
        let table = Table::new(&patterns)?;
        let Patterns { plain, wrapped } = patterns;
        Ok(Self { finder: Some(Finder { table, plain: Pieces::new(plain), wrapped: Pieces::new(wrapped) }) })
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
        // A value that is cut out of a character leaves the rest of it.
        String::from_utf8_lossy(&self.bytes(text.as_bytes())).into_owned()
    }

    /// The same for anything.
    #[must_use]
    pub fn bytes(&self, bytes: &[u8]) -> Vec<u8> {
        let (mut masked, mut stream) = (Vec::with_capacity(bytes.len()), MaskedStream::default());
        stream.feed(self, bytes, &mut |bytes| masked.extend_from_slice(bytes));
        stream.finish(self, &mut |bytes| masked.extend_from_slice(bytes));
        masked
    }

    pub(crate) const fn finder(&self) -> Option<&Finder> {
        self.finder.as_ref()
    }
}

/// The pieces of a form. The last one reaches into the one before where it would say too little by itself.
fn pieces(form: &[u8], most: usize) -> impl Iterator<Item = Box<[u8]>> {
    form.chunks(most).enumerate().map(move |(number, piece)| {
        let short = number > 0 && piece.len() < SHORTEST_PIECE;
        Box::from(if short { &form[form.len() - SHORTEST_PIECE..] } else { piece })
    })
}

impl Finder {
    /// Where values are, overlapping ones as well: (start, end). `before` is what came before.
    pub(crate) fn find(&self, before: Unwrapping, bytes: &[u8]) -> Vec<(usize, usize)> {
        let mut found = Vec::new();
        self.table.read(&mut self.table.start(before), bytes, |one| {
            found.push((one.start(bytes), one.end));
            false
        });
        found
    }

    /// Where the longest end of `bytes` begins that may be the beginning of a value, with at least `shortest` bytes of it.
    pub(crate) fn unsure_from(&self, before: Unwrapping, bytes: &[u8], shortest: usize) -> usize {
        let first = bytes.len().saturating_sub(PIECE - 1);
        let starts = |from: usize, end: usize| from..(end + 1).saturating_sub(shortest);
        let plain = starts(first, bytes.len()).find(|start| self.plain.may_begin(&bytes[*start..]));
        let (text, places) = unwrapped(before, bytes, first);
        let wrapped = starts(0, text.len()).find(|start| self.wrapped.may_begin(&text[*start..]));
        let wrapped = wrapped.and_then(|start| places.get(start).copied());
        plain.unwrap_or(bytes.len()).min(wrapped.unwrap_or(bytes.len()))
    }
}

/// What comes before `end` in a text that goes on.
pub(crate) fn passed(before: Unwrapping, bytes: &[u8], end: usize) -> Unwrapping {
    let from = end.saturating_sub(LOOK_BACK);
    let mut here = if from == 0 { before } else { Unwrapping::default() };
    for byte in &bytes[from..end] {
        here.skips(*byte);
    }
    here
}

/// The characters of an encoding at the end of `bytes` without the breaks between them, and where each of them is; not
/// before `first`.
fn unwrapped(before: Unwrapping, bytes: &[u8], first: usize) -> (Vec<u8>, Vec<usize>) {
    let mut here = passed(before, bytes, first);
    let (mut text, mut places) = (Vec::new(), Vec::new());
    for (at, byte) in bytes.iter().enumerate().skip(first) {
        if here.skips(*byte) {
            continue;
        }
        if is_digit(*byte) {
            text.push(*byte);
            places.push(at);
        } else {
            text.clear();
            places.clear();
        }
    }
    (text, places)
}

impl Pieces {
    fn new(sorted: Vec<Box<[u8]>>) -> Self {
        let mut starts = vec![0; 1 << 10];
        for piece in &sorted {
            if let [one, two, ..] = **piece {
                let (word, bit) = pair(one, two);
                starts[word] |= bit;
            }
        }
        Self { sorted, starts }
    }

    /// Whether something longer begins like this.
    fn may_begin(&self, bytes: &[u8]) -> bool {
        if let [one, two, ..] = bytes {
            let (word, bit) = pair(*one, *two);
            if self.starts[word] & bit == 0 {
                return false;
            }
        }
        let at = self.sorted.partition_point(|piece| **piece <= *bytes);
        self.sorted.get(at).is_some_and(|piece| piece.starts_with(bytes))
    }
}

fn pair(first: u8, second: u8) -> (usize, u64) {
    let number = usize::from(first) << 8 | usize::from(second);
    (number >> 6, 1 << (number & 63))
}

impl fmt::Debug for Masker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Masker").finish_non_exhaustive()
    }
}

const _: () = assert!(SHORTEST <= SHORTEST_PIECE && SHORTEST_PIECE <= wrapped::PIECE, "pieces say enough");
