//! Lines of the journal: an entry as JSON, and a signature over exactly these bytes, whatever a later version adds to entries.

use cullet_cache::{PublicKey, SigningKey};

use super::bytes::{from_hex, hex, sha256};
use super::entry::Entry;

/// What comes before every signed entry, so that no other text with a signature of the same key is one.
const CONTEXT: &[u8] = b"cullet break-glass entry 1\0";

const HEAD: &str = "{\"entry\":";
const KEY: &str = ",\"key\":\"";
const SIGNATURE: &str = "\",\"signature\":\"";
const END: &str = "\"}";

/// Digits of a key as it is written, and of a signature.
const KEY_LEN: usize = 72;
const SIGNATURE_LEN: usize = 128;

/// A line that has the form of one; nobody has looked at its signature yet.
#[derive(Debug, Clone)]
pub struct Line<'a> {
    body: &'a str,
    /// Who is to have signed it.
    pub key: PublicKey,
    signature: [u8; 64],
    /// What it says.
    pub entry: Entry,
}

/// The line of an entry, without its end.
///
/// # Errors
/// None that is known: serialising says that it could fail.
pub fn seal(entry: &Entry, key: &SigningKey) -> Result<String, serde_json::Error> {
    let body = serde_json::to_string(entry)?;
    let signature = hex(&key.sign(&signed(&body)));
    Ok(format!("{HEAD}{body}{KEY}{}{SIGNATURE}{signature}{END}", key.public()))
}

/// What the line behind this one calls it.
pub fn hash(line: &[u8]) -> String {
    hex(&sha256(line))
}

fn signed(body: &str) -> Vec<u8> {
    [CONTEXT, body.as_bytes()].concat()
}

impl<'a> Line<'a> {
    /// Reads a line without its end; none where it is not one.
    pub fn parse(line: &'a [u8]) -> Option<Self> {
        let text = std::str::from_utf8(line).ok()?.strip_prefix(HEAD)?.strip_suffix(END)?;
        let tail = KEY.len() + KEY_LEN + SIGNATURE.len() + SIGNATURE_LEN;
        let (body, tail) = text.split_at_checked(text.len().checked_sub(tail)?)?;
        let (key, rest) = tail.strip_prefix(KEY)?.split_at_checked(KEY_LEN)?;
        let signature = from_hex(rest.strip_prefix(SIGNATURE)?)?.try_into().ok()?;
        let entry = serde_json::from_str(body).ok()?;
        Some(Self { body, key: key.parse().ok()?, signature, entry })
    }

    /// Whether the owner of the key that it names signed it.
    pub fn is_sound(&self) -> bool {
        self.key.signed(&signed(self.body), &self.signature)
    }
}

/// The whole lines of a journal, without their ends.
pub fn lines(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    bytes.split_inclusive(|byte| *byte == b'\n').filter_map(|line| line.strip_suffix(b"\n"))
}
