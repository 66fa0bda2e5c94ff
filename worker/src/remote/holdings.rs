//! Which trees have their files on this machine's disk.

use std::collections::VecDeque;

use cullet_cache::v1::digest_to_wire;
use cullet_digest::Digest;
use cullet_proto::v1;

/// How many are told of: what the last few dozen steps had around them. A coordinator keeps one such list for every
/// worker.
const MOST: usize = 256;

/// The newest trees first. Only a hint: the local cache may have evicted some.
#[derive(Debug, Default)]
pub(super) struct Holdings {
    trees: VecDeque<Digest>,
    /// Counts changes.
    version: u64,
}

impl Holdings {
    pub(super) fn add(&mut self, trees: impl IntoIterator<Item = Digest>) {
        for tree in trees {
            match self.trees.iter().position(|known| *known == tree) {
                // Order alone is no news.
                Some(known) => drop(self.trees.remove(known)),
                None => self.version += 1,
            }
            self.trees.push_front(tree);
        }
        self.trees.truncate(MOST);
    }

    pub(super) const fn version(&self) -> u64 {
        self.version
    }

    pub(super) fn message(&self) -> v1::Holdings {
        v1::Holdings { trees: self.trees.iter().map(digest_to_wire).collect() }
    }
}

#[cfg(test)]
mod tests {
    use cullet_digest::DigestFunction;

    use super::*;

    #[test]
    fn the_newest_are_kept_and_only_changes_count() {
        let tree = |number: usize| DigestFunction::Blake3.digest(&number.to_le_bytes());
        let mut holdings = Holdings::default();
        holdings.add((0..300).map(tree));
        assert_eq!((holdings.trees.len(), holdings.version()), (MOST, 300));
        assert_eq!(holdings.trees[0], tree(299));
        holdings.add([tree(200)]);
        assert_eq!((holdings.trees[0], holdings.trees.len(), holdings.version()), (tree(200), MOST, 300));
        assert_eq!(holdings.message().trees.len(), MOST);
    }
}
