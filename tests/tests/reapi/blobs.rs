//! Blobs, and what they are called.

use bytes::Bytes;
use cullet_digest::DigestFunction;
use cullet_proto::reapi::Digest;

/// A digest function as a request says it: a value of `DigestFunction`, and what it means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Function {
    /// What stands in `digest_function`.
    pub(crate) number: i32,
    function: DigestFunction,
}

/// `SHA256`.
pub(crate) const SHA256: Function = Function { number: 1, function: DigestFunction::Sha256 };

/// Nothing: for hashes of 64 digits, only SHA-256 may go without its name.
pub(crate) const UNNAMED: Function = Function { number: 0, function: DigestFunction::Sha256 };

/// `BLAKE3`.
pub(crate) const BLAKE3: Function = Function { number: 9, function: DigestFunction::Blake3 };

/// Values of `Compressor`.
pub(crate) const IDENTITY: i32 = 0;
/// Zstandard.
pub(crate) const ZSTD: i32 = 1;

impl Function {
    /// The digest of these bytes.
    pub(crate) fn digest(self, bytes: &[u8]) -> Digest {
        let digest = self.function.digest(bytes);
        Digest { hash: digest.hash_hex(), size_bytes: bytes.len() as i64 }
    }

    /// The part of a resource name that says it, which has to be left out for SHA-256.
    fn segment(self) -> &'static str {
        if self.function == DigestFunction::Blake3 { "blake3/" } else { "" }
    }
}

/// Some bytes and their digest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Blob {
    pub(crate) function: Function,
    pub(crate) digest: Digest,
    pub(crate) bytes: Bytes,
}

impl Blob {
    /// Of these bytes.
    pub(crate) fn new(function: Function, bytes: impl Into<Bytes>) -> Self {
        let bytes = bytes.into();
        Self { function, digest: function.digest(&bytes), bytes }
    }

    /// Of so many bytes that nobody has seen before, which become fewer when they are compressed.
    pub(crate) fn unseen(function: Function, len: usize) -> Self {
        let mut bytes = vec![0; len];
        bytes
            .chunks_mut(64)
            .flat_map(|chunk| chunk.iter_mut().take(16))
            .for_each(|byte| *byte = fastrand::u8(..));
        Self::new(function, bytes)
    }

    /// Its digest with another size.
    pub(crate) fn sized(&self, size_bytes: i64) -> Digest {
        Digest { size_bytes, ..self.digest.clone() }
    }

    /// Under what `ByteStream` reads it.
    pub(crate) fn name(&self) -> String {
        self.below("blobs")
    }

    /// The same, compressed on the way.
    pub(crate) fn zstd_name(&self) -> String {
        self.below("compressed-blobs/zstd")
    }

    /// Under what `ByteStream` writes it, the first time.
    pub(crate) fn upload(&self) -> String {
        format!("uploads/{}/{}", uuid(), self.name())
    }

    /// The same, compressed on the way.
    pub(crate) fn zstd_upload(&self) -> String {
        format!("uploads/{}/{}", uuid(), self.zstd_name())
    }

    fn below(&self, blobs: &str) -> String {
        let Digest { hash, size_bytes } = &self.digest;
        format!("{blobs}/{}{hash}/{size_bytes}", self.function.segment())
    }

    /// Its bytes as one Zstandard frame.
    pub(crate) fn frame(&self) -> Vec<u8> {
        zstd::encode_all(&*self.bytes, 3).unwrap()
    }
}

/// A UUID of version 4, as uploads are named.
pub(crate) fn uuid() -> String {
    let bits = fastrand::u128(..) & !(0xf << 76 | 0x3 << 62) | 0x4 << 76 | 0x2 << 62;
    let digits = format!("{bits:032x}");
    let parts = [(0, 8), (8, 12), (12, 16), (16, 20), (20, 32)].map(|(from, to)| &digits[from..to]);
    parts.join("-")
}
