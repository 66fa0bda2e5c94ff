//! Programs that others wrote, as clients of a cluster, configured as docs/clients says.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests fail by panicking")]

mod bazel;
mod compilers;
mod cpp;
mod execution;
mod http;

use std::process::Command;

/// Whether this machine has a program; says what is left out where it does not.
#[expect(clippy::print_stderr, reason = "somebody should know that a test did nothing")]
fn has(program: &str) -> bool {
    let found = Command::new("which").arg(program).output().is_ok_and(|output| output.status.success());
    if !found {
        eprintln!("left out: {program} is not on this machine");
        assert!(std::env::var_os("CI").is_none(), "CI has {program}");
    }
    found
}

/// The configuration in a guide: the blocks of this language, with this coordinator in place of the one that is named there.
fn configuration(guide: &str, language: &str, address: &str) -> Vec<String> {
    let guide = cullet_tests::repository_root().join("docs/clients").join(guide);
    let text = std::fs::read_to_string(guide).unwrap();
    let fence = format!("```{language}\n");
    let blocks = text.split(&fence).skip(1).map(|block| block.split("```").next().unwrap());
    blocks.map(|block| block.replace("coordinator:7400", address)).collect()
}
