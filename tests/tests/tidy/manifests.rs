//! Every crate takes the workspace's lints, and the workspace denies what the other rules count on.

use super::repository::SourceFile;
use super::violation::Violation;

/// Lints that must be denied in the root manifest: the tidy test leaves to clippy what clippy does better.
const DENIED: &[&str] = &[
    "await_holding_lock",
    "dbg_macro",
    "expect_used",
    "todo",
    "undocumented_unsafe_blocks",
    "unimplemented",
    "unwrap_used",
];

/// Manifests that go their own way.
pub(crate) fn check(file: &SourceFile) -> Vec<Violation> {
    if file.path == "Cargo.toml" {
        let denied = |lint: &&&str| file.text.lines().any(|line| line == format!("{lint} = \"deny\""));
        let missing = DENIED.iter().filter(|lint| !denied(lint));
        return missing.map(|lint| Violation::of(&file.path, format!("must deny `{lint}`"))).collect();
    }
    if file.text.contains("[lints]\nworkspace = true") {
        return Vec::new();
    }
    vec![Violation::of(&file.path, "lacks `[lints] workspace = true`")]
}

#[test]
fn a_crate_without_the_lints_is_found() {
    let count = |path, text| check(&SourceFile::planted(path, text)).len();
    assert_eq!(count("a/Cargo.toml", "[package]\nname = \"a\"\n"), 1);
    assert_eq!(count("a/Cargo.toml", "[lints]\nworkspace = true\n"), 0);
    assert_eq!(count("Cargo.toml", "[workspace.lints.clippy]\ntodo = \"warn\"\n"), DENIED.len());
}
