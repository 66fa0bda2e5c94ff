//! The last lines that a step printed.

use std::collections::VecDeque;

use crate::ui::clean;

/// Lines kept for each step. What a compiler or a test runner says about a failure fits; all of it is in
/// `cullet logs`.
const LINES: usize = 200;

/// Bytes kept of each line: more than the widest terminal shows. With [`LINES`] this bounds a step to 400 KiB.
const LINE_BYTES: usize = 2048;

/// The end of a log.
#[derive(Debug, Clone, Default)]
pub struct Tail {
    lines: VecDeque<String>,
    dropped: u64,
}

impl Tail {
    /// Adds a line as the process printed it. Called for every line of every step, so it is made safe only
    /// when it is shown, and the buffer of the line that goes serves the one that comes.
    pub fn push(&mut self, text: &str) {
        let text = clean::last_version(text);
        let mut end = text.len().min(LINE_BYTES);
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        let mut line = String::new();
        if self.lines.len() == LINES {
            line = self.lines.pop_front().unwrap_or_default();
            line.clear();
            self.dropped += 1;
        }
        line.push_str(&text[..end]);
        self.lines.push_back(line);
    }

    /// Whether nothing was printed.
    pub fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    /// How many lines came before those that are kept.
    pub fn dropped(&self) -> u64 {
        self.dropped
    }

    /// All lines kept, safe to show.
    pub fn lines(&self) -> impl DoubleEndedIterator<Item = String> {
        self.lines.iter().map(|line| clean::line(line))
    }

    /// At most `count` lines from the end, blank ones left out.
    pub fn last(&self, count: usize) -> Vec<String> {
        let mut lines: Vec<String> =
            self.lines().rev().filter(|line| !line.trim().is_empty()).take(count).collect();
        lines.reverse();
        lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_end_is_kept_and_what_is_gone_is_counted() {
        let mut tail = Tail::default();
        for line in 0..250 {
            tail.push(&line.to_string());
        }
        assert_eq!(tail.dropped(), 50);
        assert_eq!(tail.lines().next().as_deref(), Some("50"));
        assert_eq!(tail.last(2), ["248", "249"]);
    }

    #[test]
    fn a_line_without_end_is_cut_at_a_character() {
        let mut tail = Tail::default();
        tail.push(&"é".repeat(1_000_000).replacen('é', "a", 1));
        assert_eq!(tail.lines().next().map(|line| line.len()), Some(LINE_BYTES - 1));
    }

    #[test]
    fn blank_lines_do_not_take_the_place_of_news() {
        let mut tail = Tail::default();
        for line in ["news", "", "  "] {
            tail.push(line);
        }
        assert_eq!(tail.last(3), ["news"]);
    }
}
