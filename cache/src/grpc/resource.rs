//! Resource names of `ByteStream`, as REAPI spells them:
//!
//! ```text
//! {instance}/blobs/{function}/{hash}/{size}                       to read
//! {instance}/uploads/{uuid}/blobs/{function}/{hash}/{size}{/…}    to write; what follows is ignored
//! ```
//!
//! With `compressed-blobs/zstd` in place of `blobs`, what is sent is compressed; hash and size are those of the blob. The function
//! is left out for SHA-256, and the instance with its slash where it is empty.

use std::fmt;

use cullet_digest::{Digest, DigestFunction};

/// A blob as a resource.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Resource {
    pub(crate) instance: String,
    /// The name of an upload, where it is one.
    pub(crate) upload: Option<String>,
    pub(crate) digest: Digest,
    /// Whether it travels as Zstandard frames.
    pub(crate) compressed: bool,
}

/// Longest resource name and longest name of an upload. REAPI asks for a UUID, which has 36 characters.
const LONGEST: usize = 1024;
const LONGEST_UPLOAD: usize = 64;

/// Segments that REAPI forbids in an instance name, which is what makes these names unambiguous.
const KEYWORDS: [&str; 8] = [
    "blobs",
    "uploads",
    "actions",
    "actionResults",
    "operations",
    "capabilities",
    "compressed-blobs",
    "encoded-blobs",
];

impl Resource {
    /// Reads a name, or says what is wrong with it.
    pub(crate) fn parse(name: &str) -> Result<Self, &'static str> {
        if name.len() > LONGEST {
            return Err("it is longer than 1024 bytes");
        }
        let segments: Vec<&str> = name.split('/').collect();
        let keyword = segments
            .iter()
            .position(|segment| KEYWORDS.contains(segment))
            .ok_or("it has neither /blobs/ nor /uploads/")?;
        let (instance, rest) = segments.split_at(keyword);
        if instance.iter().any(|segment| segment.is_empty()) {
            return Err("its instance name has an empty part");
        }
        let instance = instance.join("/");
        let (upload, blob) = match rest {
            ["uploads", upload, blob @ ..] => (Some((*upload).to_owned()), blob),
            blob => (None, blob),
        };
        if upload.as_ref().is_some_and(|upload| upload.is_empty() || upload.len() > LONGEST_UPLOAD) {
            return Err("the name of an upload has 1 to 64 characters");
        }
        let (compressed, digest) = match blob {
            ["blobs", digest @ ..] => (false, digest),
            ["compressed-blobs", "zstd", digest @ ..] => (true, digest),
            ["compressed-blobs", ..] => return Err("blobs are compressed with zstd, or not at all"),
            _ => return Err("it is neither {instance}/blobs/… nor {instance}/uploads/{uuid}/blobs/…"),
        };
        let (digest, after) = parse_digest(digest)?;
        if upload.is_none() && !after.is_empty() {
            return Err("something follows the size");
        }
        Ok(Self { instance, upload, digest, compressed })
    }
}

fn parse_digest<'a>(segments: &'a [&'a str]) -> Result<(Digest, &'a [&'a str]), &'static str> {
    let (function, segments) = match segments.split_first() {
        Some((first, rest)) if first.len() < 64 => {
            (first.parse().map_err(|_| "its digest function is neither blake3 nor sha256")?, rest)
        }
        _ => (DigestFunction::Sha256, segments),
    };
    let [hash, size, after @ ..] = segments else { return Err("it lacks a hash or a size") };
    let digest = Digest::parse(function, &format!("{hash}/{size}"))
        .map_err(|_| "its hash is not 64 lower-case hexadecimal digits, or its size is no number of bytes")?;
    Ok((digest, after))
}

impl fmt::Display for Resource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.instance.is_empty() {
            write!(f, "{}/", self.instance)?;
        }
        if let Some(upload) = &self.upload {
            write!(f, "uploads/{upload}/")?;
        }
        let blobs = if self.compressed { "compressed-blobs/zstd" } else { "blobs" };
        match self.digest.function() {
            DigestFunction::Sha256 => write!(f, "{blobs}/{}", self.digest),
            function => write!(f, "{blobs}/{function}/{}", self.digest),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_survive_printing_and_parsing() {
        for function in DigestFunction::ALL {
            for instance in ["", "main", "a/b"] {
                for upload in [None, Some("0-0-0".to_owned())] {
                    for compressed in [false, true] {
                        let (instance, upload) = (instance.to_owned(), upload.clone());
                        let digest = function.digest(b"hello");
                        let resource = Resource { instance, upload, digest, compressed };
                        assert_eq!(Resource::parse(&resource.to_string()), Ok(resource));
                    }
                }
            }
        }
        let hash = DigestFunction::Sha256.digest(b"hello").hash_hex();
        let with_metadata = Resource::parse(&format!("uploads/u/blobs/{hash}/5/out/file.o")).unwrap();
        assert_eq!(with_metadata.digest.size(), 5);
        let named = Resource::parse(&format!("blobs/sha256/{hash}/5")).unwrap();
        assert_eq!(named.digest.function(), DigestFunction::Sha256);
    }

    #[test]
    fn any_parts_in_any_order_are_a_name_or_none() {
        let hash = DigestFunction::Blake3.digest(b"hello").hash_hex();
        let parts = [
            "blobs",
            "uploads",
            "compressed-blobs",
            "zstd",
            "blake3",
            "sha256",
            "actions",
            "main",
            "",
            "..",
            "5",
            "-5",
            "18446744073709551616",
            "\0",
            "é",
            &hash,
            &hash[1..],
        ];
        let mut names = 0;
        for seed in 0..20_000 {
            let mut rng = fastrand::Rng::with_seed(seed);
            let mut name = vec!["main", "uploads", "u", "blobs", "blake3", &hash, "5"];
            name.drain(..rng.usize(..4));
            for _ in 0..rng.usize(..4) {
                let (from, to) = (rng.usize(..=name.len()), rng.usize(..=name.len()));
                let part = parts[rng.usize(..parts.len())];
                name.splice(from.min(to)..(from.min(to) + rng.usize(..2)).min(name.len()), [part]);
            }
            let name = name.join("/");
            if let Ok(resource) = Resource::parse(&name) {
                assert_eq!(Resource::parse(&resource.to_string()), Ok(resource), "seed {seed}: {name}");
                names += 1;
            }
        }
        assert!((1000..19_000).contains(&names), "{names}");
    }

    #[test]
    fn what_is_no_name_is_refused() {
        let hash = DigestFunction::Sha256.digest(b"hello").hash_hex();
        for name in [
            String::new(),
            "blobs".to_owned(),
            format!("blobs/{hash}"),
            format!("blobs/{hash}/-1"),
            format!("blobs/{hash}/5/more"),
            format!("blobs/{}/5", hash.to_uppercase()),
            format!("blobs/md5/{hash}/5"),
            format!("/blobs/{hash}/5"),
            format!("a//blobs/{hash}/5"),
            format!("uploads//blobs/{hash}/5"),
            format!("uploads/u/{hash}/5"),
            format!("uploads/{}/blobs/{hash}/5", "u".repeat(65)),
            format!("compressed-blobs/deflate/{hash}/5"),
            format!("compressed-blobs/identity/{hash}/5"),
            format!("compressed-blobs/{hash}/5"),
            format!("uploads/u/compressed-blobs/zstd/{hash}"),
            format!("uploads/u/uploads/u/blobs/{hash}/5"),
            format!("actions/blobs/{hash}/5"),
            format!("{}/blobs/{hash}/5", "i".repeat(1024)),
        ] {
            assert!(Resource::parse(&name).is_err(), "{name}");
        }
    }
}
