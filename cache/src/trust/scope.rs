//! Whose a result is.

use std::fmt;
use std::str::FromStr;

use cullet_digest::DigestFunction;

/// Whose results these are.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scope {
    /// Everybody's: what everybody reads, and only trusted workers write.
    #[default]
    Protected,
    /// Those of a branch or a merge request.
    Branch(String),
    /// Those of one person.
    User(String),
    /// Those that were made while nobody could check who made them.
    Quarantine(String),
}

/// Why a text names no scope.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "'{0}' is no scope: use protected, branch/NAME or user/NAME, with a name of 1 to 200 characters (quarantine/NAME is for what is made when the glass is broken)"
)]
pub struct ScopeError(String);

/// The most bytes of a name.
const MOST_NAME: usize = 200;

impl Scope {
    /// What records in it are told apart by: the first bytes of the hash of its name; none for the protected one.
    pub fn id(&self) -> Option<[u8; 8]> {
        if *self == Self::Protected {
            return None;
        }
        let digest = DigestFunction::Blake3.digest(format!("cullet scope {self}").as_bytes());
        let mut id = [0; 8];
        id.copy_from_slice(&digest.hash()[..8]);
        Some(id)
    }

    /// What something that belongs to somebody is called in this scope: the protected one is called as its owner is, and no
    /// other can be called like that, whatever people call their branches.
    pub fn apart(&self, owner: &str) -> String {
        match self.id() {
            None => owner.to_owned(),
            Some(id) => format!("{owner} ({self} {:016x})", u64::from_be_bytes(id)),
        }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Protected => f.write_str("protected"),
            Self::Branch(name) => write!(f, "branch/{name}"),
            Self::User(name) => write!(f, "user/{name}"),
            Self::Quarantine(name) => write!(f, "quarantine/{name}"),
        }
    }
}

impl FromStr for Scope {
    type Err = ScopeError;

    fn from_str(text: &str) -> Result<Self, ScopeError> {
        if text == "protected" {
            return Ok(Self::Protected);
        }
        let refuse = || ScopeError(text.chars().filter(|c| !c.is_control()).take(60).collect());
        let (kind, name) = text.split_once('/').ok_or_else(refuse)?;
        if name.is_empty() || name.len() > MOST_NAME || name.chars().any(char::is_control) {
            return Err(refuse());
        }
        let name = name.to_owned();
        match kind {
            "branch" => Ok(Self::Branch(name)),
            "user" => Ok(Self::User(name)),
            "quarantine" => Ok(Self::Quarantine(name)),
            _ => Err(refuse()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scopes_are_read_as_they_are_written_and_told_apart() {
        let texts = ["protected", "branch/main", "branch/a/b", "user/main", "quarantine/2026-11-27"];
        let scopes: Vec<Scope> = texts.iter().map(|text| text.parse().unwrap()).collect();
        for (scope, text) in scopes.iter().zip(texts) {
            assert_eq!(scope.to_string(), text);
        }
        let ids: std::collections::BTreeSet<_> = scopes.iter().map(Scope::id).collect();
        assert_eq!((ids.len(), Scope::Protected.id()), (texts.len(), None));
    }

    #[test]
    fn what_belongs_to_a_scope_is_called_apart_from_all_else() {
        let scopes = [Scope::Protected, Scope::Branch("x".to_owned()), Scope::User("x".to_owned())];
        let names: Vec<String> = scopes.iter().map(|scope| scope.apart("team/app")).collect();
        assert_eq!(names[0], "team/app");
        assert!(names[1].starts_with("team/app (branch/x ") && names[2].starts_with("team/app (user/x "));
        // Not by a name that looks as if it were in another one.
        let feigned = Scope::Branch("x) (branch/x".to_owned()).apart("team/app");
        assert!(!names.contains(&feigned), "{feigned}");
    }

    #[test]
    fn what_is_no_scope_is_refused() {
        let long = format!("branch/{}", "x".repeat(201));
        for text in ["", "Protected", "branch", "branch/", "team/x", "branch/a\nb", &long] {
            assert!(text.parse::<Scope>().is_err(), "{text}");
        }
    }
}
