//! Nothing unfinished stands in the tree. Tokens are looked at, so words in comments and strings do not count.

use proc_macro2::{TokenStream, TokenTree};

use super::repository::SourceFile;
use super::violation::Violation;

const BANNED_MACROS: &[&str] = &["todo", "unimplemented", "dbg"];

/// Calls of macros that mark unfinished work.
pub(crate) fn check(file: &SourceFile) -> Vec<Violation> {
    let mut violations = Vec::new();
    // What does not even tokenise is reported by the rule on functions.
    if let Ok(tokens) = file.text.parse::<TokenStream>() {
        scan(&file.path, tokens, &mut violations);
    }
    violations
}

fn scan(path: &str, tokens: TokenStream, violations: &mut Vec<Violation>) {
    let mut tokens = tokens.into_iter().peekable();
    while let Some(token) = tokens.next() {
        match token {
            TokenTree::Group(group) => scan(path, group.stream(), violations),
            TokenTree::Ident(name) if BANNED_MACROS.iter().any(|banned| name == banned) => {
                if matches!(tokens.peek(), Some(TokenTree::Punct(next)) if next.as_char() == '!') {
                    let line = name.span().start().line;
                    violations.push(Violation::at(
                        path,
                        line,
                        format!("`{name}!` is a leftover: finish or remove it"),
                    ));
                }
            }
            _ => (),
        }
    }
}

#[test]
fn leftovers_are_found_even_inside_other_macros() {
    let found = |text| check(&SourceFile::planted("a.rs", text)).iter().map(|it| it.line).collect::<Vec<_>>();
    assert_eq!(found("fn a() {\n    todo!()\n}"), [2]);
    assert_eq!(found("fn a() { assert!(\ndbg!(true)) }"), [2]);
    assert_eq!(found("fn a() { unimplemented!(\"x\") }"), [1]);
    assert!(found("// todo!()\nfn a() { let todo = \"todo!()\"; }").is_empty());
}
