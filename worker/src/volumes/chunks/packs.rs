//! Which packs of an earlier version are used again, and what is new.

use std::collections::HashMap;

use super::MOST_PACK;
use super::manifest::{Chunk, Pack};

/// Packs of fewer bytes are small: what one step changed most often is.
const SMALL: u64 = 1 << 20;

/// More small packs than this are made one: each is a request, and 8 MiB are sent again at most.
const MOST_SMALL: usize = 8;

/// How a version is stored.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Plan {
    /// Packs of the earlier version.
    pub(super) reused: Vec<usize>,
    /// Packs to make, of chunks by their numbers.
    pub(super) fresh: Vec<Vec<usize>>,
    /// The bytes of those.
    pub(super) fresh_bytes: u64,
}

/// A plan for these chunks, no two of which are the same. A pack is used again as long as half of it is of use: so a version
/// never names more than twice the bytes that it has, and what is sent again is less than what was changed since it was sent first.
pub(super) fn plan(chunks: &[Chunk], earlier: &[Pack]) -> Plan {
    let numbers: HashMap<[u8; 32], usize> =
        chunks.iter().enumerate().map(|(number, chunk)| (chunk.hash, number)).collect();
    let all: Vec<usize> = (0..earlier.len()).collect();
    let (mut reused, mut covered) = choose(&all, earlier, &numbers);
    let is_small = |pack: &&usize| earlier[**pack].bytes() < SMALL;
    if reused.iter().filter(is_small).count() > MOST_SMALL {
        let large: Vec<usize> = reused.iter().filter(|pack| !is_small(pack)).copied().collect();
        (reused, covered) = choose(&large, earlier, &numbers);
    }
    let mut plan = Plan { reused, ..Plan::default() };
    let mut room = 0;
    for (number, chunk) in chunks.iter().enumerate().filter(|(number, _)| !covered[*number]) {
        let bytes = u64::from(chunk.bytes);
        plan.fresh_bytes += bytes;
        match plan.fresh.last_mut() {
            Some(pack) if bytes <= room => pack.push(number),
            _ => {
                plan.fresh.push(vec![number]);
                room = MOST_PACK;
            }
        }
        room -= bytes;
    }
    plan
}

/// Of these packs those that are worth it, and which chunks they have.
fn choose(packs: &[usize], earlier: &[Pack], numbers: &HashMap<[u8; 32], usize>) -> (Vec<usize>, Vec<bool>) {
    let mut covered = vec![false; numbers.len()];
    let mut chosen = Vec::new();
    for &index in packs {
        let pack = &earlier[index];
        let wanted: Vec<(usize, u64)> = pack
            .chunks
            .iter()
            .filter_map(|chunk| Some((*numbers.get(&chunk.hash)?, u64::from(chunk.bytes))))
            .filter(|(number, _)| !covered[*number])
            .collect();
        if wanted.iter().map(|(_, bytes)| bytes).sum::<u64>() * 2 >= pack.bytes() && !wanted.is_empty() {
            wanted.iter().for_each(|(number, _)| covered[*number] = true);
            chosen.push(index);
        }
    }
    (chosen, covered)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chunk(number: u32, bytes: u32) -> Chunk {
        let mut hash = [0; 32];
        hash[..4].copy_from_slice(&number.to_be_bytes());
        Chunk { hash, bytes }
    }

    fn chunks(numbers: impl IntoIterator<Item = u32>, bytes: u32) -> Vec<Chunk> {
        numbers.into_iter().map(|number| chunk(number, bytes)).collect()
    }

    /// The packs of a plan for these.
    fn packed(plan: &Plan, chunks: &[Chunk], earlier: &[Pack]) -> Vec<Pack> {
        let fresh = plan.fresh.iter().map(|pack| {
            let of: Vec<Chunk> = pack.iter().map(|&number| chunks[number]).collect();
            Pack::of(&postcard::to_stdvec(&of).unwrap(), of)
        });
        plan.reused.iter().map(|&pack| earlier[pack].clone()).chain(fresh).collect()
    }

    #[test]
    fn everything_is_packed_at_first_and_then_what_is_new() {
        let first = chunks(0..100, 128 << 10);
        let plan_of_first = plan(&first, &[]);
        let sizes: Vec<usize> = plan_of_first.fresh.iter().map(Vec::len).collect();
        assert_eq!((sizes, plan_of_first.fresh_bytes), (vec![32, 32, 32, 4], 100 * (128 << 10)));
        let packs = packed(&plan_of_first, &first, &[]);
        assert_eq!(plan(&first, &packs), Plan { reused: vec![0, 1, 2, 3], ..Plan::default() });
        // One chunk is another one now.
        let second = chunks((0..50).chain(51..100).chain([200]), 128 << 10);
        let plan_of_second = plan(&second, &packs);
        assert_eq!(plan_of_second.reused, [0, 1, 2, 3]);
        assert_eq!((plan_of_second.fresh, plan_of_second.fresh_bytes), (vec![vec![99]], 128 << 10));
    }

    #[test]
    fn a_pack_that_is_mostly_of_no_use_is_packed_anew() {
        let first = chunks(0..64, 128 << 10);
        let packs = packed(&plan(&first, &[]), &first, &[]);
        let rest = plan(&chunks((0..15).chain(32..48), 128 << 10), &packs);
        assert_eq!((rest.reused, rest.fresh), (vec![1], vec![(0..15).collect()]));
        assert_eq!(plan(&[], &packs), Plan::default());
        // The same chunk in a second pack counts for nothing.
        let twice = [packs[0].clone(), packs[0].clone()];
        assert_eq!(plan(&chunks(0..32, 128 << 10), &twice).reused, [0]);
    }

    #[test]
    fn many_small_packs_become_one() {
        let (mut all, mut packs, mut most, mut sent) = (chunks(0..64, 128 << 10), Vec::new(), 0, 0);
        packs = packed(&plan(&all, &packs), &all, &packs);
        for number in 100..200 {
            all.push(chunk(number, 10 << 10));
            let next = plan(&all, &packs);
            packs = packed(&next, &all, &packs);
            (most, sent) = (most.max(packs.len()), sent + next.fresh_bytes);
        }
        assert!(most <= 2 + MOST_SMALL + 1, "{most}");
        // Each was sent when it was new, and then with eight others, some times over.
        assert!(sent < 100 * (10 << 10) * 10, "{sent}");
    }
}
