//! Text in terminal columns.

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// How many columns `text` takes. It has no control characters.
pub fn columns(text: &str) -> usize {
    text.width()
}

/// The longest start of `text` that fits into `width` columns; what is cut is marked with `mark`.
pub fn fit(text: &str, width: usize, mark: &str) -> String {
    if columns(text) <= width {
        return text.to_owned();
    }
    let room = width.saturating_sub(columns(mark));
    let mut cut = take(text, room).to_owned();
    cut.push_str(take(mark, width));
    cut
}

fn take(text: &str, width: usize) -> &str {
    let mut used = 0;
    for (at, c) in text.char_indices() {
        used += c.width().unwrap_or(0);
        if used > width {
            return &text[..at];
        }
    }
    text
}

/// `text` cut or filled with spaces to exactly `width` columns.
pub fn pad(text: &str, width: usize, mark: &str) -> String {
    let mut text = fit(text, width, mark);
    let missing = width.saturating_sub(columns(&text));
    text.extend(std::iter::repeat_n(' ', missing));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wide_characters_count_twice_and_are_never_halved() {
        assert_eq!(columns("日本"), 4);
        assert_eq!(fit("日本語", 5, "…"), "日本…");
        assert_eq!(fit("日本語", 4, "…"), "日…");
        assert_eq!(pad("日本語", 4, "…"), "日… ");
    }

    #[test]
    fn nothing_is_wider_than_asked() {
        for width in 0..8 {
            assert!(columns(&fit("abcdefghij", width, "...")) <= width, "{width}");
        }
    }
}
