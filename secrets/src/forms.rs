//! The forms in which a value gets into an output: as it is, line by line, and encoded in the usual ways.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};
use zeroize::Zeroize as _;

use crate::value::{SHORTEST, SecretValue, trimmed};

/// The shortest line of a value with several that is looked for by itself: braces and brackets are no secrets.
const SHORTEST_LINE: usize = 8;

/// Where programs break lines of base64: OpenSSL and PEM, coreutils and MIME.
const LINE_LENGTHS: [usize; 2] = [64, 76];

/// From this length on base64 has several lines.
const SHORTEST_WRAPPED: usize = 48;

/// What percent-encoding keeps of ASCII besides letters and digits: RFC 3986 (unreserved, and whole path segments), Python's
/// paths, HTML forms, `encodeURIComponent`, `encodeURI`, Go's segments of paths and its users and passwords, and those of
/// the URL standard of browsers.
const KEPT: [&str; 9] = [
    "-._~",
    "-._~!$&'()*+,;=:@",
    "/-._~",
    "-._*",
    "-_.!~*'()",
    "-_.!~*'();/?:@&=+$,#",
    "-._~$&+=:@",
    "-._~$&+,;=",
    "-._~!$%&'()*+,",
];

/// Forms, each once, overwritten when they are dropped.
#[derive(Default)]
pub(crate) struct Forms {
    plain: BTreeSet<Vec<u8>>,
    /// Of characters of encodings alone, which programs break into lines.
    wrapped: BTreeSet<Vec<u8>>,
}

impl Forms {
    /// All forms of a value.
    pub(crate) fn all(value: &SecretValue) -> Self {
        let mut forms = Self::whole(value);
        let whole = trimmed(value.expose());
        for line in whole.split(|byte| *byte == b'\n').map(trimmed) {
            if line.len() >= SHORTEST_LINE && line.len() < whole.len() {
                forms.encoded(line);
            }
        }
        if whole.len() >= SHORTEST_WRAPPED {
            let text = STANDARD.encode(value.expose());
            for length in LINE_LENGTHS {
                let lines = text.as_bytes().chunks(length).filter(|line| line.len() >= SHORTEST_LINE);
                // Each by itself, because some programs write something in front of every line.
                lines.for_each(|line| forms.add_wrapped(line.to_vec()));
            }
        }
        forms
    }

    /// The forms of the value as one.
    pub(crate) fn whole(value: &SecretValue) -> Self {
        let mut forms = Self::default();
        // A line end behind the value belongs to what is printed, unless it was encoded with it.
        forms.base64(value.expose());
        forms.encoded(trimmed(value.expose()));
        forms
    }

    /// Those that are looked for as they are.
    pub(crate) fn plain(&self) -> impl Iterator<Item = &[u8]> {
        self.plain.iter().map(Vec::as_slice)
    }

    /// Those that are looked for across breaks as well.
    pub(crate) fn wrapped(&self) -> impl Iterator<Item = &[u8]> {
        self.wrapped.iter().map(Vec::as_slice)
    }

    fn encoded(&mut self, bytes: &[u8]) {
        self.add(bytes.to_vec());
        self.base64(bytes);
        let lower = hex(bytes);
        self.add_wrapped(lower.to_ascii_uppercase().into_bytes());
        self.add_wrapped(lower.into_bytes());
        self.percent(bytes);
        if let Ok(text) = std::str::from_utf8(bytes) {
            self.json(text);
            // As `set -x` of a shell shows it.
            self.add(text.replace('\'', "'\\''").into_bytes());
        }
    }

    /// Whatever stands before it in what was encoded: each byte falls on one of three places in a group. A character that
    /// has bits of what is around it as well is left out.
    fn base64(&mut self, bytes: &[u8]) {
        for engine in [&STANDARD, &URL_SAFE] {
            self.add_wrapped(engine.encode(bytes).into_bytes());
        }
        for before in 0..3 {
            let mut padded = vec![0; before];
            padded.extend_from_slice(bytes);
            let first = (before * 8).div_ceil(6);
            let last = padded.len() * 8 / 6;
            for engine in [&STANDARD_NO_PAD, &URL_SAFE_NO_PAD] {
                let mut text = engine.encode(&padded).into_bytes();
                if let Some(certain) = text.get(first..last) {
                    self.add_wrapped(certain.to_vec());
                }
                text.zeroize();
            }
            padded.zeroize();
        }
    }

    /// With upper and lower case digits.
    fn percent(&mut self, bytes: &[u8]) {
        for kept in KEPT {
            for upper in [true, false] {
                let text = percent(bytes, kept, upper);
                self.add(text.replace("%20", "+").into_bytes());
                self.add(text.into_bytes());
            }
        }
    }

    /// Between the quotes; as most programs write it, in ASCII alone, and safe for HTML.
    fn json(&mut self, text: &str) {
        let Ok(quoted) = serde_json::to_string(text) else { return };
        let plain = quoted.get(1..quoted.len() - 1).unwrap_or_default();
        let mut ascii = String::with_capacity(plain.len());
        for character in plain.chars() {
            if character.is_ascii() && character != '\u{7f}' {
                ascii.push(character);
            } else {
                let mut units = [0; 2];
                for unit in character.encode_utf16(&mut units) {
                    let _ = write!(ascii, "\\u{unit:04x}");
                }
            }
        }
        let html = plain.replace('<', "\\u003c").replace('>', "\\u003e").replace('&', "\\u0026");
        self.add(plain.replace('/', "\\/").into_bytes());
        for form in [ascii, html, plain.to_owned()] {
            self.add(form.into_bytes());
        }
    }

    fn add(&mut self, form: Vec<u8>) {
        insert(&mut self.plain, form);
    }

    fn add_wrapped(&mut self, form: Vec<u8>) {
        insert(&mut self.wrapped, form);
    }
}

impl Drop for Forms {
    fn drop(&mut self) {
        for forms in [&mut self.plain, &mut self.wrapped] {
            while let Some(mut form) = forms.pop_first() {
                form.zeroize();
            }
        }
    }
}

fn insert(forms: &mut BTreeSet<Vec<u8>>, mut form: Vec<u8>) {
    if form.len() < SHORTEST || forms.contains(&form) {
        form.zeroize();
    } else {
        forms.insert(form);
    }
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn percent(bytes: &[u8], kept: &str, upper: bool) -> String {
    let mut text = String::with_capacity(3 * bytes.len());
    for byte in bytes {
        if byte.is_ascii_alphanumeric() || kept.as_bytes().contains(byte) {
            text.push(char::from(*byte));
        } else if upper {
            let _ = write!(text, "%{byte:02X}");
        } else {
            let _ = write!(text, "%{byte:02x}");
        }
    }
    text
}
