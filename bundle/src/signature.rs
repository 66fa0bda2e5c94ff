//! Who says that a bundle is what they made.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use cullet_cache::{PublicKey, SigningKey};
use cullet_image::Digest as BlobName;

/// What comes before the digest, so that no other text with a signature of the same key is one.
const CONTEXT: &str = "cullet bundle 1\0";

/// The annotation of a signature: this, and the key's 64 digits.
const KEY: &str = "dev.cullet.signature.ed25519.";

fn statement(manifest: &BlobName) -> Vec<u8> {
    format!("{CONTEXT}{manifest}").into_bytes()
}

/// A signature as an annotation of the manifest.
pub(crate) fn annotation(key: &SigningKey, manifest: &BlobName) -> (String, String) {
    let hex = key.public().to_string().replacen("ed25519:", "", 1);
    (format!("{KEY}{hex}"), BASE64_STANDARD.encode(key.sign(&statement(manifest))))
}

/// Who signed it; or the name of an annotation that is no signature.
pub(crate) fn signers(
    annotations: &BTreeMap<String, String>,
    manifest: &BlobName,
) -> Result<Vec<PublicKey>, String> {
    let statement = statement(manifest);
    let signer = |name: &str, text: &str| {
        let written = format!("ed25519:{}", name.strip_prefix(KEY)?);
        let key: PublicKey = written.parse().ok().filter(|key: &PublicKey| key.to_string() == written)?;
        let signature: [u8; 64] = BASE64_STANDARD.decode(text).ok()?.try_into().ok()?;
        key.signed(&statement, &signature).then_some(key)
    };
    let of = |(name, text): (&String, &String)| {
        let shown = || name.chars().filter(|c| !c.is_control()).take(120).collect();
        signer(name, text).ok_or_else(shown)
    };
    annotations.iter().map(of).collect()
}
