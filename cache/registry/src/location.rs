//! Where the repository is, as a user writes it.

use std::fmt;
use std::str::FromStr;

use cullet_cache::StoreError;
use cullet_image::{Reference, RegistryReference};

/// A repository of a registry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Location {
    /// Host and port.
    pub(crate) registry: String,
    /// Such as `team/cache`.
    pub(crate) repository: String,
}

const SCHEME: &str = "oci://";

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{SCHEME}{}/{}", self.registry, self.repository)
    }
}

impl FromStr for Location {
    type Err = StoreError;

    fn from_str(text: &str) -> Result<Self, StoreError> {
        // Never repeated in a message: somebody may have written a secret there.
        if text.contains('@') {
            let reason = "neither credentials nor a digest belong into it: registries take logins as `docker login` \
                          keeps them, and tags and digests are the cache's own";
            return Err(refuse("oci://…@…", reason));
        }
        let Some(rest) = text.strip_prefix(SCHEME) else {
            return Err(refuse(text, "write oci://HOST[:PORT]/REPOSITORY"));
        };
        let (registry, repository) = rest.split_once('/').unwrap_or((rest, ""));
        if !is_host(registry) {
            return Err(refuse(text, "it has no host: write oci://HOST[:PORT]/REPOSITORY"));
        }
        if repository.is_empty() {
            return Err(refuse(text, "it has no repository: write oci://HOST[:PORT]/REPOSITORY"));
        }
        if repository.contains(':') {
            return Err(refuse(text, "leave out the tag: tags are the cache's own"));
        }
        if !is_repository(repository) {
            return Err(refuse(
                text,
                "its repository is none: parts of lower-case letters and digits, with '.', '_' or '-' between \
                 them, and '/' between parts",
            ));
        }
        Ok(Self { registry: registry.to_owned(), repository: repository.to_owned() })
    }
}

/// A name or an address, with a port where one follows; also a name without a dot, as those of containers are.
fn is_host(text: &str) -> bool {
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
        _ => (text, None),
    };
    let name = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-');
    let address = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    let good = match address {
        Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
        None => !host.is_empty() && host.bytes().all(name),
    };
    good && port.is_none_or(|port| port.parse::<u16>().is_ok_and(|port| port > 0))
}

/// By the rules for images.
fn is_repository(text: &str) -> bool {
    let read = format!("localhost/{text}").parse();
    matches!(read, Ok(Reference::Registry(RegistryReference { repository, .. })) if repository == text)
}

fn refuse(location: &str, reason: &str) -> StoreError {
    StoreError::Location { location: location.to_owned(), reason: reason.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn locations_are_read_as_they_are_written() {
        for (text, registry, repository) in [
            ("oci://registry.example.com/cache", "registry.example.com", "cache"),
            ("oci://registry:5000/team/a-b/cache_1.0", "registry:5000", "team/a-b/cache_1.0"),
            ("oci://registry/repo", "registry", "repo"),
            ("oci://[::1]:5000/cache", "[::1]:5000", "cache"),
            ("oci://[::1]/cache", "[::1]", "cache"),
            ("oci://127.0.0.1:5000/c", "127.0.0.1:5000", "c"),
            ("oci://docker.io/cache", "docker.io", "cache"),
        ] {
            let read: Location = text.parse().unwrap();
            assert_eq!((read.registry.as_str(), read.repository.as_str()), (registry, repository));
            assert_eq!(read.to_string(), text);
        }
    }

    #[test]
    fn what_is_no_location_is_refused_with_what_to_do() {
        for (text, part) in [
            ("", "write oci://"),
            ("https://registry.example.com/cache", "write oci://"),
            ("oci:///cache", "no host"),
            ("oci://a b/cache", "no host"),
            ("oci://registry:0/cache", "no host"),
            ("oci://registry:port/cache", "no host"),
            ("oci://[::g]:5000/cache", "no host"),
            ("oci://registry:5000", "no repository"),
            ("oci://registry:5000/", "no repository"),
            ("oci://registry/cache:1", "leave out the tag"),
            ("oci://registry/Cache", "its repository is none"),
            ("oci://registry/a//b", "its repository is none"),
            ("oci://registry/a/", "its repository is none"),
            ("oci://registry/../b", "its repository is none"),
            ("oci://registry/a?b", "its repository is none"),
        ] {
            let error = text.parse::<Location>().unwrap_err();
            assert!(
                matches!(error, StoreError::Location { .. }) && error.to_string().contains(part),
                "{error}"
            );
        }
        for text in ["oci://user:secret@registry/cache", "oci://registry/cache@sha256:secret"] {
            let error = text.parse::<Location>().unwrap_err().to_string();
            assert!(error.contains("docker login") && !error.contains("secret"), "{error}");
        }
    }
}
