//! Bytes of unknown origin on their way to a terminal.

use std::io::{self, Write};

use super::clean::Cleaner;
use super::style::Style;

/// Passes on text and, where wanted, its colours, and nothing else. Bytes that are not UTF-8 are replaced.
pub struct SafeWriter<'a> {
    out: &'a mut dyn Write,
    cleaner: Cleaner,
    /// The beginning of a character whose rest has not come yet; at most three bytes.
    begun: Vec<u8>,
    coloured: bool,
}

impl<'a> SafeWriter<'a> {
    /// Writes to `out`.
    pub fn new(out: &'a mut dyn Write, style: Style) -> Self {
        let cleaner = if style.color { Cleaner::keeping_colours() } else { Cleaner::default() };
        Self { out, cleaner, begun: Vec::new(), coloured: style.color }
    }

    /// Ends the text: half a character is replaced, and no colour outlives it.
    pub fn finish(mut self) -> io::Result<()> {
        if !self.begun.is_empty() {
            self.out.write_all("\u{fffd}".as_bytes())?;
            self.begun.clear();
        }
        if self.coloured { self.out.write_all(b"\x1b[0m") } else { Ok(()) }
    }
}

impl Write for SafeWriter<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut all = std::mem::take(&mut self.begun);
        all.extend_from_slice(bytes);
        let mut clean = String::with_capacity(all.len());
        for piece in all.utf8_chunks() {
            self.cleaner.clean(piece.valid(), &mut clean);
            let rest = piece.invalid();
            // Invalid at the very end and short: it may be the beginning of a character.
            let at_end = !rest.is_empty() && all.as_ptr_range().end == rest.as_ptr_range().end;
            if at_end && std::str::from_utf8(rest).is_err_and(|error| error.error_len().is_none()) {
                self.begun = rest.to_vec();
            } else if !rest.is_empty() {
                clean.push('\u{fffd}');
            }
        }
        self.out.write_all(clean.as_bytes())?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn characters_cut_anywhere_arrive_whole() {
        let text = "a日本é\u{1f600}".as_bytes();
        for cut in 0..=text.len() {
            let mut out = Vec::new();
            let mut safe = SafeWriter::new(&mut out, Style::PLAIN);
            safe.write_all(&text[..cut]).unwrap();
            safe.write_all(&text[cut..]).unwrap();
            safe.finish().unwrap();
            assert_eq!(out, text, "cut at {cut}");
        }
    }

    #[test]
    fn what_is_no_text_is_replaced_and_escapes_are_dropped() {
        let mut out = Vec::new();
        let mut safe = SafeWriter::new(&mut out, Style { color: true, unicode: true });
        safe.write_all(b"a\xffb\x1b[31mc\x1b[2J\xe6\x97").unwrap();
        safe.finish().unwrap();
        assert_eq!(String::from_utf8(out).unwrap(), "a\u{fffd}b\x1b[31mc\u{fffd}\x1b[0m");
    }
}
