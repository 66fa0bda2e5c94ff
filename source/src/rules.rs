//! All rules that hold in one directory.

use std::sync::Arc;

use cullet_digest::{DigestFunction, Hasher};

use crate::rule::Rule;

/// Identifies all rules that hold in a directory and where they were written. Equal keys: equal decisions.
pub(crate) type RulesKey = [u8; 16];

/// The rules of one file. Paths are matched from byte `base` of the path on, where the file's directory ends.
#[derive(Debug)]
struct RuleSet {
    rules: Vec<Rule>,
    base: usize,
}

impl RuleSet {
    fn parse(text: &[u8], base: usize) -> Self {
        let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
        let lines = text.split(|&byte| byte == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line));
        Self { rules: lines.filter_map(Rule::parse).collect(), base }
    }

    fn compile(globs: &[String], base: usize) -> Self {
        Self { rules: globs.iter().filter_map(|glob| Rule::parse(glob.as_bytes())).collect(), base }
    }

    /// Whether the last rule that speaks of this entry takes it (true) or negates (false).
    fn decide(&self, entry: &Candidate<'_>) -> Option<bool> {
        let path = entry.path.get(self.base..)?;
        let decided = self.rules.iter().rev().find(|rule| rule.matches(path, entry.name, entry.is_directory));
        decided.map(|rule| !rule.negated)
    }
}

/// An entry about which the rules are asked.
pub(crate) struct Candidate<'a> {
    /// From the root of the repository, or from the source's root where there is no repository.
    pub(crate) path: &'a [u8],
    /// The last segment of `path`.
    pub(crate) name: &'a [u8],
    pub(crate) is_directory: bool,
}

/// What the rules say of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Decision {
    Leave,
    Take,
    /// A directory that is not itself included, but may hold something that is.
    Search,
}

/// The rules of a directory: the source's own globs, then `.gitignore` files from the innermost to the
/// outermost, then `.git/info/exclude`. As in git, the first of these that speaks of an entry decides.
#[derive(Debug, Clone)]
pub(crate) struct Rules {
    own: Arc<Own>,
    /// Outermost first.
    files: Arc<[Arc<RuleSet>]>,
    key: RulesKey,
}

#[derive(Debug)]
struct Own {
    include: RuleSet,
    exclude: RuleSet,
}

impl Rules {
    /// The rules of a source before any ignore file is read. `base` is the length of the path that leads from
    /// the repository's root to the source's, its last slash included.
    pub(crate) fn new(include: &[String], exclude: &[String], base: usize) -> Self {
        let own = Own { include: RuleSet::compile(include, base), exclude: RuleSet::compile(exclude, base) };
        let mut hasher = Hasher::new(DigestFunction::Blake3);
        for (kind, globs) in [(b'i', include), (b'e', exclude)] {
            for glob in globs {
                hasher.update(&[kind]);
                hasher.update(&(glob.len() as u64).to_le_bytes());
                hasher.update(glob.as_bytes());
            }
        }
        Self { own: Arc::new(own), files: Arc::new([]), key: shorten(hasher) }
    }

    /// These rules and those of one more file, which lies further in.
    pub(crate) fn with_file(&self, text: &[u8], base: usize) -> Self {
        let set = Arc::new(RuleSet::parse(text, base));
        let mut hasher = Hasher::new(DigestFunction::Blake3);
        hasher.update(&self.key);
        hasher.update(&(base as u64).to_le_bytes());
        hasher.update(text);
        Self {
            own: Arc::clone(&self.own),
            files: self.files.iter().cloned().chain([set]).collect(),
            key: shorten(hasher),
        }
    }

    pub(crate) const fn key(&self) -> RulesKey {
        self.key
    }

    /// Whether everything that is not ignored belongs to the source.
    pub(crate) fn include_all(&self) -> bool {
        self.own.include.rules.is_empty()
    }

    /// What to do with an entry. `included`: a directory above it is included.
    pub(crate) fn decide(&self, entry: &Candidate<'_>, included: bool) -> Decision {
        let inner_first = self.files.iter().rev().map(Arc::as_ref);
        let ignored = std::iter::once(&self.own.exclude).chain(inner_first).find_map(|set| set.decide(entry));
        if ignored == Some(true) {
            return Decision::Leave;
        }
        match self.own.include.decide(entry) {
            Some(true) => Decision::Take,
            None if included => Decision::Take,
            _ if entry.is_directory && self.may_include_below(entry) => Decision::Search,
            _ => Decision::Leave,
        }
    }

    fn may_include_below(&self, entry: &Candidate<'_>) -> bool {
        let include = &self.own.include;
        let path = entry.path.get(include.base..).unwrap_or_default();
        include.rules.iter().any(|rule| !rule.negated && rule.may_match_below(path))
    }
}

fn shorten(hasher: Hasher) -> RulesKey {
    let mut key = [0; 16];
    key.copy_from_slice(&hasher.finish().hash()[..16]);
    key
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decide(rules: &Rules, path: &str) -> Decision {
        let (path, is_directory) = path.strip_suffix('/').map_or((path, false), |path| (path, true));
        let name = path.rsplit('/').next().unwrap().as_bytes();
        rules.decide(&Candidate { path: path.as_bytes(), name, is_directory }, rules.include_all())
    }

    #[test]
    fn the_inner_file_and_then_the_last_line_win() {
        let rules = Rules::new(&[], &[], 0).with_file(b"*.log\n!keep.log\n", 0).with_file(b"!b.log\r\n", 2);
        assert_eq!(decide(&rules, "a/a.log"), Decision::Leave);
        assert_eq!(decide(&rules, "a/b.log"), Decision::Take);
        assert_eq!(decide(&rules, "a/keep.log"), Decision::Take);
    }

    #[test]
    fn the_sources_own_globs_come_first() {
        let rules = Rules::new(&[], &["docs/".into(), "!x.log".into()], 0).with_file(b"*.log", 0);
        assert_eq!(decide(&rules, "docs/"), Decision::Leave);
        assert_eq!(decide(&rules, "docs"), Decision::Take);
        assert_eq!(decide(&rules, "x.log"), Decision::Take);
        assert_eq!(decide(&rules, "y.log"), Decision::Leave);
    }

    #[test]
    fn include_narrows_and_looks_only_where_something_can_be() {
        let rules = Rules::new(&["src/*.rs".into(), "/lib/".into()], &[], 0);
        assert_eq!(decide(&rules, "src/"), Decision::Search);
        assert_eq!(decide(&rules, "src/a.rs"), Decision::Take);
        assert_eq!(decide(&rules, "src/a.c"), Decision::Leave);
        assert_eq!(decide(&rules, "lib/"), Decision::Take);
        assert_eq!(decide(&rules, "other/"), Decision::Leave);
    }

    #[test]
    fn the_key_tells_rules_and_places_apart() {
        let plain = Rules::new(&[], &[], 0);
        let keys = [
            plain.key(),
            Rules::new(&["a".into()], &[], 0).key(),
            Rules::new(&[], &["a".into()], 0).key(),
            plain.with_file(b"a", 0).key(),
            plain.with_file(b"a", 1).key(),
        ];
        for (index, key) in keys.iter().enumerate() {
            assert!(!keys[..index].contains(key), "{index}");
        }
        assert_eq!(plain.with_file(b"a", 0).key(), plain.with_file(b"a", 0).key());
    }
}
