//! What `cullet.lock` says, apart from the file it is in. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::marker::PhantomData;

use cullet_image::{Digest, Platform};
use serde::de::{Error as _, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

/// The digest of the manifest that each reference means on each platform. References stand as they are written in the
/// pipeline, so that a person finds them and nobody has to know how they are completed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Lock {
    images: BTreeMap<String, BTreeMap<String, Digest>>,
}

/// The version of the file that is read and written.
const VERSION: u64 = 1;

/// Why a text is no lock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum LockProblem {
    /// It is one of another version.
    Version(u64),
    /// It is damaged, or something else.
    Text {
        /// From 1.
        line: usize,
        /// From 1.
        column: usize,
        /// What is wrong.
        message: String,
    },
}

impl LockProblem {
    fn json(error: &serde_json::Error) -> Self {
        let text = error.to_string();
        // The place is told apart from the sentence.
        let message = text.rsplit_once(" at line ").map_or(text.as_str(), |(message, _)| message).to_owned();
        Self::Text { line: error.line().max(1), column: error.column().max(1), message }
    }
}

/// Whatever the version; the rest may be anything.
#[derive(Deserialize)]
struct Head {
    version: u64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Read {
    #[expect(dead_code, reason = "read with the head; here it is a key that may be there")]
    version: u64,
    images: Unique<String, Unique<OfPlatform, Digest>>,
}

#[derive(Serialize)]
struct Written<'a> {
    version: u64,
    images: &'a BTreeMap<String, BTreeMap<String, Digest>>,
}

impl Lock {
    pub(super) fn parse(text: &str) -> Result<Self, LockProblem> {
        let head: Head = serde_json::from_str(text).map_err(|error| LockProblem::json(&error))?;
        if head.version != VERSION {
            return Err(LockProblem::Version(head.version));
        }
        let read: Read = serde_json::from_str(text).map_err(|error| LockProblem::json(&error))?;
        let platforms = |platforms: Unique<OfPlatform, Digest>| {
            platforms.0.into_iter().map(|(platform, digest)| (platform.0, digest)).collect()
        };
        let images = read.images.0.into_iter().map(|(reference, of)| (reference, platforms(of)));
        Ok(Self { images: images.collect() })
    }

    /// One form for one content: sorted, a line for each digest, so that changes are read and merged line by line.
    pub(crate) fn render(&self) -> String {
        let written = Written { version: VERSION, images: &self.images };
        // Maps of texts: there is nothing that could fail.
        serde_json::to_string_pretty(&written).unwrap_or_default() + "\n"
    }

    pub(crate) fn get(&self, reference: &str, platform: &Platform) -> Option<Digest> {
        self.images.get(reference)?.get(&platform.to_string()).copied()
    }

    pub(crate) fn set(&mut self, reference: &str, platform: &Platform, digest: Digest) {
        self.images.entry(reference.to_owned()).or_default().insert(platform.to_string(), digest);
    }

    /// Keeps only images and platforms for which `keep(reference, platform)`, and gives what went.
    pub(crate) fn retain(&mut self, keep: impl Fn(&str, &str) -> bool) -> Vec<(String, String)> {
        let mut gone = Vec::new();
        for (reference, platforms) in &mut self.images {
            platforms.retain(|platform, _| {
                let kept = keep(reference, platform);
                if !kept {
                    gone.push((reference.clone(), platform.clone()));
                }
                kept
            });
        }
        self.images.retain(|_, platforms| !platforms.is_empty());
        gone
    }

    /// The references.
    pub(crate) fn references(&self) -> impl Iterator<Item = &str> {
        self.images.keys().map(String::as_str)
    }

    /// Every platform that some image is locked for.
    pub(crate) fn platforms(&self) -> Vec<Platform> {
        let all: BTreeSet<&String> = self.images.values().flat_map(BTreeMap::keys).collect();
        // They were made of platforms.
        all.into_iter().filter_map(|text| text.parse().ok()).collect()
    }
}

/// A map whose keys are there once: of two, one would be silently ignored.
struct Unique<K, V>(BTreeMap<K, V>);

impl<'de, K: Deserialize<'de> + Ord + fmt::Display, V: Deserialize<'de>> Deserialize<'de> for Unique<K, V> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_map(UniqueVisitor(PhantomData))
    }
}

struct UniqueVisitor<K, V>(PhantomData<(K, V)>);

impl<'de, K: Deserialize<'de> + Ord + fmt::Display, V: Deserialize<'de>> Visitor<'de>
    for UniqueVisitor<K, V>
{
    type Value = Unique<K, V>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Self::Value, A::Error> {
        let mut map = BTreeMap::new();
        while let Some(key) = entries.next_key::<K>()? {
            if map.contains_key(&key) {
                return Err(A::Error::custom(format_args!("the key `{key}` is there twice")));
            }
            map.insert(key, entries.next_value()?);
        }
        Ok(Unique(map))
    }
}

/// A platform in the form in which it is compared.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct OfPlatform(String);

impl fmt::Display for OfPlatform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for OfPlatform {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        let platform: Platform = text.parse().map_err(D::Error::custom)?;
        let usual = platform.to_string();
        if usual == text {
            Ok(Self(text))
        } else {
            Err(D::Error::custom(format_args!("write `{text}` as `{usual}`")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    fn filled() -> Lock {
        let mut lock = Lock::default();
        let digest = |text: &str| Digest::of(text.as_bytes());
        for (reference, platform) in
            [("b/x:1", "linux/arm64"), ("oci-layout:dir", "linux/amd64"), ("b/x:1", "linux/amd64")]
        {
            lock.set(reference, &platform.parse().unwrap(), digest(platform));
        }
        lock
    }

    #[test]
    fn the_text_is_sorted_and_read_as_it_was_written() {
        let text = filled().render();
        let lines: Vec<&str> = text.lines().map(str::trim).collect();
        let keys: Vec<&str> = lines.iter().filter_map(|line| line.split('"').nth(1)).collect();
        let expected =
            ["version", "images", "b/x:1", "linux/amd64", "linux/arm64", "oci-layout:dir", "linux/amd64"];
        assert_eq!(keys, expected);
        assert!(text.ends_with("}\n"), "{text}");
        assert_eq!(Lock::parse(&text).unwrap(), filled());
        assert_eq!(Lock::parse(&text.replace('\n', "\r\n")).unwrap(), filled(), "as Git may check it out");
        assert_eq!(Lock::parse("{\"version\": 1, \"images\": {}}").unwrap(), Lock::default());
    }

    #[test]
    fn what_is_wrong_is_said_with_its_place() {
        let wrong = |text: &str| match Lock::parse(text).unwrap_err() {
            LockProblem::Text { line, column, message } => format!("{line}:{column}: {message}"),
            LockProblem::Version(version) => format!("version {version}"),
        };
        let of = |images: &str| format!("{{\"version\": 1,\n\"images\": {{{images}}}}}");
        assert_eq!(wrong("{\"version\": 2, \"pictures\": []}"), "version 2");
        assert_eq!(wrong(""), "1:1: EOF while parsing a value");
        assert!(wrong("<<<<<<< HEAD").starts_with("1:1: expected value"));
        assert!(wrong("{}").contains("missing field `version`"));
        let unknown = wrong("{\"version\": 1, \"images\": {}, \"x\": 0}");
        assert!(unknown.contains("unknown field `x`"), "{unknown}");
        let entry = |reference: &str, platform: &str| format!("\"{reference}\": {{\"{platform}\": \"{A}\"}}");
        let one = entry("a/b", "linux/amd64");
        let twice = wrong(&of(&format!("{one},\n{one}")));
        assert!(twice.starts_with("3:") && twice.ends_with("the key `a/b` is there twice"), "{twice}");
        let twice = wrong(&of(&format!("\"a\": {{\"linux/arm\": \"{A}\"}}")));
        assert!(twice.ends_with("write `linux/arm` as `linux/arm/v7`"), "{twice}");
        assert!(wrong(&of(&entry("a/b", "amd64"))).contains("`amd64` is not a platform"));
        let digest = wrong(&of("\"a/b\": {\"linux/amd64\": \"sha256:00\"}"));
        assert!(digest.starts_with("2:") && digest.contains("is not a digest"), "{digest}");
        let cut = filled().render();
        assert!(Lock::parse(&cut[..cut.len() / 2]).is_err());
    }

    #[test]
    fn what_is_not_kept_is_told() {
        let mut lock = filled();
        let gone = lock.retain(|reference, platform| reference == "b/x:1" && platform == "linux/arm64");
        let gone: Vec<(&str, &str)> = gone.iter().map(|(a, b)| (a.as_str(), b.as_str())).collect();
        assert_eq!(gone, [("b/x:1", "linux/amd64"), ("oci-layout:dir", "linux/amd64")]);
        assert_eq!(lock.references().collect::<Vec<_>>(), ["b/x:1"]);
        assert_eq!(lock.platforms(), ["linux/arm64".parse().unwrap()]);
    }
}
