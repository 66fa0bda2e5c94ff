//! The binary, run as people run it.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "these are tests, helpers included")]

mod docs;
mod exit_codes;
mod help;
mod live;
mod lock;
mod login;
mod logs;
mod past_runs;
mod why;
mod worker;

use std::path::Path;
use std::process::{Command, Output};

/// `cullet` with an environment of its own and a cache in `home`.
fn cullet(home: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cullet"));
    command.env_clear().env("HOME", home).env("PATH", "/usr/bin:/bin").env("TERM", "xterm").args(args);
    command.current_dir(home);
    command
}

fn run(home: &Path, args: &[&str]) -> Output {
    cullet(home, args).output().expect("cullet starts")
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).expect("UTF-8 on standard output")
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).expect("UTF-8 on standard error")
}
