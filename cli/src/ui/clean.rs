//! Makes text from processes and files safe to show: no escape sequence of theirs reaches the terminal.

/// Where in an escape sequence a stream is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum State {
    #[default]
    Text,
    /// After ESC.
    Escape,
    /// After ESC and an intermediate byte, as in `ESC ( B`.
    Intermediate,
    /// In a control sequence, `ESC [`.
    Control,
    /// In a string that ends with BEL or ST: OSC, DCS, PM, APC, SOS.
    Ignored,
    /// After ESC in such a string.
    IgnoredEscape,
}

/// The longest control sequence kept in order to pass it on; real colours need about 20 bytes.
const SEQUENCE: usize = 64;

/// Cleans a stream piece by piece. Newlines and tabs pass, other control characters do not.
#[derive(Debug, Default)]
pub struct Cleaner {
    state: State,
    /// The control sequence so far, if colours are kept.
    sequence: String,
    keep_colours: bool,
}

impl Cleaner {
    /// A cleaner that lets colours (SGR sequences) through and nothing else.
    pub fn keeping_colours() -> Self {
        Self { keep_colours: true, ..Self::default() }
    }

    /// Appends what is safe of `text` to `out`.
    pub fn clean(&mut self, text: &str, out: &mut String) {
        for c in text.chars() {
            self.char(c, out);
        }
    }

    fn char(&mut self, c: char, out: &mut String) {
        self.state = match (self.state, c) {
            (State::Ignored, '\x07' | '\u{9c}') => State::Text,
            (State::Ignored, '\x1b') => State::IgnoredEscape,
            (State::Ignored, '\n') => self.text(c, out),
            (State::Ignored, _) => State::Ignored,
            (State::IgnoredEscape, '\\') => State::Text,
            (_, '\x1b') => State::Escape,
            (State::Escape | State::IgnoredEscape, '[') | (State::Text, '\u{9b}') => self.begin(),
            (State::Escape | State::IgnoredEscape, ']' | 'P' | 'X' | '^' | '_') => State::Ignored,
            (State::Text, '\u{90}' | '\u{98}' | '\u{9d}'..='\u{9f}') => State::Ignored,
            (State::Escape | State::Intermediate, ' '..='/') => State::Intermediate,
            (State::Escape | State::Intermediate | State::IgnoredEscape, '0'..='~') => State::Text,
            (State::Control, ' '..='?') => self.parameter(c),
            (State::Control, '@'..='~') => self.end(c, out),
            _ => self.text(c, out),
        };
    }

    fn text(&self, c: char, out: &mut String) -> State {
        if matches!(c, '\n' | '\t') || !(c.is_control() || is_invisible(c)) {
            out.push(c);
        }
        State::Text
    }

    fn begin(&mut self) -> State {
        self.sequence.clear();
        State::Control
    }

    fn parameter(&mut self, c: char) -> State {
        if self.keep_colours && self.sequence.len() < SEQUENCE {
            self.sequence.push(c);
        }
        State::Control
    }

    fn end(&mut self, c: char, out: &mut String) -> State {
        let harmless = self.sequence.bytes().all(|b| matches!(b, b'0'..=b'9' | b';' | b':'));
        if self.keep_colours && c == 'm' && harmless && self.sequence.len() < SEQUENCE {
            out.push_str("\x1b[");
            out.push_str(&self.sequence);
            out.push('m');
        }
        State::Text
    }
}

/// Characters that reorder or hide what stands around them.
const fn is_invisible(c: char) -> bool {
    matches!(c, '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

/// Of a line that was redrawn with carriage returns, what it looked like last.
pub fn last_version(text: &str) -> &str {
    let text = text.trim_end_matches(['\r', '\n']);
    text.rsplit('\r').find(|part| !part.is_empty()).unwrap_or_default()
}

/// One line, as a terminal would leave it: escapes gone, only the last version of it, tabs as spaces.
pub fn line(text: &str) -> String {
    let last = last_version(text);
    let mut clean = String::with_capacity(last.len());
    Cleaner::default().clean(last, &mut clean);
    if clean.contains(['\t', '\n']) { clean.replace('\t', "    ").replace('\n', " ") } else { clean }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_of_every_kind_vanish() {
        assert_eq!(line("a\x1b[31mb\x1b[0mc"), "abc");
        assert_eq!(line("a\x1b]0;title\x07b\x1b]8;;http://x\x1b\\c"), "abc");
        assert_eq!(line("a\x1b(Bb\x1bMc\u{9b}2Jd"), "abcd");
        assert_eq!(line("a\x08\x00b\u{202e}c"), "abc");
        assert_eq!(line("a\x1bP1;2qdata\x1b\\b"), "ab");
    }

    #[test]
    fn a_progress_bar_shows_its_last_version() {
        assert_eq!(line("10%\r50%\r100%\r\n"), "100%");
    }

    #[test]
    fn sequences_cut_anywhere_are_recognised() {
        let text = "a\x1b[1;31mred\x1b[0m\x1b[2J\x1b]52;c;YQ==\x07z";
        for cut in 0..text.len() {
            let mut cleaner = Cleaner::keeping_colours();
            let mut out = String::new();
            cleaner.clean(&text[..cut], &mut out);
            cleaner.clean(&text[cut..], &mut out);
            assert_eq!(out, "a\x1b[1;31mred\x1b[0mz", "cut at {cut}");
        }
    }

    #[test]
    fn an_unfinished_string_does_not_swallow_the_next_line() {
        let mut out = String::new();
        Cleaner::default().clean("a\x1b]never ends\nb", &mut out);
        assert_eq!(out, "a\nb");
    }
}
