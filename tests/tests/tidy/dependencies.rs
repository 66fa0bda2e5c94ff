//! What may come into the tree: licences, duplicates, banned crates and sources, as `deny.toml` says. A rule of our
//! own because building `cargo deny` takes longer than all the other checks together.

use std::collections::{BTreeMap, BTreeSet};

use spdx::{Expression, Licensee, ParseMode};

use super::metadata::{Graph, Package};
use super::policy::Policy;
use super::violation::Violation;

/// Everything that the policy does not allow.
pub(crate) fn check(graph: &Graph, policy: &Policy) -> Vec<Violation> {
    let packages = used(graph);
    let allowed: Vec<Licensee> =
        policy.licenses.allow.iter().map(|name| Licensee::parse(name).unwrap()).collect();
    let mut violations = duplicates(&packages, policy);
    for package in packages {
        let mut add = |message| violations.push(Violation::of(&shown(package), message));
        licence(package, &allowed).into_iter().for_each(&mut add);
        source(package, policy).into_iter().for_each(&mut add);
        if policy.bans.deny.iter().any(|banned| banned.is(&package.name, &package.version)) {
            add("is banned in deny.toml".to_owned());
        }
        for name in wildcards(package, policy) {
            add(format!("takes any version of `{name}`; name one"));
        }
    }
    violations
}

fn shown(package: &Package) -> String {
    format!("{} {}", package.name, package.version)
}

/// What the workspace reaches, in tests and build scripts as well.
fn used(graph: &Graph) -> Vec<&Package> {
    let members = graph.iter().filter(|(_, package)| package.member_dir.is_some());
    let mut open: Vec<&str> = members.map(|(id, _)| id.as_str()).collect();
    let mut seen: BTreeSet<&str> = open.iter().copied().collect();
    while let Some(id) = open.pop() {
        let uses = graph[id].uses.iter().map(|(next, _)| next.as_str());
        open.extend(uses.filter(|next| seen.insert(next)));
    }
    seen.into_iter().map(|id| &graph[id]).collect()
}

fn licence(package: &Package, allowed: &[Licensee]) -> Option<String> {
    let Some(text) = &package.license else { return Some("names no licence".to_owned()) };
    // Older crates write `MIT/Apache-2.0`.
    match Expression::parse_mode(text, ParseMode::LAX) {
        Ok(terms) if terms.evaluate(|term| allowed.iter().any(|licensee| licensee.satisfies(term))) => None,
        Ok(_) => Some(format!("has the licence `{text}`, which deny.toml does not allow")),
        Err(error) => Some(format!("has a licence that cannot be read: {error}")),
    }
}

fn source(package: &Package, policy: &Policy) -> Option<String> {
    let Some(source) = &package.source else {
        return package
            .member_dir
            .is_none()
            .then(|| "comes from a directory outside of the workspace".to_owned());
    };
    let registry = source.strip_prefix("registry+").or_else(|| source.strip_prefix("sparse+"));
    let known =
        registry.is_some_and(|address| policy.sources.allow_registry.iter().any(|known| known == address));
    (!known).then(|| format!("comes from {source}, which deny.toml does not allow"))
}

fn wildcards<'a>(package: &'a Package, policy: &Policy) -> impl Iterator<Item = &'a str> {
    let ours = package.member_dir.is_some();
    let paths = policy.bans.allow_wildcard_paths;
    let found = package.wildcards.iter().filter(move |(_, path)| ours && !(*path && paths));
    found.map(|(name, _)| name.as_str())
}

/// Crates that are there in several versions although deny.toml does not say so, and what it says for nothing.
fn duplicates(packages: &[&Package], policy: &Policy) -> Vec<Violation> {
    let mut versions: BTreeMap<&str, Vec<&Package>> = BTreeMap::new();
    for package in packages {
        versions.entry(&package.name).or_default().push(package);
    }
    versions.retain(|_, found| found.len() > 1);
    let (mut violations, mut needed) = (Vec::new(), BTreeSet::new());
    for (name, found) in versions {
        let mut skip = |package: &&&Package| {
            let entry = policy.bans.skip.iter().find(|skip| skip.is(name, &package.version));
            needed.extend(entry.map(|skip| skip.spec.as_str()));
            entry.is_some()
        };
        let (_, kept): (Vec<&&Package>, Vec<&&Package>) = found.iter().partition(&mut skip);
        if kept.len() > 1 {
            let list: Vec<String> = kept.iter().map(|package| package.version.to_string()).collect();
            let message = format!(
                "is there in versions {}: take one, or list the others in deny.toml under `skip`, with the reason",
                list.join(" and ")
            );
            violations.push(Violation::of(name, message));
        }
    }
    let idle = policy.bans.skip.iter().filter(|skip| !needed.contains(skip.spec.as_str()));
    violations
        .extend(idle.map(|skip| Violation::of("deny.toml", format!("skips `{}` for nothing", skip.spec))));
    violations
}

#[cfg(test)]
mod tests {
    use super::super::metadata::{Kind, planted};
    use super::*;

    const POLICY: &str = r#"
        graph = { targets = [] }
        licenses = { allow = ["MIT", "Apache-2.0 WITH LLVM-exception"] }
        bans = { multiple-versions = "deny", wildcards = "deny", allow-wildcard-paths = true, skip = [SKIP], deny = [{ crate = "bad" }] }
        advisories = { yanked = "deny" }
        sources = { unknown-registry = "deny", unknown-git = "deny", allow-registry = ["https://known"] }
    "#;

    /// How many violations there are where `cullet` uses `a`, `b` and `c`, once they are changed.
    fn count(skip: &str, change: impl Fn(&mut Graph)) -> usize {
        let policy = Policy::read(&POLICY.replace("SKIP", skip));
        let mut graph = planted(&["a", "b", "c"].map(|name| ("cullet", name, Kind::Dev)));
        for package in graph.values_mut().filter(|package| package.member_dir.is_none()) {
            package.source = Some("registry+https://known".to_owned());
        }
        change(&mut graph);
        check(&graph, &policy).len()
    }

    fn licensed(text: &str) -> usize {
        count("", |graph| graph.get_mut("a").unwrap().license = Some(text.to_owned()))
    }

    #[test]
    fn only_allowed_licences_pass() {
        for text in ["MIT", "GPL-3.0-only OR MIT", "MIT/Apache-2.0", "MIT AND Apache-2.0 WITH LLVM-exception"]
        {
            assert_eq!(licensed(text), 0, "{text}");
        }
        for text in ["GPL-3.0-only", "MIT AND Apache-2.0", "Apache-2.0", "anything goes", ""] {
            assert_eq!(licensed(text), 1, "{text}");
        }
        assert_eq!(count("", |graph| graph.get_mut("a").unwrap().license = None), 1);
    }

    #[test]
    fn a_second_version_needs_an_entry_and_an_entry_a_second_version() {
        let second = |graph: &mut Graph| {
            let package = graph.get_mut("b").unwrap();
            (package.name, package.version) = ("a".to_owned(), semver::Version::new(1, 7, 0));
        };
        assert_eq!(count("", second), 1);
        assert_eq!(count("{ crate = 'a@1' }", second), 0);
        assert_eq!(count("{ crate = 'a@1.8' }", second), 2);
        assert_eq!(count("{ crate = 'a@1' }", |_| ()), 1);
    }

    #[test]
    fn other_sources_bans_and_wildcards_are_found() {
        let from = |source: Option<&str>| {
            count("", |graph| graph.get_mut("a").unwrap().source = source.map(str::to_owned))
        };
        assert_eq!(from(Some("sparse+https://known")), 0);
        assert_eq!(from(Some("registry+https://other")), 1);
        assert_eq!(from(Some("git+https://known")), 1);
        assert_eq!(from(None), 1);
        assert_eq!(count("", |graph| graph.get_mut("c").unwrap().name = "bad".to_owned()), 1);
        let wild =
            |path| count("", |graph| graph.get_mut("cullet").unwrap().wildcards.push(("a".to_owned(), path)));
        assert_eq!((wild(true), wild(false)), (0, 1));
    }

    #[test]
    fn what_nobody_uses_is_not_looked_at() {
        assert_eq!(
            count("", |graph| {
                let mut stranger = graph["a"].clone();
                stranger.license = None;
                graph.insert("stranger".to_owned(), stranger);
            }),
            0
        );
    }
}
