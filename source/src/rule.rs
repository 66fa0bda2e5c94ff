//! One line of an ignore file.

use crate::glob::Glob;

/// A compiled line of a `.gitignore` file (gitignore(5)), or one of a source's globs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Rule {
    pub(crate) negated: bool,
    directories_only: bool,
    subject: Subject,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Subject {
    /// No slash in the pattern: the last segment of a path, at any depth.
    Name(Glob),
    /// The whole path, from where the rule was written.
    Path(Box<[Segment]>),
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Segment {
    One(Glob),
    /// `**`: any number of segments, none included.
    AnyDepth,
}

impl Rule {
    /// Reads one line, its newline removed. None for a comment or an empty line.
    pub(crate) fn parse(line: &[u8]) -> Option<Self> {
        let mut pattern = trim_trailing_spaces(line);
        if pattern.first() == Some(&b'#') {
            return None;
        }
        let negated = pattern.first() == Some(&b'!');
        if negated {
            pattern = &pattern[1..];
        }
        let directories_only = pattern.last() == Some(&b'/');
        if directories_only {
            pattern = &pattern[..pattern.len() - 1];
        }
        if pattern.is_empty() {
            return None;
        }
        let subject = if pattern.contains(&b'/') {
            Subject::Path(segments(pattern.strip_prefix(b"/").unwrap_or(pattern)))
        } else {
            Subject::Name(Glob::new(pattern))
        };
        Some(Self { negated, directories_only, subject })
    }

    /// Whether the rule speaks of the entry at `path` (relative to where the rule was written), whose last
    /// segment is `name`.
    pub(crate) fn matches(&self, path: &[u8], name: &[u8], is_directory: bool) -> bool {
        if self.directories_only && !is_directory {
            return false;
        }
        match &self.subject {
            Subject::Name(glob) => glob.matches(name),
            Subject::Path(segments) => matches_path(segments, path),
        }
    }

    /// Whether something below the directory `path` could match. May say yes too often, never no.
    pub(crate) fn may_match_below(&self, path: &[u8]) -> bool {
        let Subject::Path(segments) = &self.subject else { return true };
        let mut segments = segments.iter();
        for name in path.split(|&byte| byte == b'/') {
            match segments.next() {
                Some(Segment::AnyDepth) => return true,
                Some(Segment::One(glob)) if glob.matches(name) => {}
                _ => return false,
            }
        }
        segments.next().is_some()
    }
}

/// A space at the end counts only behind a backslash.
fn trim_trailing_spaces(line: &[u8]) -> &[u8] {
    let mut kept = 0;
    let mut at = 0;
    while at < line.len() {
        let step = if line[at] == b'\\' { 2 } else { 1 };
        if line[at] != b' ' {
            kept = (at + step).min(line.len());
        }
        at += step;
    }
    &line[..kept]
}

fn segments(pattern: &[u8]) -> Box<[Segment]> {
    let mut segments = Vec::new();
    for part in pattern.split(|&byte| byte == b'/') {
        match part {
            b"**" if segments.last() == Some(&Segment::AnyDepth) => {}
            b"**" => segments.push(Segment::AnyDepth),
            part => segments.push(Segment::One(Glob::new(part))),
        }
    }
    if segments.last() == Some(&Segment::AnyDepth) {
        // `a/**` is what lies inside a, not a itself.
        segments.push(Segment::One(Glob::Anything));
    }
    segments.into()
}

/// As within a segment, going back to the latest `**` only is enough.
fn matches_path(segments: &[Segment], path: &[u8]) -> bool {
    let (mut segment, mut rest) = (0, Some(path));
    let mut any_depth = None;
    loop {
        match (segments.get(segment), rest) {
            (None, None) => return true,
            (Some(Segment::AnyDepth), from) => {
                segment += 1;
                any_depth = from.map(|from| (segment, from));
                continue;
            }
            (Some(Segment::One(glob)), Some(from)) => {
                let (name, tail) = split_first(from);
                if glob.matches(name) {
                    segment += 1;
                    rest = tail;
                    continue;
                }
            }
            _ => {}
        }
        let Some((after, from)) = any_depth else { return false };
        let (_, Some(tail)) = split_first(from) else { return false };
        any_depth = Some((after, tail));
        segment = after;
        rest = Some(tail);
    }
}

fn split_first(path: &[u8]) -> (&[u8], Option<&[u8]>) {
    match path.iter().position(|&byte| byte == b'/') {
        Some(slash) => (&path[..slash], Some(&path[slash + 1..])),
        None => (path, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(pattern: &str, path: &str) -> bool {
        let rule = Rule::parse(pattern.as_bytes()).unwrap();
        let (path, is_directory) = path.strip_suffix('/').map_or((path, false), |path| (path, true));
        rule.matches(path.as_bytes(), path.rsplit('/').next().unwrap().as_bytes(), is_directory)
    }

    #[test]
    fn patterns_say_what_the_manual_of_git_says() {
        for (pattern, path, expected) in [
            ("foo", "a/foo", true),
            ("foo", "foo/", true),
            ("foo/", "foo", false),
            ("foo/", "a/foo/", true),
            ("/foo", "foo", true),
            ("/foo", "a/foo", false),
            ("a/foo", "a/foo", true),
            ("a/foo", "b/a/foo", false),
            ("**/foo", "foo", true),
            ("**/foo", "a/b/foo", true),
            ("**/foo/bar", "a/foo/bar", true),
            ("abc/**", "abc/", false),
            ("abc/**", "abc/x/y", true),
            ("a/**/b", "a/b", true),
            ("a/**/b", "a/x/y/b", true),
            ("a/**/b", "a/x/y/c", false),
            ("a/**/b/**/c", "a/x/b/y/b/c", true),
            ("foo/*", "foo/test.json", true),
            ("foo/*", "foo/bar/hello.c", false),
            ("/**", "x", true),
            ("**/", "x", false),
            ("**/", "x/", true),
            ("\\#x", "#x", true),
            ("\\!x", "!x", true),
            ("x\\ ", "x ", true),
            ("x ", "x", true),
        ] {
            assert_eq!(matches(pattern, path), expected, "{pattern} against {path}");
        }
    }

    #[test]
    fn lines_that_are_no_rules() {
        for line in ["", "   ", "# x", "!", "/", "!/"] {
            assert_eq!(Rule::parse(line.as_bytes()), None, "{line:?}");
        }
        assert!(Rule::parse(b"!x").unwrap().negated);
    }

    #[test]
    fn a_directory_that_can_hold_no_match_is_known() {
        let below = |pattern: &str, path: &str| {
            Rule::parse(pattern.as_bytes()).unwrap().may_match_below(path.as_bytes())
        };
        assert!(below("*.rs", "anything/at/all"));
        assert!(below("src/*.rs", "src"));
        assert!(!below("src/*.rs", "doc"));
        assert!(!below("src/*.rs", "src/deep"));
        assert!(below("src/**/*.rs", "src/deep/er"));
        assert!(below("/src/a/", "src"));
    }
}
