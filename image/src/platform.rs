//! What an image was built for.

use std::fmt;
use std::str::FromStr;

/// Operating system, architecture and variant, in the words of Go (`linux`, `arm64`, `v8`).
///
/// Source: OCI image-spec, `image-index.md`, "Platform Variants".
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Platform {
    /// Such as `linux`.
    pub os: String,
    /// Such as `amd64`.
    pub architecture: String,
    /// Such as `v7`; none where the architecture has only one, and for the usual one of `amd64` and `arm64`.
    pub variant: Option<String>,
}

/// A text that is no platform.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a platform: write OS/ARCHITECTURE or OS/ARCHITECTURE/VARIANT, such as linux/arm64")]
pub struct PlatformError {
    /// What was read.
    pub text: String,
}

impl Platform {
    /// What runs here: Linux, because that is what images hold that Cullet runs, on this machine's architecture.
    pub fn host() -> Self {
        Self::new("linux", architecture(std::env::consts::ARCH), None)
    }

    /// A platform, brought into the form in which it can be compared: `arm64` is the same as `arm64/v8`, `amd64` the
    /// same as `amd64/v1`, and 32-bit ARM without a variant is taken for `v7`, as container runtimes do.
    pub fn new(os: &str, architecture: &str, variant: Option<&str>) -> Self {
        let variant = variant.filter(|variant| !variant.is_empty());
        let variant = match (architecture, variant) {
            ("arm64", Some("v8" | "8")) | ("amd64", Some("v1")) => None,
            ("arm", None) => Some("v7"),
            (_, variant) => variant,
        };
        let variant = variant.map(str::to_owned);
        Self { os: os.to_owned(), architecture: architecture.to_owned(), variant }
    }

    /// How well an image for `self` suits a machine that is `wanted`: nothing where it cannot run there, otherwise
    /// the lower the better. A machine of a higher variant runs images of lower ones.
    pub(crate) fn suits(&self, wanted: &Self) -> Option<u32> {
        if self.os != wanted.os || self.architecture != wanted.architecture {
            return None;
        }
        if self.variant == wanted.variant {
            return Some(0);
        }
        level(self).zip(level(wanted)).and_then(|(has, may)| may.checked_sub(has))
    }
}

/// Variants are `v` and a number; none is the lowest one.
fn level(platform: &Platform) -> Option<u32> {
    match platform.variant.as_deref() {
        None if platform.architecture == "arm64" => Some(8),
        None => Some(1),
        Some(variant) => variant.strip_prefix('v')?.parse().ok(),
    }
}

fn architecture(rust: &str) -> &str {
    match rust {
        "x86_64" => "amd64",
        "x86" => "386",
        "aarch64" => "arm64",
        "powerpc64" => "ppc64le",
        "loongarch64" => "loong64",
        other => other,
    }
}

impl FromStr for Platform {
    type Err = PlatformError;

    fn from_str(text: &str) -> Result<Self, PlatformError> {
        let parts: Vec<&str> = text.split('/').collect();
        if parts.iter().any(|part| part.is_empty()) {
            return Err(PlatformError { text: text.to_owned() });
        }
        match parts[..] {
            [os, architecture] => Ok(Self::new(os, architecture, None)),
            [os, architecture, variant] => Ok(Self::new(os, architecture, Some(variant))),
            _ => Err(PlatformError { text: text.to_owned() }),
        }
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.os, self.architecture)?;
        self.variant.as_ref().map_or(Ok(()), |variant| write!(f, "/{variant}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn suits(image: &str, wanted: &str) -> Option<u32> {
        image.parse::<Platform>().unwrap().suits(&wanted.parse().unwrap())
    }

    #[test]
    fn names_of_the_same_platform_are_equal() {
        let read = |text: &str| text.parse::<Platform>().unwrap();
        assert_eq!(read("linux/arm64/v8"), read("linux/arm64"));
        assert_eq!(read("linux/arm").to_string(), "linux/arm/v7");
        assert_eq!(Platform::new("linux", "amd64", Some("")).to_string(), "linux/amd64");
        for wrong in ["", "linux", "linux/", "a/b/c/d"] {
            assert_eq!(wrong.parse::<Platform>().unwrap_err().text, wrong);
        }
    }

    #[test]
    fn lower_variants_suit_and_other_architectures_do_not() {
        assert_eq!(suits("linux/amd64", "linux/amd64"), Some(0));
        assert_eq!(suits("linux/arm/v6", "linux/arm/v7"), Some(1));
        assert_eq!(suits("linux/arm/v7", "linux/arm/v6"), None);
        assert_eq!(suits("linux/amd64", "linux/amd64/v3"), Some(2));
        assert_eq!(suits("linux/amd64/v3", "linux/amd64"), None);
        assert_eq!(suits("linux/arm64", "linux/amd64"), None);
        assert_eq!(suits("windows/amd64", "linux/amd64"), None);
        assert_eq!(suits("linux/arm/odd", "linux/arm/v7"), None);
    }
}
