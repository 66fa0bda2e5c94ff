//! Processes that do not outlive the one that started them.

use std::ffi::OsString;

use rustix::process::{Signal, getppid, set_parent_process_death_signal};

/// The hidden first argument; the id of the parent follows, then a command line.
pub(crate) const BOUND: &str = "__bound";

/// Binds this process to its parent where the command line says so, and gives the rest of the line. The kernel ends the
/// process when the parent dies, however it does.
///
/// # Errors
/// The parent is gone already.
pub(crate) fn bind(mut line: Vec<OsString>) -> Result<Vec<OsString>, ()> {
    if line.get(1).is_none_or(|argument| argument != BOUND) {
        return Ok(line);
    }
    let parent: Option<i32> = line.get(2).and_then(|text| text.to_str()?.parse().ok());
    let bound = set_parent_process_death_signal(Some(Signal::KILL));
    // It may have died before the line above.
    if bound.is_err() || parent.is_none() || parent != getppid().map(|living| living.as_raw_nonzero().get()) {
        return Err(());
    }
    line.drain(1..3);
    Ok(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(arguments: &[&str]) -> Vec<OsString> {
        arguments.iter().map(OsString::from).collect()
    }

    #[test]
    fn only_a_living_parent_is_one() {
        assert_eq!(bind(line(&["cullet", "run", BOUND])), Ok(line(&["cullet", "run", BOUND])));
        assert_eq!(bind(line(&["cullet"])), Ok(line(&["cullet"])));
        // Nobody's parent is its own child.
        let own = std::process::id().to_string();
        for wrong in [&own, "", "0", "-1", "x"] {
            assert_eq!(bind(line(&["cullet", BOUND, wrong, "run"])), Err(()), "{wrong}");
        }
        set_parent_process_death_signal(None).unwrap();
    }
}
