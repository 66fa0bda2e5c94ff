//! The patterns of one output.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use cullet_cache::OutputPath;
use globset::{GlobBuilder, GlobSet, GlobSetBuilder};

use super::fault::OutputFault;

/// Several globs, matched against paths relative to the working directory. `*` and `?` match no `/`, `**` does.
/// A directory that matches is taken with everything below it.
#[derive(Debug)]
pub(super) struct Globs {
    set: GlobSet,
    reaches: Vec<Reach>,
}

/// Where matches of one glob can be, so that a walk need not look everywhere.
#[derive(Debug)]
struct Reach {
    /// The segments before the first with a special character.
    prefix: Vec<Vec<u8>>,
    /// How many segments a match has, if that is fixed.
    depth: Option<usize>,
}

impl Globs {
    /// Reads newline-separated globs.
    pub(super) fn new(output: &OutputPath) -> Result<Self, OutputFault> {
        let mut set = GlobSetBuilder::new();
        let mut reaches = Vec::new();
        let refuse =
            |error: globset::Error| OutputFault::Glob { output: name(output), why: error.kind().to_string() };
        for glob in output.path.lines().filter(|glob| !glob.is_empty()) {
            let glob = glob.strip_prefix("./").unwrap_or(glob).trim_end_matches('/');
            set.add(GlobBuilder::new(glob).literal_separator(true).build().map_err(refuse)?);
            reaches.push(Reach::of(glob));
        }
        Ok(Self { set: set.build().map_err(refuse)?, reaches })
    }

    /// Whether `path` is taken.
    pub(super) fn matches(&self, path: &[u8]) -> bool {
        self.set.is_match(Path::new(OsStr::from_bytes(path)))
    }

    /// Whether anything below the directory `path` can match.
    pub(super) fn reach_below(&self, path: &[u8]) -> bool {
        self.reaches.iter().any(|reach| reach.goes_below(path))
    }
}

/// How messages call an output of globs.
pub(super) fn name(output: &OutputPath) -> String {
    output.path.replace('\n', " ")
}

impl Reach {
    fn of(glob: &str) -> Self {
        let special = |segment: &&str| segment.contains(['*', '?', '[', ']', '{', '}', '\\', '!']);
        let prefix = glob.split('/').take_while(|segment| !special(segment));
        // A `/` in braces belongs to an alternative: then nothing is known about the depth.
        let open_ended = glob.contains("**") || glob.contains('{');
        Self {
            prefix: prefix.map(|segment| segment.as_bytes().to_vec()).collect(),
            depth: (!open_ended).then(|| glob.split('/').count()),
        }
    }

    fn goes_below(&self, path: &[u8]) -> bool {
        let names = path.split(|&byte| byte == b'/');
        let depth = names.clone().count();
        self.depth.is_none_or(|fixed| depth < fixed)
            && names.zip(&self.prefix).all(|(name, wanted)| name == wanted)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn globs(path: &str) -> Globs {
        Globs::new(&OutputPath { path: path.to_owned(), globs: true, optional: false }).unwrap()
    }

    #[test]
    fn a_star_stays_in_its_directory_and_two_do_not() {
        let some = globs("*.xml\n./dist/**/*.so\nout/");
        for path in ["a.xml", "dist/x.so", "dist/a/b/x.so", "out"] {
            assert!(some.matches(path.as_bytes()), "{path}");
        }
        for path in ["a/b.xml", "dist", "x.so", "out/x"] {
            assert!(!some.matches(path.as_bytes()), "{path}");
        }
    }

    #[test]
    fn walks_are_confined_to_where_matches_can_be() {
        let below = |glob: &str, path: &str| globs(glob).reach_below(path.as_bytes());
        assert!(below("dist/*.whl", "dist"));
        assert!(!below("dist/*.whl", "dist/sub"));
        assert!(!below("dist/*.whl", "src"));
        assert!(below("target/*/app", "target/debug"));
        assert!(!below("target/*/app", "target/debug/deps"));
        assert!(below("a/b/**", "a"));
        assert!(below("a/b/**", "a/b/c/d"));
        assert!(!below("a/b/**", "a/c"));
        assert!(below("{a/b,c}/x", "a/b"));
        assert!(!below("*.xml", "a"));
    }

    #[test]
    fn what_is_no_glob_is_refused() {
        let output = OutputPath { path: "a[".to_owned(), globs: true, optional: false };
        assert!(matches!(Globs::new(&output), Err(OutputFault::Glob { .. })));
    }
}
