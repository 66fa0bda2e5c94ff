//! Values in files that a step leaves.

use std::fmt;
use std::io::{self, Read};

use crate::forms::Forms;
use crate::table::{Patterns, Table, Unmaskable};
use crate::value::SecretValue;
use crate::wrapped::Unwrapping;

/// The shortest form that is looked for in files. Passwords of test databases are words that programs are full of; tokens and
/// keys are longer.
const SHORTEST: usize = 12;

/// Of a long form its beginning says enough.
const MOST: usize = 256;

/// How much of a file is in memory.
const PIECE: usize = 256 << 10;

/// Looks for values, as they are and encoded.
pub struct Search {
    table: Option<Table>,
    /// For each pattern, which secret it is of: those that are looked for as they are, and those that have breaks.
    owners: [Vec<usize>; 2],
    names: Vec<String>,
}

impl Search {
    /// For values with their names.
    ///
    /// # Errors
    /// They cannot be looked for. Nothing that may have them may then be kept.
    pub fn new<'a>(
        secrets: impl IntoIterator<Item = (&'a str, &'a SecretValue)>,
    ) -> Result<Self, Unmaskable> {
        let (mut patterns, mut owners, mut names) =
            (Patterns::default(), [Vec::new(), Vec::new()], Vec::new());
        for (owner, (name, value)) in secrets.into_iter().enumerate() {
            names.push(name.to_owned());
            let forms = Forms::whole(value);
            for form in forms.plain().filter(|form| form.len() >= SHORTEST) {
                patterns.plain.push(Box::from(&form[..form.len().min(MOST)]));
                owners[0].push(owner);
            }
            for form in forms.wrapped().filter(|form| form.len() >= SHORTEST) {
                patterns.wrapped.push(Box::from(&form[..form.len().min(MOST)]));
                owners[1].push(owner);
            }
        }
        let is_idle = owners.iter().all(Vec::is_empty);
        let table = if is_idle { None } else { Some(Table::new(&patterns)?) };
        Ok(Self { table, owners, names })
    }

    /// The name of a secret whose value is in there.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn read(&self, from: impl Read) -> io::Result<Option<&str>> {
        self.read_by(from, &mut Vec::new())
    }

    /// The same for many files, by way of one buffer.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn read_by(&self, mut from: impl Read, buffer: &mut Vec<u8>) -> io::Result<Option<&str>> {
        let Some(table) = &self.table else { return Ok(None) };
        buffer.resize(PIECE, 0);
        let mut walk = table.start(Unwrapping::default());
        loop {
            let count = match from.read(buffer) {
                Ok(0) => return Ok(None),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                count => count?,
            };
            let mut found = None;
            table.read(&mut walk, &buffer[..count], |one| {
                found = self.name(usize::from(one.is_wrapped), one.pattern);
                true
            });
            if found.is_some() {
                return Ok(found);
            }
        }
    }

    /// The name of a secret whose value is in these bytes.
    #[must_use]
    pub fn bytes(&self, bytes: &[u8]) -> Option<&str> {
        let table = self.table.as_ref()?;
        let mut found = None;
        table.read(&mut table.start(Unwrapping::default()), bytes, |one| {
            found = self.name(usize::from(one.is_wrapped), one.pattern);
            true
        });
        found
    }

    /// Whether it finds nothing anyway.
    #[must_use]
    pub const fn is_idle(&self) -> bool {
        self.table.is_none()
    }

    fn name(&self, kind: usize, pattern: usize) -> Option<&str> {
        self.owners[kind].get(pattern).and_then(|owner| self.names.get(*owner)).map(String::as_str)
    }
}

impl fmt::Debug for Search {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Search").field("names", &self.names).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_values_are_found_and_words_are_not() {
        let long = SecretValue::new(b"ghp_0123456789abcdef\n".to_vec()).unwrap();
        let word = SecretValue::new(b"postgres".to_vec()).unwrap();
        let search = Search::new([("TOKEN", &long), ("PASSWORD", &word)]).unwrap();
        let find = |text: &str| search.read(text.as_bytes()).unwrap().map(str::to_owned);
        assert_eq!(find("x ghp_0123456789abcdef y").as_deref(), Some("TOKEN"));
        // base64 of `user:ghp_0123456789abcdef`, as Docker's configuration has it.
        assert_eq!(find("\"auth\": \"dXNlcjpnaHBfMDEyMzQ1Njc4OWFiY2RlZg==\"").as_deref(), Some("TOKEN"));
        assert_eq!(find("postgres ghp_0123456789"), None);
        for before in [3 << 20, PIECE - 20, PIECE - 7, PIECE, 2 * PIECE - MOST, 2 * PIECE - MOST - 9] {
            let mut large = vec![b'x'; before];
            large.extend_from_slice(b"ghp_0123456789abcdef");
            assert_eq!(search.read(&large[..]).unwrap(), Some("TOKEN"), "{before}");
            assert_eq!(search.read(&large[..large.len() - 1]).unwrap(), None, "{before}");
        }
        assert_eq!(format!("{search:?}"), r#"Search { names: ["TOKEN", "PASSWORD"], .. }"#);
    }
}
