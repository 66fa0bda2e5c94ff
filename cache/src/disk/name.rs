//! Where an entry is, relative to the directory of its kind and function.

use cullet_digest::{Digest, DigestFunction};

/// `ab/abcdef…` or `ab/abcdef….x`, on the stack: looking entries up must not allocate.
#[derive(Clone, Copy)]
pub(super) struct EntryName {
    bytes: [u8; LONG],
    len: usize,
}

const SHORT: usize = 2 + 1 + 64;
const LONG: usize = SHORT + 2;
const HEX: &[u8; 16] = b"0123456789abcdef";

/// Marks the executable variant of a blob.
pub(super) const EXECUTABLE_SUFFIX: &str = ".x";

impl EntryName {
    /// The entry itself.
    pub(super) fn new(digest: &Digest) -> Self {
        Self::of_hash(digest.hash(), false)
    }

    /// The inode with mode 0755, or the plain one.
    pub(super) fn variant(digest: &Digest, executable: bool) -> Self {
        Self::of_hash(digest.hash(), executable)
    }

    pub(super) fn of_hash(hash: &[u8; 32], executable: bool) -> Self {
        let mut bytes = [0; LONG];
        let digits = |byte: u8| [HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]];
        bytes[..2].copy_from_slice(&digits(hash[0]));
        bytes[2] = b'/';
        for (place, byte) in bytes[3..SHORT].chunks_exact_mut(2).zip(hash) {
            place.copy_from_slice(&digits(*byte));
        }
        bytes[SHORT..].copy_from_slice(EXECUTABLE_SUFFIX.as_bytes());
        Self { bytes, len: if executable { LONG } else { SHORT } }
    }

    /// Relative path.
    pub(super) fn path(&self) -> &[u8] {
        &self.bytes[..self.len]
    }

    /// The hash in a file name of ours and whether it is the executable variant; none for other files.
    pub(super) fn parse(file_name: &str) -> Option<([u8; 32], bool)> {
        let (hex, executable) = match file_name.strip_suffix(EXECUTABLE_SUFFIX) {
            Some(hex) => (hex, true),
            None => (file_name, false),
        };
        let digest = Digest::from_wire(DigestFunction::Blake3, hex, 0).ok()?;
        Some((*digest.hash(), executable))
    }

    /// Without its directory.
    pub(super) fn file_name(&self) -> &str {
        // Hexadecimal digits and a suffix are always UTF-8.
        std::str::from_utf8(&self.bytes[3..self.len]).unwrap_or_default()
    }

    /// The directory in it.
    pub(super) fn shard(&self) -> &[u8] {
        &self.bytes[..2]
    }
}

impl std::fmt::Display for EntryName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&String::from_utf8_lossy(self.path()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_spell_the_hash() {
        let digest = DigestFunction::Blake3.digest(b"");
        let plain = "af/af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262";
        assert_eq!(EntryName::new(&digest).to_string(), plain);
        assert_eq!(EntryName::variant(&digest, true).to_string(), format!("{plain}.x"));
        assert_eq!(EntryName::new(&digest).shard(), b"af");
        let name = EntryName::variant(&digest, true);
        assert_eq!(EntryName::parse(name.file_name()), Some((*digest.hash(), true)));
        assert_eq!(EntryName::parse("README"), None);
    }
}
