//! Colours and symbols, and whether this terminal wants them.

use std::fmt;

/// How text may be decorated.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Style {
    /// ANSI colours.
    pub color: bool,
    /// Characters beyond ASCII.
    pub unicode: bool,
}

/// What a piece of text means. Meanings are chosen by callers, colours only here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tone {
    /// A heading, a name.
    Strong,
    /// Went well.
    Good,
    /// Went wrong.
    Bad,
    /// Needs attention.
    Warn,
    /// Less important than what stands around it.
    Faint,
    /// In progress.
    Busy,
}

impl Tone {
    const fn code(self) -> &'static str {
        match self {
            Self::Strong => "1",
            Self::Good => "32",
            Self::Bad => "31",
            Self::Warn => "33",
            Self::Faint => "2",
            Self::Busy => "36",
        }
    }
}

/// A piece of text in a tone. Width and fill of the format apply to the text alone.
#[derive(Debug, Clone, Copy)]
pub struct Painted<T> {
    text: T,
    code: Option<&'static str>,
}

impl Style {
    /// No decoration at all: what goes into files and pipes.
    pub const PLAIN: Self = Self { color: false, unicode: false };

    /// `text` in `tone`, where colours are wanted.
    pub fn paint<T: fmt::Display>(self, tone: Tone, text: T) -> Painted<T> {
        Painted { text, code: self.color.then(|| tone.code()) }
    }

    /// Stands before something that went well.
    pub const fn tick(self) -> &'static str {
        if self.unicode { "✓" } else { "+" }
    }

    /// Stands before something that went wrong.
    pub const fn cross(self) -> &'static str {
        if self.unicode { "✗" } else { "x" }
    }

    /// Stands before something in progress.
    pub const fn dot(self) -> &'static str {
        if self.unicode { "●" } else { "*" }
    }

    /// Stands before something that did not happen.
    pub const fn dash(self) -> &'static str {
        if self.unicode { "–" } else { "-" }
    }

    /// Stands between facts on one line.
    pub const fn separator(self) -> &'static str {
        if self.unicode { " · " } else { ", " }
    }

    /// Stands where text was cut.
    pub const fn ellipsis(self) -> &'static str {
        if self.unicode { "…" } else { "..." }
    }
}

impl<T: fmt::Display> fmt::Display for Painted<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(code) = self.code else { return self.text.fmt(f) };
        write!(f, "\x1b[{code}m")?;
        self.text.fmt(f)?;
        f.write_str("\x1b[0m")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_appear_only_where_wanted_and_do_not_disturb_alignment() {
        let colour = Style { color: true, unicode: true };
        assert_eq!(format!("{:<4}|", colour.paint(Tone::Bad, "no")), "\x1b[31mno  \x1b[0m|");
        assert_eq!(format!("{:<4}|", Style::PLAIN.paint(Tone::Bad, "no")), "no  |");
    }
}
