//! Where objects are kept, as a user writes it.

use std::path::PathBuf;
use std::str::FromStr;

use super::Service;
use crate::StoreError;

/// A place for objects.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Location {
    /// `file:///DIR`, or just an absolute or relative path.
    Directory(PathBuf),
    /// `oci://HOST/REPOSITORY`, as it was written: whoever knows registries reads it.
    Registry(String),
    /// `s3://BUCKET/PREFIX`, `gs://BUCKET/PREFIX` or `az://CONTAINER/PREFIX`; the prefix may be empty.
    Bucket {
        /// Who keeps it.
        service: Service,
        /// The bucket or container.
        bucket: String,
        /// What comes before every key, without a `/` at either end.
        prefix: String,
    },
}

impl FromStr for Location {
    type Err = StoreError;

    fn from_str(text: &str) -> Result<Self, StoreError> {
        let Some((scheme, rest)) = text.split_once("://") else {
            return if text.is_empty() {
                Err(refuse(
                    text,
                    "it is empty: name a directory, s3://BUCKET/PREFIX or oci://HOST/REPOSITORY",
                ))
            } else {
                Ok(Self::Directory(text.into()))
            };
        };
        match (scheme, Service::of_scheme(scheme)) {
            ("file", _) => directory(text, rest),
            ("oci", _) => Ok(Self::Registry(text.to_owned())),
            (_, Some(service)) => bucket(service, rest),
            (_, None) => Err(refuse(
                &format!("{scheme}://"),
                "use a directory, file:///DIR, s3://BUCKET/PREFIX, gs://BUCKET/PREFIX, az://CONTAINER/PREFIX or \
                 oci://HOST/REPOSITORY",
            )),
        }
    }
}

fn directory(text: &str, path: &str) -> Result<Location, StoreError> {
    if !path.starts_with('/') {
        return Err(refuse(text, "a file URL has three slashes, then the directory: file:///DIR"));
    }
    if path.contains('%') {
        return Err(refuse(text, "a file URL with % is not understood: write the path without file://"));
    }
    Ok(Location::Directory(path.into()))
}

fn bucket(service: Service, rest: &str) -> Result<Location, StoreError> {
    let scheme = service.scheme();
    // Never repeated in a message: somebody may have written a secret there.
    if rest.contains('@') {
        let instead = service.credentials();
        return Err(refuse(
            &format!("{scheme}://…@…"),
            &format!("credentials do not belong into it: set {instead} and its like"),
        ));
    }
    let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
    let shown = format!("{scheme}://{rest}");
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
    if bucket.is_empty() || !bucket.bytes().all(allowed) {
        return Err(refuse(
            &shown,
            &format!("it has no bucket of letters, digits, '.', '-' and '_': {scheme}://BUCKET/PREFIX"),
        ));
    }
    let prefix = prefix.trim_end_matches('/');
    let unusable = |part: &str| matches!(part, "" | "." | "..") || part.contains(['?', '#', '%']);
    if !prefix.is_empty() && prefix.split('/').any(unusable) {
        return Err(refuse(&shown, "its prefix has an empty part, '.', '..' or one with '?', '#' or '%'"));
    }
    Ok(Location::Bucket { service, bucket: bucket.to_owned(), prefix: prefix.to_owned() })
}

fn refuse(location: &str, reason: &str) -> StoreError {
    StoreError::Location { location: location.to_owned(), reason: reason.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn locations_are_read_as_they_are_written() {
        let directory = |path: &str| Location::Directory(path.into());
        let kept = |service, bucket: &str, prefix: &str| Location::Bucket {
            service,
            bucket: bucket.into(),
            prefix: prefix.into(),
        };
        let s3 = |bucket, prefix| kept(Service::S3, bucket, prefix);
        for (text, expected) in [
            ("/srv/cullet", directory("/srv/cullet")),
            ("shared", directory("shared")),
            ("file:///srv/cullet", directory("/srv/cullet")),
            ("oci://host:5000/team/cache", Location::Registry("oci://host:5000/team/cache".to_owned())),
            ("s3://bucket", s3("bucket", "")),
            ("s3://bucket/", s3("bucket", "")),
            ("s3://my-bucket.eu/team/cullet/", s3("my-bucket.eu", "team/cullet")),
            ("gs://bucket/team", kept(Service::Google, "bucket", "team")),
            ("az://container", kept(Service::Azure, "container", "")),
        ] {
            assert_eq!(text.parse::<Location>().unwrap(), expected, "{text}");
        }
    }

    #[test]
    fn what_is_no_location_is_refused_with_what_to_do() {
        for text in [
            "",
            "file://srv",
            "file:///a%20b",
            "s3://",
            "s3:///prefix",
            "s3://b/a//b",
            "s3://b/../c",
            "s3://b/c?d",
            "gs://",
            "az:///prefix",
            "abfs://bucket",
            "http://host/",
        ] {
            assert!(matches!(text.parse::<Location>(), Err(StoreError::Location { .. })), "{text}");
        }
        for (scheme, instead) in [
            ("s3", "AWS_ACCESS_KEY_ID"),
            ("gs", "GOOGLE_APPLICATION_CREDENTIALS"),
            ("az", "AZURE_STORAGE_ACCOUNT_KEY"),
        ] {
            let error = format!("{scheme}://key:secret@bucket/").parse::<Location>().unwrap_err().to_string();
            assert!(error.contains(instead) && !error.contains("secret"), "{error}");
        }
    }
}
