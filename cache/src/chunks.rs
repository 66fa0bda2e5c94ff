//! Large blobs in chunks: cut where the content says so (FastCDC, Xia et al., IEEE TPDS 2020), as the Remote Execution API has
//! it since version 2.12. Whoever cuts the same bytes with these numbers, client or server, gets the same chunks.

use std::io::Read;

use fastcdc::v2020::{Normalization, StreamCDC};

/// Bytes of a chunk in the mean: what REAPI recommends, so that a gigabyte has about two thousand. A change in one place moves
/// three of them besides what changed: those in which it begins and ends, and one until cuts are where they were.
pub(crate) const MEAN: usize = 512 << 10;

/// No chunk but the last of a blob is shorter.
pub(crate) const LEAST: usize = MEAN / 4;

/// No chunk is longer.
pub(crate) const MOST: usize = MEAN * 4;

/// The chunks of what is read, in their order. Blocks; holds one chunk in memory.
pub(crate) fn chunks<R: Read>(reader: R) -> StreamCDC<R> {
    // The level that REAPI asks for.
    StreamCDC::with_level(reader, LEAST, MEAN, MOST, Normalization::Level2)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn random(len: usize) -> Vec<u8> {
        let mut rng = fastrand::Rng::with_seed(7);
        std::iter::repeat_with(|| rng.u8(..)).take(len).collect()
    }

    fn lengths(bytes: &[u8]) -> Vec<usize> {
        chunks(bytes).map(|chunk| chunk.unwrap().length).collect()
    }

    #[test]
    fn chunks_are_the_bytes_and_within_their_bounds() {
        for len in [0, 1, LEAST, MEAN, 20 << 20] {
            let bytes = random(len);
            let joined: Vec<u8> = chunks(&*bytes).flat_map(|chunk| chunk.unwrap().data).collect();
            assert!(joined == bytes, "{len}");
            let lengths = lengths(&bytes);
            let (_, all_but_last) = lengths.split_last().unwrap_or((&0, &[]));
            assert!(all_but_last.iter().all(|len| (LEAST..=MOST).contains(len)), "{lengths:?}");
        }
        let most = lengths(&vec![0; 3 * MOST + 1]);
        assert!(most.iter().all(|len| *len <= MOST), "{most:?}");
    }

    #[test]
    fn a_change_in_one_place_moves_few_chunks() {
        let before = random(20 << 20);
        let mut after = before.clone();
        after.splice(10 << 20..10 << 20, *b"more");
        let cut = |bytes: &[u8]| chunks(bytes).map(|chunk| chunk.unwrap().data).collect::<Vec<_>>();
        let (before, after) = (cut(&before), cut(&after));
        let changed = after.iter().filter(|chunk| !before.contains(chunk)).count();
        assert!((1..=3).contains(&changed), "{changed} of {}", after.len());
    }
}
