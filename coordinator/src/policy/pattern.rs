//! Names of which some characters are left open.

/// A text in which each `*` stands for any characters, a slash among them, or for none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern(String);

impl Pattern {
    /// From what an operator writes.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// Whether a text is one of those.
    pub fn matches(&self, text: &str) -> bool {
        let mut parts = self.0.split('*');
        let Some(rest) = text.strip_prefix(parts.next().unwrap_or_default()) else { return false };
        let Some(last) = parts.next_back() else { return rest.is_empty() };
        let Some(mut rest) = rest.strip_suffix(last) else { return false };
        // The first place of each part leaves the most for those after it.
        parts.all(|part| match rest.split_once(part) {
            Some((_, after)) => {
                rest = after;
                true
            }
            None => false,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stars_stand_for_anything_and_all_else_for_itself() {
        for (pattern, good, bad) in [
            ("protected", &["protected"][..], &["", "protected2", "a protected", "protecte"][..]),
            ("*", &["", "protected", "branch/a/b"], &[]),
            ("branch/*", &["branch/x", "branch/a/b", "branch/"], &["branch", "user/x", "a branch/x"]),
            ("*/main", &["branch/main", "/main"], &["main", "branch/main2"]),
            ("branch/*-*-x", &["branch/a-b-x", "branch/--x", "branch/a-b-c-x"], &["branch/a-x", "branch/-x"]),
            ("a*a", &["aa", "aba"], &["a", "ab"]),
            ("", &[""], &["a"]),
        ] {
            let pattern = Pattern::new(pattern);
            good.iter().for_each(|text| assert!(pattern.matches(text), "{pattern:?} {text}"));
            bad.iter().for_each(|text| assert!(!pattern.matches(text), "{pattern:?} {text}"));
        }
    }
}
