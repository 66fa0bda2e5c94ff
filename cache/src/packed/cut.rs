//! Which small blobs of a tree go into which pack.
//!
//! Packs end where the digest of a blob says so, with a chance that grows with the blob's length: content-defined cuts, as
//! FastCDC makes them in a file, but over whole blobs. A tree in which one file changed has all packs of the tree before but
//! one, whoever made it.

use std::ops::Range;

use cullet_digest::Digest;

use super::frame;
use crate::objects::MOST_DATA;

/// No pack but the last of a tree has fewer bytes.
const LEAST: u64 = 1 << 20;

/// How many bytes a pack has beyond [`LEAST`] in the mean: with that, 4 MiB.
const MEAN: u64 = 3 << 20;

/// No pack has more bytes.
pub(super) const MOST: u64 = MOST_DATA - frame::OVERHEAD;

/// The packs of these blobs, none of which is longer than a pack.
pub(super) fn packs(blobs: &[Digest]) -> Vec<Range<usize>> {
    let mut packs = Vec::new();
    let (mut start, mut len) = (0, 0_u64);
    for (index, blob) in blobs.iter().enumerate() {
        if len + blob.size() > MOST {
            packs.push(start..index);
            (start, len) = (index, 0);
        }
        len += blob.size();
        if len >= LEAST && ends_a_pack(blob) {
            packs.push(start..index + 1);
            (start, len) = (index + 1, 0);
        }
    }
    if start < blobs.len() {
        packs.push(start..blobs.len());
    }
    packs
}

/// True for one blob in so many that packs get their mean length.
fn ends_a_pack(blob: &Digest) -> bool {
    let hash = blob.hash();
    let chance = u32::from_le_bytes([hash[0], hash[1], hash[2], hash[3]]);
    u64::from(chance) * MEAN < blob.size().min(MEAN) << 32
}

#[cfg(test)]
mod tests {
    use cullet_digest::DigestFunction;

    use super::*;

    fn blobs(count: u64, len: u64) -> Vec<Digest> {
        let digest = |number: u64| DigestFunction::Blake3.digest(&number.to_le_bytes());
        (0..count)
            .map(|number| Digest::from_parts(DigestFunction::Blake3, *digest(number).hash(), len))
            .collect()
    }

    #[test]
    fn every_blob_is_in_one_pack_and_no_pack_is_too_long() {
        for (count, len) in [(0, 1), (1, 1), (10_000, 1), (10_000, 5_000), (100, 1 << 20), (3, MOST)] {
            let blobs = blobs(count, len);
            let packs = packs(&blobs);
            let joined: Vec<usize> = packs.iter().cloned().flatten().collect();
            assert_eq!(joined, (0..blobs.len()).collect::<Vec<_>>());
            assert!(packs.iter().all(|pack| pack.len() as u64 * len <= MOST && !pack.is_empty()));
        }
    }

    #[test]
    fn packs_have_the_length_that_they_should_have_in_the_mean() {
        for len in [1_000, 30_000, 400_000] {
            let all = 2 << 30;
            let packs = packs(&blobs(all / len, len)).len() as u64;
            let mean = all / packs;
            assert!((3 << 20..5 << 20).contains(&mean), "{len}: {mean}");
        }
    }

    #[test]
    fn a_changed_blob_changes_the_pack_that_it_is_in() {
        let before = blobs(20_000, 5_000);
        let mut after = before.clone();
        after[10_000] = DigestFunction::Blake3.digest(b"changed");
        after.insert(3, DigestFunction::Blake3.digest(b"new"));
        let content = |blobs: &[Digest]| -> Vec<Vec<Digest>> {
            packs(blobs).into_iter().map(|pack| blobs[pack].to_vec()).collect()
        };
        let (before, after) = (content(&before), content(&after));
        let changed = after.iter().filter(|pack| !before.contains(pack)).count();
        assert!((1..=4).contains(&changed), "{changed} of {}", after.len());
    }
}
