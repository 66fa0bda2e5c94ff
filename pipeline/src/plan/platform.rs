//! What kind of machine steps run on.

use std::fmt;
use std::str::FromStr;

/// An architecture, and perhaps a variant of it, in the words of image indexes: `linux/arm64`, `linux/arm/v7`. Steps run on
/// Linux.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Platform {
    architecture: String,
    variant: Option<String>,
}

/// A text that is no platform.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlatformError {
    /// What was read.
    pub text: String,
    /// What to write.
    pub advice: &'static str,
}

impl fmt::Display for PlatformError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` is not a platform: {}", self.text.escape_debug(), self.advice)
    }
}

impl std::error::Error for PlatformError {}

/// Architectures that Rust calls otherwise: the name in images, and Rust's.
const NAMES: [(&str, &str); 5] = [
    ("amd64", "x86_64"),
    ("arm64", "aarch64"),
    ("386", "x86"),
    ("ppc64le", "powerpc64"),
    ("loong64", "loongarch64"),
];

impl Platform {
    /// The only system that steps run on.
    pub const OS: &'static str = "linux";

    /// The one of a machine of this architecture, as Rust calls it.
    #[must_use]
    pub fn of_machine(arch: &str) -> Self {
        let known = NAMES.iter().find(|(_, rust)| *rust == arch);
        Self { architecture: known.map_or(arch, |(name, _)| name).to_owned(), variant: None }
    }

    /// The architecture as Rust calls it, and workers.
    #[must_use]
    pub fn arch(&self) -> &str {
        let known = NAMES.iter().find(|(name, _)| *name == self.architecture);
        known.map_or(&self.architecture, |(_, rust)| rust)
    }
}

impl FromStr for Platform {
    type Err = PlatformError;

    fn from_str(text: &str) -> Result<Self, PlatformError> {
        let wrong = |advice| Err(PlatformError { text: text.to_owned(), advice });
        let parts: Vec<&str> = text.split('/').collect();
        let (architecture, variant) = match parts[..] {
            ["linux", architecture] => (architecture, None),
            ["linux", architecture, variant] => (architecture, Some(variant)),
            [_, _] | [_, _, _] => return wrong("steps run on linux, as in linux/amd64"),
            _ => return wrong("write linux/ARCHITECTURE, such as linux/arm64"),
        };
        let is_word = |word: &str| {
            !word.is_empty() && word.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
        };
        match architecture {
            "x86_64" => return wrong("images call this architecture amd64, as in linux/amd64"),
            "aarch64" => return wrong("images call this architecture arm64, as in linux/arm64"),
            _ if is_word(architecture) && variant.is_none_or(is_word) => {}
            _ => return wrong("architectures are words of small letters and digits, such as amd64"),
        }
        // As whoever makes images takes them to be the same.
        let variant = match (architecture, variant) {
            ("arm64", Some("v8")) | ("amd64", Some("v1")) => None,
            (_, variant) => variant,
        };
        Ok(Self { architecture: architecture.to_owned(), variant: variant.map(str::to_owned) })
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", Self::OS, self.architecture)?;
        self.variant.as_ref().map_or(Ok(()), |variant| write!(f, "/{variant}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_platform_is_read_and_written_as_images_have_it_and_found_as_workers_have_it() {
        for (text, written, arch) in [
            ("linux/amd64", "linux/amd64", "x86_64"),
            ("linux/arm64", "linux/arm64", "aarch64"),
            ("linux/arm64/v8", "linux/arm64", "aarch64"),
            ("linux/arm/v7", "linux/arm/v7", "arm"),
            ("linux/riscv64", "linux/riscv64", "riscv64"),
        ] {
            let platform: Platform = text.parse().unwrap();
            assert_eq!((platform.to_string().as_str(), platform.arch()), (written, arch));
        }
        assert_eq!(Platform::of_machine("x86_64").to_string(), "linux/amd64");
        assert_eq!(Platform::of_machine("s390x").to_string(), "linux/s390x");
    }

    #[test]
    fn what_is_no_platform_says_what_to_write() {
        for (text, advice) in [
            ("", "linux/ARCHITECTURE"),
            ("amd64", "linux/ARCHITECTURE"),
            ("linux/x86_64", "linux/amd64"),
            ("linux/aarch64", "linux/arm64"),
            ("windows/amd64", "steps run on linux"),
            ("linux/", "small letters"),
            ("linux/AMD64", "small letters"),
            ("linux/arm/", "small letters"),
            ("linux/arm/v7/x", "linux/ARCHITECTURE"),
        ] {
            let wrong = text.parse::<Platform>().unwrap_err();
            assert!(wrong.advice.contains(advice) && wrong.text == text, "{text}: {wrong}");
        }
    }
}
