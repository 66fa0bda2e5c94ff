//! The rules, applied to this repository.

use super::repository::{self, SourceFile};
use super::violation::Violation;
use super::{
    arrows, attributes, dependencies, documents, external, functions, leftovers, length, manifests, metadata,
    policy, safety,
};

fn files() -> Vec<SourceFile> {
    repository::load(&cullet_tests::repository_root())
}

fn text<'a>(files: &'a [SourceFile], path: &str) -> &'a str {
    files.iter().find(|file| file.path == path).map_or("", |file| file.text.as_str())
}

fn pass(violations: Vec<Violation>) {
    let list: Vec<String> = violations.iter().map(Violation::to_string).collect();
    assert!(list.is_empty(), "{} to put right:\n{}", list.len(), list.join("\n"));
}

/// Applies a rule to every file with an extension; fails if there is none, for then the rule checks nothing.
fn each(extension: &str, rule: impl Fn(&SourceFile) -> Vec<Violation>) {
    let files: Vec<SourceFile> = files().into_iter().filter(|file| file.has_extension(extension)).collect();
    assert!(!files.is_empty(), "no .{extension} files found");
    pass(files.iter().flat_map(rule).collect());
}

#[test]
fn crates_know_each_other_as_the_architecture_says() {
    let files = files();
    pass(arrows::check(&metadata::load(&cullet_tests::repository_root()), text(&files, "ARCHITECTURE.md")));
}

#[test]
fn pure_crates_reach_nothing_impure() {
    pass(external::check(&metadata::load(&cullet_tests::repository_root())));
}

#[test]
fn dependencies_are_what_the_policy_allows() {
    let policy = policy::Policy::read(text(&files(), "deny.toml"));
    let graph = metadata::load_for(&cullet_tests::repository_root(), &policy.graph.targets);
    pass(dependencies::check(&graph, &policy));
}

#[test]
fn files_are_short() {
    pass(length::check(&files()));
}

#[test]
fn functions_fit_a_screen() {
    each("rs", functions::check);
}

#[test]
fn nothing_is_unfinished() {
    each("rs", leftovers::check);
}

#[test]
fn silenced_lints_have_reasons_and_no_test_is_off() {
    each("rs", attributes::check);
}

#[test]
fn unsafe_code_is_explained() {
    each("rs", safety::check);
}

#[test]
fn crates_take_the_lints_of_the_workspace() {
    let manifests = |file: &SourceFile| file.path.ends_with("Cargo.toml");
    each("toml", |file| if manifests(file) { manifests::check(file) } else { Vec::new() });
}

#[test]
fn links_in_documents_resolve() {
    let files = files();
    pass([documents::links(&files), documents::mentions(&files)].concat());
}

#[test]
fn every_crate_has_its_invariant() {
    let (files, graph) = (files(), metadata::load(&cullet_tests::repository_root()));
    pass(documents::invariants(text(&files, "ARCHITECTURE.md"), arrows::members(&graph).map(|(dir, _)| dir)));
}

#[test]
fn the_changelog_has_a_place_for_changes() {
    pass(documents::changelog(text(&files(), "CHANGELOG.md"), env!("CARGO_PKG_VERSION")));
}

#[test]
fn no_file_names_one_persons_machine() {
    let checkout = cullet_tests::repository_root();
    let checkout = checkout.to_str().unwrap();
    pass(files().iter().flat_map(|file| documents::home_paths(file, checkout)).collect());
}
