//! Whoever silences a lint says why, and no test is switched off.

use syn::visit::{self, Visit};

use super::repository::SourceFile;
use super::violation::Violation;

/// Attributes of a Rust file that break a rule, and a crate root without documentation.
pub(crate) fn check(file: &SourceFile) -> Vec<Violation> {
    let Ok(syntax) = syn::parse_file(&file.text) else { return Vec::new() };
    let mut attributes = Attributes { path: &file.path, violations: Vec::new() };
    attributes.visit_file(&syntax);
    if is_crate_root(&file.path) && !syntax.attrs.iter().any(|attribute| attribute.path().is_ident("doc")) {
        attributes.violations.push(Violation::at(
            &file.path,
            1,
            "a crate root begins with `//!` and what it is for",
        ));
    }
    attributes.violations
}

fn is_crate_root(path: &str) -> bool {
    path.ends_with("src/lib.rs") || path.ends_with("src/main.rs")
}

struct Attributes<'a> {
    path: &'a str,
    violations: Vec<Violation>,
}

impl<'ast> Visit<'ast> for Attributes<'_> {
    fn visit_attribute(&mut self, attribute: &'ast syn::Attribute) {
        let line = attribute.pound_token.spans[0].start().line;
        let mut report = |message: &str| self.violations.push(Violation::at(self.path, line, message));
        let path = attribute.path();
        if path.is_ident("ignore") && !is_run_by_another(attribute) {
            report("an ignored test is no test: make it run or remove it");
        }
        if (path.is_ident("allow") || path.is_ident("expect")) && !has_reason(attribute) {
            report("silences a lint without `reason = \"...\"`");
        }
        visit::visit_attribute(self, attribute);
    }
}

/// The body of a child process has to look like a test; it says which test starts it.
fn is_run_by_another(attribute: &syn::Attribute) -> bool {
    let syn::Meta::NameValue(reason) = &attribute.meta else { return false };
    let syn::Expr::Lit(syn::ExprLit { lit: syn::Lit::Str(text), .. }) = &reason.value else { return false };
    text.value().starts_with("run by ")
}

fn has_reason(attribute: &syn::Attribute) -> bool {
    let syn::Meta::List(list) = &attribute.meta else { return false };
    list.tokens.clone().into_iter().any(|token| token.to_string() == "reason")
}

#[test]
fn bad_attributes_are_found() {
    let count = |path, text| check(&SourceFile::planted(path, text)).len();
    assert_eq!(count("a.rs", "#[allow(clippy::unwrap_used)] fn a() {}"), 1);
    assert_eq!(count("a.rs", "#![expect(dead_code)] fn a() {}"), 1);
    assert_eq!(count("a.rs", "#[expect(dead_code, reason = \"because\")] fn a() {}"), 0);
    assert_eq!(count("a.rs", "#[test]\n#[ignore] fn a() {}"), 1);
    assert_eq!(count("a.rs", "#[ignore = \"slow\"] fn a() {}"), 1);
    assert_eq!(count("a.rs", "#[ignore = \"run by the test below\"] fn a() {}"), 0);
    assert_eq!(count("x/src/lib.rs", "fn a() {}"), 1);
    assert_eq!(count("x/src/lib.rs", "//! It is for this.\nfn a() {}"), 0);
    assert_eq!(count("x/src/a.rs", "fn a() {}"), 0);
}
