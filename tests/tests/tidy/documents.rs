//! The documentation keeps up: links resolve, every crate has its invariant, the changelog has a place for the
//! change, and nobody's home directory is in it.

use std::collections::BTreeMap;

use super::repository::SourceFile;
use super::violation::Violation;

/// Relative links in Markdown whose file or heading does not exist.
pub(crate) fn links(files: &[SourceFile]) -> Vec<Violation> {
    let by_path: BTreeMap<&str, &SourceFile> = files.iter().map(|file| (file.path.as_str(), file)).collect();
    let mut violations = Vec::new();
    for file in files.iter().filter(|file| file.has_extension("md")) {
        for (line, target) in relative_links(&file.text) {
            let (path, heading) = target.split_once('#').unwrap_or((target, ""));
            let path = if path.is_empty() { file.path.clone() } else { resolve(&file.path, path) };
            let is_dir =
                || path.is_empty() || files.iter().any(|other| other.path.starts_with(&format!("{path}/")));
            match by_path.get(path.as_str()) {
                None if !is_dir() => {
                    violations.push(Violation::at(
                        &file.path,
                        line,
                        format!("links to `{path}`, which is not there"),
                    ));
                }
                Some(other) if !heading.is_empty() && !has_heading(&other.text, heading) => {
                    let message = format!("links to `#{heading}`, which `{path}` does not have");
                    violations.push(Violation::at(&file.path, line, message));
                }
                _ => (),
            }
        }
    }
    violations
}

/// Targets of inline links outside code, with their lines.
fn relative_links(text: &str) -> Vec<(usize, &str)> {
    let mut links = Vec::new();
    let mut in_code = false;
    for (number, line) in text.lines().enumerate() {
        in_code ^= line.trim_start().starts_with("```");
        let outside = if in_code { "" } else { line };
        for part in outside.split("](").skip(1) {
            let target = part.split(')').next().unwrap_or_default();
            if !target.contains("://") && !target.starts_with("mailto:") {
                links.push((number + 1, target));
            }
        }
    }
    links
}

fn resolve(from: &str, target: &str) -> String {
    let mut parts: Vec<&str> = from.split('/').collect();
    parts.pop();
    for part in target.trim_end_matches('/').split('/') {
        match part {
            "." | "" => (),
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    parts.join("/")
}

/// Pages of `docs/` that some text speaks of, in code and help texts as well, but that do not exist.
pub(crate) fn mentions(files: &[SourceFile]) -> Vec<Violation> {
    let exists = |page: &str| files.iter().any(|file| file.path.strip_prefix("docs/") == Some(page));
    let mut violations = Vec::new();
    for file in files.iter().filter(|file| !file.path.starts_with("tests/")) {
        for (number, line) in file.text.lines().enumerate() {
            for rest in line.split("docs/").skip(1) {
                let name = rest.split(|c: char| !c.is_alphanumeric() && c != '-' && c != '_').next();
                let page = format!("{}.md", name.unwrap_or_default());
                if rest.starts_with(&page) && !exists(&page) {
                    let message = format!("speaks of `docs/{page}`, which is not there");
                    violations.push(Violation::at(&file.path, number + 1, message));
                }
            }
        }
    }
    violations
}

/// Headings become anchors as common renderers do it: lower case, punctuation dropped, spaces to hyphens.
fn has_heading(text: &str, anchor: &str) -> bool {
    let slug = |heading: &str| -> String {
        let kept = heading.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
        kept.map(|c| if c == ' ' { '-' } else { c.to_ascii_lowercase() }).collect()
    };
    text.lines()
        .filter(|line| line.starts_with('#'))
        .any(|line| slug(line.trim_start_matches('#').trim()) == anchor)
}

/// Crates (by directory) without a section that states their invariant.
pub(crate) fn invariants<'a>(architecture: &str, crates: impl Iterator<Item = &'a str>) -> Vec<Violation> {
    let mut violations = Vec::new();
    for dir in crates {
        let title = format!("### `{dir}`");
        let section = architecture.lines().skip_while(|line| !line.starts_with(&title)).skip(1);
        if !section.take_while(|line| !line.starts_with('#')).any(|line| line.starts_with("**Invariant.**")) {
            let message = format!("needs a section `{title}` with a paragraph that begins `**Invariant.**`");
            violations.push(Violation::of("ARCHITECTURE.md", message));
        }
    }
    violations
}

/// A changelog without a section for what is coming or for the version that is being built.
pub(crate) fn changelog(text: &str, version: &str) -> Vec<Violation> {
    let titles = ["## Unreleased".to_owned(), format!("## {version}")];
    let found = text.lines().any(|line| titles.iter().any(|title| line.starts_with(title)));
    if found { Vec::new() } else { vec![Violation::of("CHANGELOG.md", format!("has neither of {titles:?}"))] }
}

/// Accounts that nobody has: examples may use them.
const NOBODYS: &[&str] = &["u", "user", "you"];

/// Paths that exist on one person's machine only.
pub(crate) fn home_paths(file: &SourceFile, checkout: &str) -> Vec<Violation> {
    // Taken apart so that this file does not breach its own rule.
    let homes = [["/ho", "me/"].concat(), ["/Us", "ers/"].concat()];
    let somebodys = |line: &str, home: &str| {
        line.split(home).skip(1).any(|rest| {
            let account = rest.split(|c: char| !c.is_alphanumeric()).next().unwrap_or_default();
            !NOBODYS.contains(&account)
        })
    };
    let breaks_rule = |line: &str| {
        line.contains(&format!("{checkout}/")) || homes.iter().any(|home| somebodys(line, home.as_str()))
    };
    let lines = file.text.lines().enumerate().filter(|(_, line)| breaks_rule(line));
    let message = "names a directory of one particular machine";
    lines.map(|(number, _)| Violation::at(&file.path, number + 1, message)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dead_links_are_found() {
        let other = SourceFile::planted("docs/b.md", "# B\n\n## The `x` key, twice\n");
        let count = |text: &str| links(&[SourceFile::planted("docs/a.md", text), other.clone()]).len();
        assert_eq!(
            count("[b](b.md) [b](../docs/b.md#the-x-key-twice) [up](..) [out](https://example.org/x)"),
            0
        );
        assert_eq!(count("[c](c.md)"), 1);
        assert_eq!(count("[b](b.md#nowhere)"), 1);
        assert_eq!(count("[self](#nowhere)"), 1);
        assert_eq!(count("```\n[c](c.md)\n```"), 0);
    }

    #[test]
    fn pages_that_do_not_exist_are_found() {
        let page = SourceFile::planted("docs/b.md", "");
        let count = |text: &str| mentions(&[SourceFile::planted("a/src/lib.rs", text), page.clone()]).len();
        assert_eq!(count("//! See docs/b.md and `docs/`."), 0);
        assert_eq!(count("//! See docs/b.md.\n//! Or docs/c.md."), 1);
    }

    #[test]
    fn a_crate_without_an_invariant_is_found() {
        let text = "### `a`\nIt is.\n\n**Invariant.** Holds.\n### `b`\nIt is.\n## Other\n**Invariant.** Of nothing.\n";
        assert_eq!(invariants(text, ["a"].into_iter()).len(), 0);
        assert_eq!(invariants(text, ["b", "c"].into_iter()).len(), 2);
    }

    #[test]
    fn a_changelog_without_a_place_is_found() {
        assert_eq!(changelog("# Changelog\n\n## Unreleased\n", "0.1.0").len(), 0);
        assert_eq!(changelog("# Changelog\n\n## 0.1.0\n", "0.1.0").len(), 0);
        assert_eq!(changelog("# Changelog\n\n## 0.0.9\n", "0.1.0").len(), 1);
    }

    #[test]
    fn home_directories_are_found() {
        let count = |text: &str| home_paths(&SourceFile::planted("a.md", text), "/srv/checkout").len();
        assert_eq!(count(&["see /ho", "me/me/x"].concat()), 1);
        assert_eq!(count("see /srv/checkout/x"), 1);
        assert_eq!(count("see /home/user/x"), 0);
        assert_eq!(count("see /srv/other, ~/x and /root"), 0);
    }
}
