//! Unsafe code says why it is sound, and stays out of the crates that have no business with it.

use proc_macro2::{Delimiter, TokenStream, TokenTree};

use super::repository::SourceFile;
use super::violation::Violation;

/// Crates that decide, describe or parse: nothing there needs it, except a test that counts allocations.
const SAFE_ONLY: &[&str] = &["cache/digest/", "coordinator/", "pipeline/", "proto/"];
/// How far above the block its comment may begin: room for a few lines of comment and an attribute.
const COMMENT_REACH: usize = 8;

/// Unsafe blocks and impls that are misplaced or unexplained.
pub(crate) fn check(file: &SourceFile) -> Vec<Violation> {
    let Ok(tokens) = file.text.parse::<TokenStream>() else { return Vec::new() };
    let mut lines = Vec::new();
    find_unsafe(tokens, &mut lines);
    let misplaced = SAFE_ONLY.iter().any(|dir| file.path.starts_with(dir)) && !file.path.contains("/tests/");
    let text: Vec<&str> = file.text.lines().collect();
    let mut violations = Vec::new();
    for line in lines {
        if misplaced {
            violations.push(Violation::at(&file.path, line, "this crate has no unsafe code"));
        } else if !is_explained(&text, line) {
            violations.push(Violation::at(
                &file.path,
                line,
                "unsafe without a `// SAFETY:` comment above it",
            ));
        }
    }
    violations
}

fn find_unsafe(tokens: TokenStream, lines: &mut Vec<usize>) {
    let mut tokens = tokens.into_iter().peekable();
    while let Some(token) = tokens.next() {
        match token {
            TokenTree::Group(group) => find_unsafe(group.stream(), lines),
            TokenTree::Ident(word) if word == "unsafe" => {
                let relies_on_us = match tokens.peek() {
                    Some(TokenTree::Group(next)) => next.delimiter() == Delimiter::Brace,
                    Some(TokenTree::Ident(next)) => next == "impl",
                    _ => false,
                };
                if relies_on_us {
                    lines.push(word.span().start().line);
                }
            }
            _ => (),
        }
    }
}

fn is_explained(text: &[&str], line: usize) -> bool {
    let first = line.saturating_sub(COMMENT_REACH + 1);
    text[first..line].iter().any(|line| line.contains("SAFETY:"))
}

#[test]
fn unexplained_unsafe_is_found() {
    let count = |path, text| check(&SourceFile::planted(path, text)).len();
    assert_eq!(count("worker/src/a.rs", "fn a() { unsafe { b() } }"), 1);
    assert_eq!(count("worker/src/a.rs", "fn a() {\n// SAFETY: b is pure.\nunsafe { b() } }"), 0);
    assert_eq!(count("worker/src/a.rs", "unsafe impl Send for A {}"), 1);
    assert_eq!(count("worker/src/a.rs", "// unsafe { }\nfn a() { let s = \"unsafe { }\"; }"), 0);
    assert_eq!(count("pipeline/src/a.rs", "fn a() {\n// SAFETY: b is pure.\nunsafe { b() } }"), 1);
    assert_eq!(count("pipeline/tests/a.rs", "fn a() {\n// SAFETY: b is pure.\nunsafe { b() } }"), 0);
}
