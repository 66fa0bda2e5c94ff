//! Why the glass is broken. Nobody breaks it without saying so.

use std::io::{self, BufRead as _, IsTerminal as _, Read as _};

use crate::diagnostics;
use crate::error::CliError;

/// Enough for a story, and what a person still reads.
const MOST: usize = 1000;

/// What was given, or else what a person at the terminal answers.
///
/// # Errors
/// There is none, or none that can be written down.
pub(crate) fn reason(flag: Option<&str>, variable: Option<&str>) -> Result<String, CliError> {
    let missing = || {
        CliError::usage("a break-glass run needs a reason").hint(
            "say why with --reason 'the cluster does not answer, and release 1.2 must go out' or \
             CULLET_BREAK_GLASS_REASON",
        )
    };
    let given = match flag.or(variable) {
        Some(given) => given.to_owned(),
        None if io::stdin().is_terminal() && io::stderr().is_terminal() => ask()?,
        None => return Err(missing()),
    };
    match checked(&given) {
        Ok(reason) => Ok(reason.to_owned()),
        Err("") => Err(missing()),
        Err(why) => Err(CliError::usage(format!("the reason {why}"))),
    }
}

/// The reason, or what is wrong with it: nothing, where there is none.
fn checked(text: &str) -> Result<&str, &'static str> {
    let text = text.trim();
    match text.chars().count() {
        0 => Err(""),
        1..=MOST if text.chars().any(char::is_control) => {
            Err("has control characters: write one line of text")
        }
        1..=MOST => Ok(text),
        _ => Err("is longer than 1,000 characters"),
    }
}

fn ask() -> Result<String, CliError> {
    diagnostics::report("This run goes into the journal of break-glass runs. Why? ");
    let mut answer = String::new();
    // Four bytes for each character, and the end of the line; what is more is refused as too long.
    let read = io::stdin().lock().take(4 * MOST as u64 + 2).read_line(&mut answer);
    read.map_err(|error| CliError::usage("the answer cannot be read").because(error))?;
    Ok(answer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_is_a_line_of_text() {
        assert_eq!(reason(Some(" down "), None).unwrap(), "down");
        assert_eq!(reason(None, Some("of the environment")).unwrap(), "of the environment");
        assert_eq!(reason(Some("flag"), Some("environment")).unwrap(), "flag");
        assert!(reason(Some(&"\u{e4}".repeat(1000)), None).is_ok());
        for (wrong, why) in [
            ("", "needs a reason"),
            ("  ", "needs a reason"),
            ("a\nb", "control characters"),
            ("a\u{1b}[31mb", "control characters"),
            (&"x".repeat(1001), "longer than 1,000"),
        ] {
            let error = reason(Some(wrong), None).unwrap_err();
            assert!(error.to_string().contains(why), "{wrong:?}: {error}");
            assert_eq!(error.status().code(), 2);
        }
    }
}
