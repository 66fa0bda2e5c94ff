//! Files stay short: a long one holds a second type or topic.

use super::repository::SourceFile;
use super::violation::Violation;

/// No file is longer, without exception.
const HARD_LIMIT: usize = 800;
/// A longer one needs a reason in [`LONG_FILES`].
const SOFT_LIMIT: usize = 350;

/// Files beyond the soft limit, each with the reason it may stay whole.
const LONG_FILES: &[(&str, &str)] = &[];

/// Rust files that are too long, and reasons that are not needed any more.
pub(crate) fn check(files: &[SourceFile]) -> Vec<Violation> {
    check_against(files, LONG_FILES)
}

fn check_against(files: &[SourceFile], reasons: &[(&str, &str)]) -> Vec<Violation> {
    let mut violations = Vec::new();
    for file in files.iter().filter(|file| file.has_extension("rs")) {
        let lines = file.text.lines().count();
        let excused = reasons.iter().any(|(path, _)| *path == file.path);
        if lines > HARD_LIMIT {
            violations
                .push(Violation::of(&file.path, format!("{lines} lines; no file may exceed {HARD_LIMIT}")));
        } else if lines > SOFT_LIMIT && !excused {
            let message =
                format!("{lines} lines: split it, or write down why it is one piece (tidy/length.rs)");
            violations.push(Violation::of(&file.path, message));
        } else if lines <= SOFT_LIMIT && excused {
            violations
                .push(Violation::of(&file.path, "no longer long: take it off the list in tidy/length.rs"));
        }
    }
    violations
}

#[test]
fn long_files_are_found() {
    let file = |lines: usize| SourceFile::planted("a/src/b.rs", &"//\n".repeat(lines));
    let reasons = [("a/src/b.rs", "one table")];
    assert_eq!(check_against(&[file(350)], &[]), []);
    assert_eq!(check_against(&[file(351)], &[]).len(), 1);
    assert_eq!(check_against(&[file(351)], &reasons), []);
    assert_eq!(check_against(&[file(350)], &reasons).len(), 1, "a reason nobody needs");
    assert_eq!(check_against(&[file(801)], &reasons).len(), 1, "no reason helps above the hard limit");
}
