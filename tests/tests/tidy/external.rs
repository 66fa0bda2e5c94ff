//! What a crate must not reach, over however many steps: purity that a review could lose sight of.

use std::collections::BTreeSet;

use super::metadata::{Graph, Kind};
use super::violation::Violation;

/// A crate of ours (its directory), what it must not reach in what is shipped, and why.
const UNREACHABLE: &[(&str, &[&str], &str)] = &[
    (
        "coordinator/core",
        &["tokio", "tonic", "openraft", "async-trait", "nix", "rustix", "libc", "object_store", "rand"],
        "the core decides and does nothing else",
    ),
    (
        "cache/digest",
        &["tokio", "tonic", "nix", "rustix", "object_store"],
        "digests are computed from bytes, not read",
    ),
    (
        "pipeline",
        &["tokio", "tonic", "nix", "rustix", "object_store"],
        "the language is a pure function of the file",
    ),
    (
        "proto",
        &["object_store", "openraft", "nix", "rustix"],
        "wire types and the stubs of their services only",
    ),
    ("source", &["tokio", "tonic", "object_store"], "reading a tree is blocking work on its own threads"),
];
/// External crates that only one crate of ours names, and which.
const NAMED_ONLY_BY: &[(&str, &str)] = &[("object_store", "cache"), ("openraft", "coordinator")];

/// External crates that are reached or named where they must not be.
pub(crate) fn check(graph: &Graph) -> Vec<Violation> {
    let mut violations = Vec::new();
    for (id, package) in graph {
        let Some(dir) = package.member_dir.as_deref() else { continue };
        for (_, banned, reason) in UNREACHABLE.iter().filter(|(of, ..)| *of == dir) {
            let reached = reachable(graph, id);
            for name in banned.iter().filter(|name| reached.contains(**name)) {
                violations.push(Violation::of(dir, format!("reaches `{name}`: {reason}")));
            }
        }
        for (id, kind) in &package.uses {
            let name = graph[id].name.as_str();
            let owner = NAMED_ONLY_BY.iter().find(|(banned, owner)| *banned == name && *owner != dir);
            if let Some((_, owner)) = owner.filter(|_| *kind != Kind::Dev) {
                violations
                    .push(Violation::of(dir, format!("names `{name}`, which is the business of `{owner}`")));
            }
        }
    }
    violations
}

/// Names of everything that is shipped with the package. Build scripts and procedural macros run at build time,
/// but what *they* need is followed as well: Cargo does not tell the two apart here.
fn reachable<'a>(graph: &'a Graph, from: &str) -> BTreeSet<&'a str> {
    let (mut names, mut seen, mut open) = (BTreeSet::new(), BTreeSet::new(), vec![from]);
    while let Some(id) = open.pop() {
        for (next, _) in graph[id].uses.iter().filter(|(_, kind)| *kind == Kind::Normal) {
            if seen.insert(next.as_str()) {
                names.insert(graph[next].name.as_str());
                open.push(next);
            }
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use super::super::metadata::planted;
    use super::*;

    fn count(arrows: &[(&str, &str, Kind)]) -> usize {
        let mut graph = planted(arrows);
        for package in graph.values_mut() {
            // The rules speak of directories: give the planted members those of the real ones.
            package.member_dir = match package.name.as_str() {
                "cullet-core" => Some("coordinator/core".to_owned()),
                "cullet-worker" => Some("worker".to_owned()),
                _ => None,
            };
        }
        check(&graph).len()
    }

    #[test]
    fn a_ban_holds_over_any_number_of_steps() {
        assert_eq!(count(&[("cullet-core", "serde", Kind::Normal)]), 0);
        assert_eq!(count(&[("cullet-core", "tokio", Kind::Normal)]), 1);
        assert_eq!(count(&[("cullet-core", "x", Kind::Normal), ("x", "tokio", Kind::Normal)]), 1);
        assert_eq!(count(&[("cullet-core", "x", Kind::Normal), ("x", "tokio", Kind::Dev)]), 0);
        assert_eq!(count(&[("cullet-core", "tokio", Kind::Dev)]), 0);
        assert_eq!(count(&[("cullet-worker", "tokio", Kind::Normal)]), 0);
    }

    #[test]
    fn a_crate_with_one_owner_is_named_by_no_other() {
        assert_eq!(count(&[("cullet-worker", "object_store", Kind::Normal)]), 1);
    }
}
