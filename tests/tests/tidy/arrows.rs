//! Crates know each other only as ARCHITECTURE.md says. The table there is the rule; this reads it.

use std::collections::{BTreeMap, BTreeSet};

use super::metadata::{Graph, Kind};
use super::violation::Violation;

/// Directory of a crate → directories of the crates it may use.
type Allowed = BTreeMap<String, BTreeSet<String>>;

/// Heads the table of allowed arrows.
const TABLE_HEAD: &str = "| Crate | May use |";
/// Instead of names: every crate.
const ANYTHING: &str = "anything";
/// Their tests, too, keep to the table: a dev-dependency would let a test depend on what the crate must not know.
const STRICT_IN_TESTS: &[&str] = &["cache/digest", "coordinator/core", "pipeline", "proto"];

/// Arrows of the workspace that ARCHITECTURE.md does not have, and crates it does not know.
pub(crate) fn check(graph: &Graph, architecture: &str) -> Vec<Violation> {
    let allowed = read_table(architecture);
    if allowed.is_empty() {
        return vec![Violation::of("ARCHITECTURE.md", format!("has no table headed `{TABLE_HEAD}`"))];
    }
    let mut violations = Vec::new();
    for (from, package) in members(graph) {
        let Some(may_use) = allowed.get(from) else {
            violations.push(Violation::of("ARCHITECTURE.md", format!("the table of arrows lacks `{from}`")));
            continue;
        };
        for (id, kind) in &package.uses {
            let Some(to) = graph[id].member_dir.as_deref() else { continue };
            let free = *kind == Kind::Dev && !STRICT_IN_TESTS.contains(&from);
            if !free && !may_use.contains(to) && !may_use.contains(ANYTHING) {
                violations.push(Violation::of(
                    from,
                    format!("uses `{to}`, an arrow ARCHITECTURE.md does not have"),
                ));
            }
        }
    }
    violations
}

/// The workspace's own crates by directory.
pub(crate) fn members(graph: &Graph) -> impl Iterator<Item = (&str, &super::metadata::Package)> {
    graph.values().filter_map(|package| Some((package.member_dir.as_deref()?, package)))
}

fn read_table(architecture: &str) -> Allowed {
    let rows = architecture.lines().skip_while(|line| line.trim() != TABLE_HEAD).skip(2);
    rows.take_while(|line| line.starts_with('|')).filter_map(read_row).collect()
}

fn read_row(row: &str) -> Option<(String, BTreeSet<String>)> {
    let mut cells = row.trim().trim_matches('|').split('|').map(str::trim);
    let from = cells.next()?.trim_matches('`').to_owned();
    let names = cells.next()?.split(',').map(|name| name.trim().trim_matches('`').to_owned());
    Some((from, names.collect()))
}

#[cfg(test)]
mod tests {
    use super::super::metadata::planted;
    use super::*;

    const TABLE: &str = "text\n\n| Crate | May use |\n|---|---|\n| `cullet-a` | `cullet-b` |\n| `cullet-b` | nothing |\n\
                         | `cullet-c` | anything |\n\nmore";

    fn count(arrows: &[(&str, &str, Kind)]) -> usize {
        check(&planted(arrows), TABLE).len()
    }

    #[test]
    fn only_arrows_of_the_table_pass() {
        assert_eq!(
            count(&[("cullet-a", "cullet-b", Kind::Normal), ("cullet-c", "cullet-a", Kind::Normal)]),
            0
        );
        assert_eq!(count(&[("cullet-b", "cullet-a", Kind::Normal)]), 1);
        assert_eq!(count(&[("cullet-b", "cullet-a", Kind::Build)]), 1);
        assert_eq!(count(&[("cullet-b", "cullet-a", Kind::Dev)]), 0);
        assert_eq!(count(&[("cullet-b", "serde", Kind::Normal)]), 0);
    }

    #[test]
    fn an_unknown_crate_and_a_missing_table_are_found() {
        assert_eq!(count(&[("cullet-z", "serde", Kind::Normal)]), 1);
        assert_eq!(check(&planted(&[]), "no table").len(), 1);
    }
}
