//! Finds in the file the character that became a given character of a scalar's text.

use crate::diag::Span;

/// Walks the scalar as written and its text side by side: they differ in escapes, doubled quotes, and in white
/// space at line breaks, where the exact place does not matter.
pub(super) fn locate(source: &str, span: Span, quoted: bool, text: &str, offset: usize) -> Span {
    let Some(raw) = from_position(source, span) else { return span };
    let mut at = Walk { raw: skip_properties(raw), span };
    at.span.column += columns(raw, at.raw);
    let quote = at.raw.chars().next().filter(|c| quoted && matches!(c, '"' | '\''));
    if quote.is_some() {
        at.step();
    }
    let mut rest = text.char_indices().peekable();
    while let Some(&(byte, decoded)) = rest.peek() {
        if decoded.is_whitespace() && at.line_break_ahead() {
            while rest.next_if(|(_, c)| c.is_whitespace()).is_some() {}
            at.skip_blank();
            continue;
        }
        if byte >= offset {
            break;
        }
        rest.next();
        at.step_over(quote);
    }
    Span { width: 1, ..at.span }
}

struct Walk<'s> {
    raw: &'s str,
    span: Span,
}

impl Walk<'_> {
    fn step(&mut self) -> Option<char> {
        let mut chars = self.raw.chars();
        let c = chars.next()?;
        self.raw = chars.as_str();
        if c == '\n' {
            self.span.line += 1;
            self.span.column = 1;
        } else {
            self.span.column += 1;
        }
        Some(c)
    }

    /// One character of the text, which may be written with several.
    fn step_over(&mut self, quote: Option<char>) {
        let Some(c) = self.step() else { return };
        let more = match (quote, c) {
            (Some('\''), '\'') => 1,
            (Some('"'), '\\') => match self.step() {
                Some('x') => 2,
                Some('u') => 4,
                Some('U') => 8,
                _ => 0,
            },
            _ => 0,
        };
        for _ in 0..more {
            self.step();
        }
    }

    fn line_break_ahead(&self) -> bool {
        self.raw.chars().take_while(|c| c.is_whitespace()).any(|c| c == '\n')
    }

    fn skip_blank(&mut self) {
        while self.raw.starts_with(char::is_whitespace) {
            self.step();
        }
    }
}

/// The rest of the file from a position on.
fn from_position(source: &str, span: Span) -> Option<&str> {
    let line = source.split_inclusive('\n').nth(span.line as usize - 1)?;
    let start = line.as_ptr() as usize - source.as_ptr() as usize;
    let column = line.char_indices().nth(span.column as usize - 1).map_or(line.len(), |(byte, _)| byte);
    source.get(start + column..)
}

/// A scalar's anchor and tag belong to its span but not to its text.
fn skip_properties(mut raw: &str) -> &str {
    while raw.starts_with(['&', '!']) {
        let end = raw.find(char::is_whitespace).unwrap_or(raw.len());
        raw = raw[end..].trim_start_matches([' ', '\t']);
    }
    raw
}

fn columns(whole: &str, rest: &str) -> u32 {
    whole[..whole.len() - rest.len()].chars().count() as u32
}
