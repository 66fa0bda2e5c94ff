//! What goes to standard error: errors, problems of pipeline files, and, if asked, what Cullet itself does.

use std::error::Error as _;
use std::io::Write as _;
use std::str::FromStr as _;

use tracing_subscriber::Layer as _;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::config::LogFormat;
use crate::error::{CliError, ErrorKind};
use crate::ui::{Style, Tone};

/// Sends Cullet's own diagnostics to standard error, if `filter` (`CULLET_LOG`) asks for some: a level such as
/// `debug`, or `TARGET=LEVEL` with commas between them.
///
/// # Errors
/// The filter makes no sense.
pub fn start(filter: Option<&str>, format: LogFormat) -> Result<(), CliError> {
    let Some(filter) = filter else { return Ok(()) };
    let filter = Targets::from_str(filter).map_err(|error| {
        CliError::usage("CULLET_LOG is not a filter")
            .because(error)
            .hint("write a level (error, warn, info, debug, trace) or TARGET=LEVEL, with commas between them")
    })?;
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_ansi(false);
    let lines = match format {
        LogFormat::Text => lines.boxed(),
        LogFormat::Json => lines.json().flatten_event(true).with_current_span(false).boxed(),
    };
    // A second call, in a test, finds the first one in force.
    let _ = tracing_subscriber::registry().with(filter).with(lines).try_init();
    Ok(())
}

/// Writes text to standard error. Where that is gone, there is nobody to tell.
pub fn report(text: &str) {
    let _ = std::io::stderr().lock().write_all(text.as_bytes());
}

/// Writes an error with its causes and hints to standard error.
pub fn error(error: &CliError, style: Style) {
    if error.kind() != ErrorKind::Unread {
        report(&render(error, style));
    }
}

fn render(error: &CliError, style: Style) -> String {
    let mut text = format!("{}: {error}", style.paint(Tone::Bad, "error"));
    let mut said = error.to_string();
    let mut cause = error.source();
    while let Some(source) = cause {
        let message = source.to_string();
        // Some errors repeat their cause.
        if !said.contains(&message) {
            text.push_str(": ");
            text.push_str(&message);
        }
        said = message;
        cause = source.source();
    }
    text.push('\n');
    for hint in error.hints() {
        text.push_str(&format!("{}: {hint}\n", style.paint(Tone::Busy, "hint")));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_one_line_with_its_causes_and_a_line_for_each_hint() {
        let cause = std::io::Error::other("disk on fire");
        let error = CliError::infra("cannot read x").because(cause).hint("call somebody");
        let expected = "error: cannot read x: disk on fire\nhint: call somebody\n";
        assert_eq!(render(&error, Style::PLAIN), expected);
    }
}
