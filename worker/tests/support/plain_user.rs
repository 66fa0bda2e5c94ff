//! Runs a test once more as a user without rights, when it was started as root.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::Command;

/// Names the launcher that the plain user may execute; its presence also marks the second run.
pub(crate) const LAUNCHER: &str = "CULLET_TEST_LAUNCHER";

/// The program that tries to leave the sandbox, beside that launcher.
pub(crate) const ESCAPES: &str = "escapes";

/// A user that owns nothing.
const UID: u32 = 54_321;

/// Runs `body`, then, as root, this test again as a plain user.
pub(crate) fn as_both(test: &str, body: fn()) {
    body();
    let second = std::env::var_os(LAUNCHER).is_some();
    if !second && nix::unistd::geteuid().is_root() {
        again(test);
    }
}

fn again(test: &str) {
    let dir = tempfile::tempdir().unwrap();
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let copy = |from: PathBuf, name: &str| {
        let to = dir.path().join(name);
        // Another process has to write it: one that a test forks meanwhile would keep it open for writing until it
        // executes something itself, and a program that is written to cannot be executed.
        assert!(Command::new("cp").args([&from, &to]).status().unwrap().success());
        fs::set_permissions(&to, fs::Permissions::from_mode(0o755)).unwrap();
        to
    };
    let program = copy(std::env::current_exe().unwrap(), "test");
    let launcher = copy(env!("CARGO_BIN_EXE_cullet-launcher").into(), "launcher");
    copy(env!("CARGO_BIN_EXE_cullet-escapes").into(), ESCAPES);
    let mut command = Command::new(program);
    command.args([test, "--exact", "--nocapture"]).env(LAUNCHER, launcher).env("HOME", "/nonexistent");
    command.current_dir("/").uid(UID).gid(UID);
    let output = command.output().unwrap();
    let said =
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "as a plain user: {said}");
    assert!(said.contains("1 passed"), "the test did not run as a plain user: {said}");
}

/// Defines tests that run as the caller and, when that is root, once more as a plain user.
#[macro_export]
macro_rules! both_users {
    ($(fn $name:ident() $body:block)*) => {
        $(
            #[test]
            fn $name() {
                fn body() $body
                $crate::support::plain_user::as_both(stringify!($name), body);
            }
        )*
    };
}
