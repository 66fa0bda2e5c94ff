//! What kind of terminal this is, and so how progress is shown.

use std::io::IsTerminal as _;

use super::style::Style;
use crate::config::{Color, Progress};

/// What is known about where the output goes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Terminal {
    /// Standard output is a terminal.
    pub stdout: bool,
    /// Standard error is a terminal.
    pub stderr: bool,
    /// The terminal cannot move its cursor (`TERM=dumb`).
    pub dumb: bool,
    /// A CI system runs this; whoever reads will read a file.
    pub ci: bool,
    /// `NO_COLOR` is set (<https://no-color.org>).
    pub no_color: bool,
    /// `CLICOLOR_FORCE` is set (<https://bixense.com/clicolors/>).
    pub force_color: bool,
    /// The locale's characters are UTF-8.
    pub utf8: bool,
}

/// One of the ways to show progress.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Redrawn in place.
    Tty,
    /// Lines.
    Plain,
    /// JSON lines.
    Json,
}

impl Terminal {
    /// Looks at the process's own outputs; `variable` reads its environment.
    pub fn detect(variable: &dyn Fn(&str) -> Option<String>) -> Self {
        let set = |name: &str| variable(name).is_some_and(|value| !value.is_empty());
        let truthy = |name: &str| variable(name).is_some_and(|v| !matches!(v.as_str(), "" | "0" | "false"));
        let locale = ["LC_ALL", "LC_CTYPE", "LANG"].into_iter().find(|name| set(name)).and_then(variable);
        let locale = locale.unwrap_or_default().to_ascii_lowercase();
        Self {
            stdout: std::io::stdout().is_terminal(),
            stderr: std::io::stderr().is_terminal(),
            dumb: variable("TERM").is_none_or(|term| term == "dumb" || term.is_empty()),
            ci: truthy("CI"),
            no_color: set("NO_COLOR"),
            force_color: truthy("CLICOLOR_FORCE"),
            utf8: locale.contains("utf-8") || locale.contains("utf8"),
        }
    }

    /// How text on standard output is decorated.
    pub fn stdout_style(self, color: Color) -> Style {
        self.style(color, self.stdout)
    }

    /// How text on standard error is decorated.
    pub fn stderr_style(self, color: Color) -> Style {
        self.style(color, self.stderr)
    }

    fn style(self, color: Color, terminal: bool) -> Style {
        let color = match color {
            Color::Always => true,
            Color::Never => false,
            Color::Auto => !self.no_color && (self.force_color || terminal && !self.dumb),
        };
        Style { color, unicode: self.utf8 }
    }

    /// How progress is shown.
    pub fn mode(self, progress: Progress) -> Mode {
        match progress {
            Progress::Tty => Mode::Tty,
            Progress::Plain => Mode::Plain,
            Progress::Json => Mode::Json,
            Progress::Auto if self.stdout && !self.dumb && !self.ci => Mode::Tty,
            Progress::Auto => Mode::Plain,
        }
    }
}

/// Columns and rows of the terminal; the traditional size where there is none to ask.
pub fn size() -> (usize, usize) {
    let size = terminal_size::terminal_size_of(std::io::stdout());
    size.map_or((80, 24), |(columns, rows)| (columns.0.into(), rows.0.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PERSON: Terminal = Terminal {
        stdout: true,
        stderr: true,
        dumb: false,
        ci: false,
        no_color: false,
        force_color: false,
        utf8: true,
    };

    #[test]
    fn progress_is_live_only_where_somebody_watches_a_capable_terminal() {
        assert_eq!(PERSON.mode(Progress::Auto), Mode::Tty);
        for other in [
            Terminal { stdout: false, ..PERSON },
            Terminal { dumb: true, ..PERSON },
            Terminal { ci: true, ..PERSON },
        ] {
            assert_eq!(other.mode(Progress::Auto), Mode::Plain);
            assert_eq!(other.mode(Progress::Json), Mode::Json);
        }
    }

    #[test]
    fn colours_follow_the_conventions() {
        let colored = |terminal: Terminal, color| terminal.stdout_style(color).color;
        assert!(colored(PERSON, Color::Auto));
        assert!(!colored(Terminal { no_color: true, force_color: true, ..PERSON }, Color::Auto));
        assert!(colored(Terminal { no_color: true, ..PERSON }, Color::Always));
        let pipe = Terminal { stdout: false, ..PERSON };
        assert!(!colored(pipe, Color::Auto));
        assert!(colored(Terminal { force_color: true, ..pipe }, Color::Auto));
        assert!(!colored(PERSON, Color::Never));
    }

    #[test]
    fn the_environment_is_read_as_people_set_it() {
        let detect = |pairs: &'static [(&str, &str)]| {
            Terminal::detect(&move |name| {
                pairs.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
            })
        };
        let terminal = detect(&[("TERM", "xterm"), ("LANG", "C.UTF-8"), ("CI", "false"), ("NO_COLOR", "")]);
        assert!(!terminal.dumb && terminal.utf8 && !terminal.ci && !terminal.no_color);
        let terminal = detect(&[("LC_ALL", "C"), ("LANG", "C.UTF-8"), ("CI", "true"), ("NO_COLOR", "1")]);
        assert!(terminal.dumb && !terminal.utf8 && terminal.ci && terminal.no_color);
    }
}
