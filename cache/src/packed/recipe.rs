//! The record of a blob: its bytes, or the pieces that it is made of.

use bytes::Bytes;
use cullet_digest::{Digest, DigestFunction};
use serde::{Deserialize, Serialize};

use super::frame;
use crate::objects::MOST_DATA;

/// Behind this byte are pieces; it is none of those that a frame begins with.
const PIECES: u8 = 2;

/// A blob as its record has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Recipe {
    /// All bytes; not checked.
    Whole(Bytes),
    /// In pieces, in their order.
    Pieces(Vec<Piece>),
}

/// A part of a blob that is data of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Piece {
    /// SHA-256 of the data.
    hash: [u8; 32],
    /// Bytes of the data.
    stored: u32,
    /// Bytes that the blob has of it.
    pub(super) len: u32,
}

impl Piece {
    /// A piece of `len` bytes; none where it is longer than any is.
    pub(super) fn new(data: &Digest, len: usize) -> Option<Self> {
        let (stored, len) = (u32::try_from(data.size()).ok()?, u32::try_from(len).ok()?);
        Some(Self { hash: *data.hash(), stored, len })
    }

    /// The name of the data.
    pub(super) fn data(&self) -> Digest {
        Digest::from_parts(DigestFunction::Sha256, self.hash, self.stored.into())
    }

    fn is_possible(&self) -> bool {
        self.len > 0 && u64::from(self.len) <= MOST_DATA && u64::from(self.stored) <= MOST_DATA
    }
}

impl Recipe {
    /// The record.
    pub(super) fn encode(&self) -> Option<Vec<u8>> {
        match self {
            Self::Whole(bytes) => Some(frame::close(bytes)),
            Self::Pieces(pieces) => postcard::to_extend(pieces, vec![PIECES]).ok(),
        }
    }

    /// What a record says of a blob; none where it cannot be of this blob.
    pub(super) fn decode(blob: &Digest, record: &Bytes) -> Option<Self> {
        if record.first() != Some(&PIECES) {
            let bytes = frame::open(record, blob.size())?;
            return (bytes.len() as u64 == blob.size()).then_some(Self::Whole(bytes));
        }
        let pieces: Vec<Piece> = postcard::from_bytes(record.get(1..)?).ok()?;
        let sum = pieces.iter().try_fold(0_u64, |sum, piece| sum.checked_add(piece.len.into()));
        let sound = pieces.iter().all(Piece::is_possible) && sum == Some(blob.size());
        sound.then_some(Self::Pieces(pieces))
    }
}

/// Whether this is a record of a form that is not ours, as far as that can be told.
pub(super) fn may_be_newer(record: &Bytes) -> bool {
    record.first().is_some_and(|form| *form > PIECES)
}

#[cfg(test)]
mod tests {
    use super::*;

    const FUNCTION: DigestFunction = DigestFunction::Blake3;

    fn piece(bytes: &[u8]) -> Piece {
        Piece::new(&DigestFunction::Sha256.digest(bytes), bytes.len()).unwrap()
    }

    #[test]
    fn recipes_survive() {
        let blob = FUNCTION.digest(b"one and two");
        let whole = Recipe::Whole(Bytes::from_static(b"one and two"));
        let pieces = Recipe::Pieces(vec![piece(b"one and "), piece(b"two")]);
        for recipe in [whole, pieces] {
            assert_eq!(Recipe::decode(&blob, &recipe.encode().unwrap().into()), Some(recipe));
        }
    }

    #[test]
    fn what_cannot_be_the_blob_is_none() {
        let blob = FUNCTION.digest(b"one and two");
        let nothing = Piece { len: 0, ..piece(b"x") };
        let huge = Piece { len: u32::MAX, ..piece(b"x") };
        for recipe in [
            Recipe::Whole(Bytes::from_static(b"one and tw")),
            Recipe::Whole(Bytes::from_static(b"one and two!")),
            Recipe::Pieces(vec![piece(b"one and "), piece(b"tw")]),
            Recipe::Pieces(vec![piece(b"one and "), piece(b"two"), nothing]),
            Recipe::Pieces(vec![huge]),
            Recipe::Pieces(vec![]),
        ] {
            assert_eq!(Recipe::decode(&blob, &recipe.encode().unwrap().into()), None, "{recipe:?}");
        }
        assert_eq!(Recipe::decode(&blob, &Bytes::new()), None);
    }
}
