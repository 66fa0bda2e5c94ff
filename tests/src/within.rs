//! Commands that other programs start.

use std::process::{Command, Stdio};

/// `program` with `arguments`, and behind these the words of `command`: in its directory, and with only those variables that
/// were given to it (`User::command` gives it all that it has).
pub fn within<'a>(program: &str, arguments: impl IntoIterator<Item = &'a str>, command: &Command) -> Command {
    let mut outer = Command::new(program);
    outer.args(arguments).arg(command.get_program()).args(command.get_args());
    outer.env_clear().envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    if let Some(dir) = command.get_current_dir() {
        outer.current_dir(dir);
    }
    outer.stdin(Stdio::null());
    outer
}
