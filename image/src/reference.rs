//! What people write where an image is asked for.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use oci_spec::distribution;

use crate::Digest;

/// Where an image is, and which one.
///
/// ```
/// use cullet_image::Reference;
///
/// let read = |text: &str| text.parse::<Reference>().map(|it| it.to_string());
/// assert_eq!(read("debian:12").unwrap(), "docker.io/library/debian:12");
/// assert_eq!(read("oci-layout:images/app:1.0").unwrap(), "oci-layout:images/app:1.0");
/// assert!(read("Debian").is_err());
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reference {
    /// In a registry: `[HOST[:PORT]/]NAME[:TAG][@DIGEST]`. A first component without a dot and a port is no host but
    /// part of a name on Docker Hub, as `docker` has it.
    Registry(RegistryReference),
    /// In a directory in the form of the OCI image layout: `oci-layout:DIR[:TAG][@DIGEST]`. What follows the last
    /// colon after the last slash is the tag; a digest is taken where both were written.
    Layout {
        /// The directory, as written.
        dir: PathBuf,
        /// Which image; without one there has to be only one.
        which: Option<Pick>,
    },
    /// In a file that `docker save` wrote: `docker-archive:FILE[:NAME]`. What follows the first colon is the name.
    Archive {
        /// The file, as written.
        file: PathBuf,
        /// Name and tag, as they stand in the archive; without one there has to be only one image.
        name: Option<String>,
    },
}

/// An image in a registry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RegistryReference {
    /// Host and port, such as `docker.io`: what people call it. [`crate::RegistryOptions`] says where it answers.
    pub registry: String,
    /// Such as `library/debian`.
    pub repository: String,
    /// By tag or digest; a digest is taken where both were written.
    pub which: Pick,
}

/// One of several images that have the same place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Pick {
    /// By name.
    Tag(String),
    /// By content.
    Digest(Digest),
}

/// A text that names no image.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` names no image: {problem}")]
pub struct ReferenceError {
    /// What was written.
    pub text: String,
    /// What is wrong with it, and what is expected instead.
    pub problem: String,
}

const LAYOUT: &str = "oci-layout:";
const ARCHIVE: &str = "docker-archive:";
/// OCI distribution-spec, "Pulling manifests".
const LONGEST_TAG: usize = 128;

impl Reference {
    /// The same with a relative file or directory taken from `base`.
    #[must_use]
    pub fn relative_to(self, base: &Path) -> Self {
        match self {
            Self::Layout { dir, which } => Self::Layout { dir: base.join(dir), which },
            Self::Archive { file, name } => Self::Archive { file: base.join(file), name },
            registry @ Self::Registry(_) => registry,
        }
    }
}

impl FromStr for Reference {
    type Err = ReferenceError;

    fn from_str(text: &str) -> Result<Self, ReferenceError> {
        let read = if let Some(rest) = text.strip_prefix(LAYOUT) {
            layout(rest)
        } else if let Some(rest) = text.strip_prefix(ARCHIVE) {
            archive(rest)
        } else {
            registry(text).map(Self::Registry)
        };
        read.map_err(|problem| ReferenceError { text: text.to_owned(), problem })
    }
}

fn layout(rest: &str) -> Result<Reference, String> {
    // A directory may have the sign in its name; a digest has a colon and no slash.
    let name = rest.rfind('/').map_or(0, |slash| slash + 1);
    let (dir, which) = if let Some((dir, digest)) =
        rest.rsplit_once('@').filter(|(_, digest)| !digest.contains('/') && digest.contains(':'))
    {
        let digest = digest.parse().map_err(|error: crate::DigestError| error.to_string())?;
        // As in a registry, the digest decides where both were written.
        let (dir, _) = dir
            .rsplit_once(':')
            .filter(|(before, tag)| before.len() >= name && checked_tag(tag).is_ok())
            .unwrap_or((dir, ""));
        (dir, Some(Pick::Digest(digest)))
    } else if let Some(colon) = rest[name..].rfind(':') {
        let (dir, tag) = (&rest[..name + colon], &rest[name + colon + 1..]);
        (dir, Some(Pick::Tag(checked_tag(tag)?.to_owned())))
    } else {
        (rest, None)
    };
    if dir.is_empty() {
        return Err("after `oci-layout:` comes a directory, then perhaps `:TAG` or `@sha256:...`".to_owned());
    }
    Ok(Reference::Layout { dir: dir.into(), which })
}

fn archive(rest: &str) -> Result<Reference, String> {
    let (file, name) = rest.split_once(':').map_or((rest, None), |(file, name)| (file, Some(name)));
    if file.is_empty() || name == Some("") {
        return Err("after `docker-archive:` comes a file, then perhaps `:NAME`".to_owned());
    }
    Ok(Reference::Archive { file: file.into(), name: name.map(str::to_owned) })
}

fn checked_tag(tag: &str) -> Result<&str, String> {
    let word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    let good = tag.len() <= LONGEST_TAG
        && tag.bytes().next().is_some_and(word)
        && tag.bytes().all(|byte| word(byte) || byte == b'.' || byte == b'-');
    let wrong = "is not a tag: letters, digits, `_`, `.` and `-`, at most 128";
    if good { Ok(tag) } else { Err(format!("`{tag}` {wrong}")) }
}

fn registry(text: &str) -> Result<RegistryReference, String> {
    if text.contains("://") {
        return Err("leave out the scheme; plain HTTP is a setting of the registry".to_owned());
    }
    let read: distribution::Reference = text.parse().map_err(|error| explained(text, &error))?;
    let which = match (read.digest(), read.tag()) {
        (Some(digest), _) => {
            Pick::Digest(digest.parse().map_err(|error: crate::DigestError| error.to_string())?)
        }
        (None, tag) => Pick::Tag(tag.unwrap_or("latest").to_owned()),
    };
    Ok(RegistryReference {
        registry: read.registry().to_owned(),
        repository: read.repository().to_owned(),
        which,
    })
}

fn explained(text: &str, error: &distribution::ParseError) -> String {
    if text.to_lowercase().parse::<distribution::Reference>().is_ok() {
        return "names of repositories are in lower case".to_owned();
    }
    match error {
        distribution::ParseError::ReferenceInvalidFormat | distribution::ParseError::NameEmpty => {
            "write [HOST[:PORT]/]NAME[:TAG][@sha256:...], oci-layout:DIR or docker-archive:FILE".to_owned()
        }
        other => other.to_string(),
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Registry(reference) => reference.fmt(f),
            Self::Layout { dir, which: None } => write!(f, "{LAYOUT}{}", dir.display()),
            Self::Layout { dir, which: Some(which) } => write!(f, "{LAYOUT}{}{which}", dir.display()),
            Self::Archive { file, name: None } => write!(f, "{ARCHIVE}{}", file.display()),
            Self::Archive { file, name: Some(name) } => write!(f, "{ARCHIVE}{}:{name}", file.display()),
        }
    }
}

impl fmt::Display for RegistryReference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}{}", self.registry, self.repository, self.which)
    }
}

/// With the sign that goes before it.
impl fmt::Display for Pick {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tag(tag) => write!(f, ":{tag}"),
            Self::Digest(digest) => write!(f, "@{digest}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIGEST: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    fn shown(text: &str) -> String {
        text.parse::<Reference>().unwrap_or_else(|error| panic!("{error}")).to_string()
    }

    #[test]
    fn registries_are_read_as_docker_reads_them() {
        for (text, expected) in [
            ("debian", "docker.io/library/debian:latest"),
            ("debian:12", "docker.io/library/debian:12"),
            ("user/app", "docker.io/user/app:latest"),
            ("docker.io/debian:12", "docker.io/library/debian:12"),
            ("index.docker.io/debian:12", "docker.io/library/debian:12"),
            ("localhost/app:1", "localhost/app:1"),
            ("127.0.0.1:5000/a/b/c:1.0-x", "127.0.0.1:5000/a/b/c:1.0-x"),
            ("registry.example.com/app", "registry.example.com/app:latest"),
        ] {
            assert_eq!(shown(text), expected);
        }
        let both = format!("example.com/app:1@{DIGEST}");
        assert_eq!(shown(&both), format!("example.com/app@{DIGEST}"), "the digest decides");
    }

    #[test]
    fn files_and_directories() {
        for text in [
            "oci-layout:dir",
            "oci-layout:/a:b/dir:1.0",
            "oci-layout:/a@b/dir",
            "oci-layout:/a@b/dir:1.0",
            "docker-archive:app.tar",
            "docker-archive:app.tar:example.com:5000/app:1",
        ] {
            assert_eq!(shown(text), text);
        }
        let text = format!("oci-layout:a/dir@{DIGEST}");
        assert_eq!(shown(&text), text);
        for (both, expected) in
            [("a/dir:1.0", "a/dir"), ("a:b/dir", "a:b/dir"), ("dir:1", "dir"), ("d:a b", "d:a b")]
        {
            let shown = shown(&format!("oci-layout:{both}@{DIGEST}"));
            assert_eq!(shown, format!("oci-layout:{expected}@{DIGEST}"), "the digest decides");
        }
        assert!(format!("oci-layout::1.0@{DIGEST}").parse::<Reference>().is_err());
        let read: Reference = "oci-layout:/a:b/dir".parse().unwrap();
        assert_eq!(read, Reference::Layout { dir: "/a:b/dir".into(), which: None });
        let moved = "docker-archive:x.tar".parse::<Reference>().unwrap().relative_to(Path::new("/p"));
        assert_eq!(moved.to_string(), "docker-archive:/p/x.tar");
    }

    #[test]
    fn errors_say_what_is_expected() {
        for (text, part) in [
            ("", "write [HOST"),
            ("Debian", "lower case"),
            ("https://example.com/app", "scheme"),
            ("example.com/app:-x", "write [HOST"),
            ("example.com/app@sha256:12", "write [HOST"),
            ("oci-layout:", "directory"),
            ("oci-layout:dir:a b", "not a tag"),
            ("oci-layout:dir@sha256:12", "64 lower-case"),
            ("docker-archive:", "comes a file"),
            ("docker-archive:a.tar:", "perhaps `:NAME`"),
        ] {
            let error = text.parse::<Reference>().unwrap_err().to_string();
            assert!(error.contains(part), "{text}: {error}");
        }
    }
}
