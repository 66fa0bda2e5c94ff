//! Keys that results are signed with.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;

use ring::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};
use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::pki_types::pem::PemObject as _;

/// What a public key begins with when it is written down.
const PREFIX: &str = "ed25519:";

/// Who can be asked whether a signature is theirs (Ed25519, RFC 8032). Written `ed25519:` and 64 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PublicKey([u8; 32]);

/// Who can sign.
#[derive(Clone)]
pub struct SigningKey {
    pair: Arc<Ed25519KeyPair>,
    public: PublicKey,
}

/// Why something is no key.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// A text is no public key.
    #[error("'{0}' is no public key: it is written ed25519: and 64 hexadecimal digits")]
    Public(String),
    /// A file cannot be read, or has no private key.
    #[error("{} has no private key that can sign: make one with `openssl genpkey -algorithm ed25519`", .path.display())]
    Private {
        /// Which.
        path: PathBuf,
        /// Why not.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl PublicKey {
    /// A key from its bytes.
    pub const fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Its bytes.
    pub const fn bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Whether the owner of this key signed these bytes.
    pub fn signed(&self, bytes: &[u8], signature: &[u8; 64]) -> bool {
        UnparsedPublicKey::new(&ED25519, self.0).verify(bytes, signature).is_ok()
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(PREFIX)?;
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for PublicKey {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        let refuse = || KeyError::Public(text.chars().filter(|c| !c.is_control()).take(80).collect());
        let digits = text.strip_prefix(PREFIX).filter(|digits| digits.len() == 64).ok_or_else(refuse)?;
        let mut bytes = [0; 32];
        for (byte, pair) in bytes.iter_mut().zip(digits.as_bytes().chunks_exact(2)) {
            let pair = std::str::from_utf8(pair).ok().filter(|pair| !pair.starts_with('+'));
            *byte = pair.and_then(|pair| u8::from_str_radix(pair, 16).ok()).ok_or_else(refuse)?;
        }
        Ok(Self(bytes))
    }
}

impl SigningKey {
    /// Reads a key in PKCS #8 (RFC 8410), as PEM.
    ///
    /// # Errors
    /// [`KeyError::Private`].
    pub fn read(path: &Path) -> Result<Self, KeyError> {
        let refuse = |source: Box<dyn std::error::Error + Send + Sync>| KeyError::Private {
            path: path.to_owned(),
            source,
        };
        let der = PrivatePkcs8KeyDer::from_pem_file(path).map_err(|error| refuse(Box::new(error)))?;
        // As OpenSSL writes them: without the public key.
        let pair = Ed25519KeyPair::from_pkcs8_maybe_unchecked(der.secret_pkcs8_der());
        pair.map(Self::of).map_err(|error| refuse(error.to_string().into()))
    }

    /// A key from 32 bytes that nobody else knows.
    pub fn from_seed(seed: &[u8; 32]) -> Option<Self> {
        Ed25519KeyPair::from_seed_unchecked(seed).ok().map(Self::of)
    }

    fn of(pair: Ed25519KeyPair) -> Self {
        let mut public = [0; 32];
        public.copy_from_slice(pair.public_key().as_ref());
        Self { pair: Arc::new(pair), public: PublicKey(public) }
    }

    /// What others check its signatures with.
    pub const fn public(&self) -> PublicKey {
        self.public
    }

    /// Signs bytes.
    pub fn sign(&self, bytes: &[u8]) -> [u8; 64] {
        let mut signature = [0; 64];
        signature.copy_from_slice(self.pair.sign(bytes).as_ref());
        signature
    }
}

/// Without what must stay secret.
impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SigningKey").field(&self.public).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 8032, section 7.1, test 2.
    const SEED: [u8; 32] = [
        0x4c, 0xcd, 0x08, 0x9b, 0x28, 0xff, 0x96, 0xda, 0x9d, 0xb6, 0xc3, 0x46, 0xec, 0x11, 0x4e, 0x0f, 0x5b,
        0x8a, 0x31, 0x9f, 0x35, 0xab, 0xa6, 0x24, 0xda, 0x8c, 0xf6, 0xed, 0x4f, 0xb8, 0xa6, 0xfb,
    ];
    const PUBLIC: &str = "ed25519:3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c";

    #[test]
    fn keys_sign_as_the_rfc_says() {
        let key = SigningKey::from_seed(&SEED).unwrap();
        assert_eq!(key.public().to_string(), PUBLIC);
        assert_eq!(PUBLIC.parse::<PublicKey>().unwrap(), key.public());
        let signature = key.sign(&[0x72]);
        assert_eq!(signature[..4], [0x92, 0xa0, 0x09, 0xa9]);
        assert!(key.public().signed(&[0x72], &signature));
        assert!(!key.public().signed(&[0x73], &signature));
        let mut other = signature;
        other[63] ^= 1;
        assert!(!key.public().signed(&[0x72], &other));
        assert!(!format!("{key:?}").contains("4ccd"), "a key does not show itself");
    }

    #[test]
    fn what_is_no_key_is_refused() {
        let short = &PUBLIC[..PUBLIC.len() - 1];
        let odd = PUBLIC.replace("3d", "+d");
        for text in ["", "ed25519:", short, &odd, &PUBLIC[8..], "rsa:00"] {
            assert!(text.parse::<PublicKey>().is_err(), "{text}");
        }
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key.pem");
        assert!(matches!(SigningKey::read(&path), Err(KeyError::Private { .. })));
        std::fs::write(&path, "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n").unwrap();
        assert!(matches!(SigningKey::read(&path), Err(KeyError::Private { .. })));
    }

    #[test]
    fn a_key_is_read_as_openssl_writes_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key.pem");
        let text = "-----BEGIN PRIVATE KEY-----\n\
            MC4CAQAwBQYDK2VwBCIEIEzNCJso/5banbbDRuwRTg9bijGfNaumJNqM9u1PuKb7\n\
            -----END PRIVATE KEY-----\n";
        std::fs::write(&path, text).unwrap();
        assert_eq!(SigningKey::read(&path).unwrap().public().to_string(), PUBLIC);
    }
}
