//! Functions fit a screen.

use syn::visit::{self, Visit};

use super::repository::SourceFile;
use super::violation::Violation;

/// From the signature to the closing brace.
const MAX_LINES: usize = 80;

/// Functions of a Rust file that are too long.
pub(crate) fn check(file: &SourceFile) -> Vec<Violation> {
    let syntax = match syn::parse_file(&file.text) {
        Ok(syntax) => syntax,
        Err(error) => return vec![Violation::of(&file.path, format!("does not parse: {error}"))],
    };
    let mut lengths = Lengths { path: &file.path, violations: Vec::new() };
    lengths.visit_file(&syntax);
    lengths.violations
}

struct Lengths<'a> {
    path: &'a str,
    violations: Vec<Violation>,
}

impl Lengths<'_> {
    fn measure(&mut self, signature: &syn::Signature, body: &syn::Block) {
        let first = signature.fn_token.span.start().line;
        let lines = body.brace_token.span.close().end().line + 1 - first;
        if lines > MAX_LINES {
            let message =
                format!("`{}` has {lines} lines; at most {MAX_LINES} fit a screen", signature.ident);
            self.violations.push(Violation::at(self.path, first, message));
        }
    }
}

impl<'ast> Visit<'ast> for Lengths<'_> {
    fn visit_item_fn(&mut self, function: &'ast syn::ItemFn) {
        self.measure(&function.sig, &function.block);
        visit::visit_item_fn(self, function);
    }

    fn visit_impl_item_fn(&mut self, function: &'ast syn::ImplItemFn) {
        self.measure(&function.sig, &function.block);
        visit::visit_impl_item_fn(self, function);
    }

    fn visit_trait_item_fn(&mut self, function: &'ast syn::TraitItemFn) {
        if let Some(body) = &function.default {
            self.measure(&function.sig, body);
        }
        visit::visit_trait_item_fn(self, function);
    }
}

#[test]
fn long_functions_are_found_wherever_they_stand() {
    let body = |lines: usize| "    f();\n".repeat(lines - 2);
    let violations = |text: String| check(&SourceFile::planted("a.rs", &text)).len();
    assert_eq!(violations(format!("fn a() {{\n{}}}", body(80))), 0);
    assert_eq!(violations(format!("fn a() {{\n{}}}", body(81))), 1);
    assert_eq!(violations(format!("impl A {{\nfn a() {{\n{}}}\n}}", body(81))), 1);
    assert_eq!(violations(format!("trait A {{\nfn a() {{\n{}}}\n}}", body(81))), 1);
    assert_eq!(violations("fn a( {".to_owned()), 1);
}
