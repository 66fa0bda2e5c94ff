//! Which images the steps of a plan have, as far as they are part of keys.

use std::collections::BTreeMap;

use cullet_pipeline::{Plan, plan};

/// The digest of the manifest that each image reference means, for the platform that the steps run on. The references
/// are those of the plan, as they are written there. Somebody else finds the digests: nothing is asked here.
///
/// ```
/// use cullet_coordinator::images::Images;
///
/// let images = Images::of([("a/b:1".to_owned(), format!("sha256:{}", "0".repeat(64)))]).unwrap();
/// assert_eq!(images.digest("a/b:1").unwrap().len(), 71);
/// assert!(Images::of([("a/b:1".to_owned(), "1".to_owned())]).is_err());
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Images(BTreeMap<String, String>);

/// The label, and its value, of workers that run steps in images.
pub const LABEL: (&str, &str) = ("images", "oci");

/// Why digests are of no use.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ImagesError {
    /// A text that is no digest.
    #[error(
        "the image `{reference}` has no usable digest: `sha256:` and 64 lower-case hexadecimal digits are expected"
    )]
    Digest {
        /// Of what.
        reference: String,
    },
    /// An image that nobody found.
    #[error("step `{step}`: the image `{reference}` was not resolved to a digest")]
    Unresolved {
        /// Which.
        reference: String,
        /// The first step that has it.
        step: String,
    },
}

impl Images {
    /// From references and digests.
    ///
    /// # Errors
    /// [`ImagesError::Digest`].
    pub fn of(pairs: impl IntoIterator<Item = (String, String)>) -> Result<Self, ImagesError> {
        let images: BTreeMap<String, String> = pairs.into_iter().collect();
        match images.iter().find(|(_, digest)| !is_digest(digest)) {
            Some((reference, _)) => Err(ImagesError::Digest { reference: reference.clone() }),
            None => Ok(Self(images)),
        }
    }

    /// Of a reference.
    pub fn digest(&self, reference: &str) -> Option<&str> {
        self.0.get(reference).map(String::as_str)
    }

    /// References and digests.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(reference, digest)| (reference.as_str(), digest.as_str()))
    }

    /// Whether every image that steps of the plan have is here.
    ///
    /// # Errors
    /// [`ImagesError::Unresolved`] for the first that is not.
    pub fn check(&self, plan: &Plan) -> Result<(), ImagesError> {
        let missing = plan.step_images().into_iter().find(|(reference, _)| self.digest(reference).is_none());
        missing.map_or(Ok(()), |(reference, step)| {
            Err(ImagesError::Unresolved { reference: reference.to_owned(), step: step.name.to_string() })
        })
    }
}

/// The first step in an image that is a file or directory of the machine that the pipeline is on, with its reference.
pub fn first_local(plan: &Plan) -> Option<(&str, &plan::Step)> {
    let local =
        |reference: &str| ["oci-layout:", "docker-archive:"].iter().any(|kind| reference.starts_with(kind));
    let images = plan.step_images().into_iter();
    images.filter(|(reference, _)| local(reference)).min_by_key(|(_, step)| step.line)
}

/// The same form for all: two ways to write one digest would be two keys.
fn is_digest(text: &str) -> bool {
    let hex = text.strip_prefix("sha256:").unwrap_or_default();
    hex.len() == 64 && hex.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_digests_in_one_form_are_taken() {
        let digits = "0123456789abcdef".repeat(4);
        assert!(is_digest(&format!("sha256:{digits}")));
        for wrong in [
            "",
            &digits,
            &format!("sha512:{digits}"),
            &format!("sha256:{}", digits.to_uppercase()),
            "sha256:",
        ] {
            let refused = Images::of([("a/b".to_owned(), wrong.to_owned())]).unwrap_err();
            assert_eq!(refused, ImagesError::Digest { reference: "a/b".to_owned() }, "{wrong}");
        }
    }
}
