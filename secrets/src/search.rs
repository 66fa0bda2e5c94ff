//! Values in files that a step leaves.

use std::fmt;
use std::io::{self, Read};

use aho_corasick::AhoCorasick;

use crate::forms::Forms;
use crate::mask::{Unmaskable, table};
use crate::value::SecretValue;

/// The shortest form that is looked for in files. Passwords of test databases are words that programs are full of; tokens and
/// keys are longer.
const SHORTEST: usize = 12;

/// Of a long form its beginning says enough.
const MOST: usize = 256;

/// How much of a file is in memory.
const PIECE: usize = 256 << 10;

/// Looks for values, as they are and encoded.
pub struct Search {
    finder: Option<AhoCorasick>,
    /// For each pattern, which secret it is of.
    owners: Vec<usize>,
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
        let (mut patterns, mut owners, mut names) = (Vec::new(), Vec::new(), Vec::new());
        for (owner, (name, value)) in secrets.into_iter().enumerate() {
            names.push(name.to_owned());
            for form in Forms::whole(value).iter().filter(|form| form.len() >= SHORTEST) {
                patterns.push(form[..form.len().min(MOST)].to_vec());
                owners.push(owner);
            }
        }
        let table = (!patterns.is_empty()).then(|| table(&patterns));
        let finder = table.transpose()?;
        Ok(Self { finder, owners, names })
    }

    /// The name of a secret whose value is in there.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn read(&self, mut from: impl Read) -> io::Result<Option<&str>> {
        if self.is_idle() {
            return Ok(None);
        }
        // In large pieces: a stream is searched byte by byte, a piece several times as fast.
        let mut buffer = vec![0; PIECE];
        let mut filled = 0;
        loop {
            let count = match from.read(&mut buffer[filled..]) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                count => count?,
            };
            filled += count;
            if count > 0 && filled < buffer.len() {
                continue;
            }
            if let Some(name) = self.bytes(&buffer[..filled]) {
                return Ok(Some(name));
            }
            if count == 0 {
                return Ok(None);
            }
            // What may be the beginning of a value.
            buffer.copy_within(filled - (MOST - 1).., 0);
            filled = MOST - 1;
        }
    }

    /// The name of a secret whose value is in these bytes.
    #[must_use]
    pub fn bytes(&self, bytes: &[u8]) -> Option<&str> {
        let found = self.finder.as_ref()?.find(bytes)?;
        self.name(found.pattern().as_usize())
    }

    /// Whether it finds nothing anyway.
    #[must_use]
    pub const fn is_idle(&self) -> bool {
        self.finder.is_none()
    }

    fn name(&self, pattern: usize) -> Option<&str> {
        self.owners.get(pattern).and_then(|owner| self.names.get(*owner)).map(String::as_str)
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
