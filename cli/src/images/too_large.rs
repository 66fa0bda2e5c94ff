//! Images that are larger than all images may be together.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use super::wanted::Wanted;
use crate::ui::size;

/// Those that are remembered: a worker that meets more of them says it again of some.
const MOST_TOLD: usize = 1000;

/// What images may take, and of which it was said that it takes more.
#[derive(Debug)]
pub(super) struct TooLarge {
    bound: u64,
    told: Mutex<BTreeSet<String>>,
}

impl TooLarge {
    /// With a bound, in bytes.
    pub(super) fn than(bound: u64) -> Self {
        Self { bound, told: Mutex::default() }
    }

    /// With the same bound, and nothing said.
    pub(super) fn anew(&self) -> Self {
        Self::than(self.bound)
    }

    /// A sentence about an image of so many bytes, the first time: it stays while steps are in it, and then it goes.
    pub(super) fn first(&self, wanted: &Wanted, bytes: u64) -> Option<String> {
        let digest = wanted.digest.to_string();
        if bytes <= self.bound || !self.is_news(&digest) {
            return None;
        }
        let name = wanted.references.first().map_or(&*digest, |(name, _)| name.as_str());
        Some(format!(
            "the image {name} takes {} unpacked, more than the {} that images may take: what no step is in is removed, and \
             fetched again by the next one; allow more (--cache-size)",
            size::human(bytes),
            size::human(self.bound)
        ))
    }

    fn is_news(&self, digest: &str) -> bool {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if told.len() >= MOST_TOLD {
            told.clear();
        }
        told.insert(digest.to_owned())
    }
}
