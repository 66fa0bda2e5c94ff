//! Readers that go away, and outputs that are closed or full.

use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};

use cullet_tests::User;

use super::support::{PATIENCE, expect, expect_right_cache, fan, start};

#[test]
fn a_reader_that_goes_away_does_not_stop_the_run() {
    for progress in ["json", "plain", "tty"] {
        let (user, checkout) = (User::new(), fan("NO-READER"));
        let mut run = start(&user, &checkout, &["run", "--progress", progress]);
        let mut line = Vec::new();
        BufReader::new(run.child().stdout.take().unwrap()).read_until(b'\n', &mut line).unwrap();
        let begun = std::time::Instant::now();
        let status = run.child().wait().unwrap();
        assert!(begun.elapsed() < PATIENCE);
        assert_eq!(status.code(), Some(0), "{progress}");
        assert_eq!(user.run(&checkout).executed(), [""; 0], "{progress}");
        expect_right_cache(&user, &checkout);
    }
}

#[test]
fn closed_descriptors_are_nobodys_files() {
    let (user, checkout) = (User::new(), fan("CLOSED-OUTPUT"));
    for (closed, code) in [("<&- >&- 2>&-", 0), (">&-", 0), ("2>&-", 0), ("--progress json >&-", 0)] {
        let script = format!("exec \"$1\" run --no-cache {closed}");
        let mut command = Command::new("sh");
        command.args(["-c", &script, "sh"]).arg(cullet_tests::cullet_binary());
        command.env("CULLET_CACHE_DIR", user.cache()).current_dir(checkout.path());
        let status = command.stdout(Stdio::null()).status().unwrap();
        assert_eq!(status.code(), Some(code), "{closed}");
        // Had a file taken the place of a closed descriptor, something would have been printed into it.
        expect_right_cache(&user, &checkout);
        assert_eq!(user.run(&checkout).executed(), [""; 0], "{closed}");
    }
}

#[test]
fn a_full_output_is_said_by_commands_that_only_print() {
    let (user, checkout) = (User::new(), fan("FULL-OUTPUT"));
    user.run(&checkout).assert_success();
    for arguments in [&["runs"][..], &["status"], &["cache", "stats"], &["graph"], &["schema"]] {
        let mut command = user.command(checkout.path(), arguments.iter().copied());
        let full = File::options().write(true).open("/dev/full").unwrap();
        let output = command.stdout(full).stderr(Stdio::piped()).output().unwrap();
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(3), "{arguments:?}: {text}");
        assert!(text.contains("cannot write to standard output"), "{text}");
    }
    let full = File::options().write(true).open("/dev/full").unwrap();
    let run = user.command(checkout.path(), ["run", "--progress", "json"]).stdout(full).output().unwrap();
    expect(&run, 0, &["standard output cannot be written"]);
    for arguments in [&["runs"][..], &["status"], &["graph"], &["schema"]] {
        let mut command = user.command(checkout.path(), arguments.iter().copied());
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        drop(child.stdout.take());
        let output = child.wait_with_output().unwrap();
        assert_eq!((output.status.code(), output.stderr.len()), (Some(0), 0), "{arguments:?}");
    }
}
