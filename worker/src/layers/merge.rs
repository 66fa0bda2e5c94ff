//! How entries of one name in several layers become one.

use std::collections::HashMap;

use super::{Entry, LayerSet, Raw};

/// One name while its layers are looked at from the top.
#[derive(Debug, Default)]
pub(super) struct Slot {
    entry: Option<Entry>,
    /// What decides is found: lower layers do not show through.
    closed: bool,
}

impl Slot {
    /// Adds what the next layer that has the name has there.
    pub(super) fn add(&mut self, layer: usize, raw: Raw) {
        if self.closed {
            return;
        }
        match raw {
            Raw::Directory { opaque } => {
                let layers = match &self.entry {
                    Some(Entry::Directory(above)) => above.with(layer),
                    _ => LayerSet::only(layer),
                };
                self.entry = Some(Entry::Directory(layers));
                self.closed = opaque;
            }
            Raw::Whiteout => self.closed = true,
            Raw::Other(entry) => {
                // Below a directory of an upper layer nothing but directories shows through.
                self.entry.get_or_insert(entry);
                self.closed = true;
            }
        }
    }

    /// Whether lower layers still matter.
    pub(super) fn goes_on(&self) -> bool {
        !self.closed
    }

    /// What is seen.
    pub(super) fn finish(self) -> Option<Entry> {
        self.entry
    }
}

/// A directory while its layers are listed from the top.
#[derive(Debug, Default)]
pub(super) struct Listing {
    names: HashMap<Vec<u8>, Slot>,
}

impl Listing {
    /// Whether what the layer at hand has at `name` matters.
    pub(super) fn wants(&self, name: &[u8]) -> bool {
        self.names.get(name).is_none_or(Slot::goes_on)
    }

    /// Adds an entry of the layer at hand. True where that makes one more to be seen.
    pub(super) fn add(&mut self, name: &[u8], layer: usize, raw: Raw) -> bool {
        if let Some(slot) = self.names.get_mut(name) {
            slot.add(layer, raw);
            return false;
        }
        let mut slot = Slot::default();
        slot.add(layer, raw);
        let seen = slot.entry.is_some();
        self.names.insert(name.to_vec(), slot);
        seen
    }

    /// What is seen, sorted by name.
    pub(super) fn finish(self) -> Vec<(Vec<u8>, Entry)> {
        let seen = self.names.into_iter().filter_map(|(name, slot)| Some((name, slot.finish()?)));
        let mut entries: Vec<_> = seen.collect();
        entries.sort_unstable_by(|a, b| a.0.cmp(&b.0));
        entries
    }
}
