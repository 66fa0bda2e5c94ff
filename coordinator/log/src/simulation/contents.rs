//! The bytes of one file, as they are and as a power cut would leave them.

use super::chance::Chance;
use crate::frame::SECTOR_BYTES;

/// A file's bytes.
#[derive(Clone, Debug, Default)]
pub(super) struct Contents {
    /// What a reader sees.
    pub(super) now: Vec<u8>,
    /// What is on the device.
    durable: Vec<u8>,
    /// Ranges written or cut since the last sync, which may have reached the device or not.
    dirty: Vec<(usize, usize)>,
}

impl Contents {
    pub(super) fn write(&mut self, bytes: &[u8], offset: usize) {
        let end = offset + bytes.len();
        if self.now.len() < end {
            self.now.resize(end, 0);
        }
        self.now[offset..end].copy_from_slice(bytes);
        self.dirty.push((offset, end));
    }

    pub(super) fn set_len(&mut self, len: usize) {
        self.dirty.push((self.now.len().min(len), self.now.len().max(len)));
        self.now.resize(len, 0);
    }

    pub(super) fn sync(&mut self) {
        self.durable.resize(self.now.len(), 0);
        for (start, end) in self.dirty.drain(..) {
            let end = end.min(self.now.len());
            if start < end {
                self.durable[start..end].copy_from_slice(&self.now[start..end]);
            }
        }
    }

    /// The kernel gives up on what it could not write: readers still see it, nothing will write it.
    pub(super) fn lose_dirty(&mut self) {
        self.dirty.clear();
    }

    /// What is neither durable nor still to be written is gone.
    pub(super) fn forget_cached(&mut self) {
        if self.dirty.is_empty() {
            self.now.clone_from(&self.durable);
        }
    }

    /// The kernel writes some of it without being asked.
    pub(super) fn write_back(&mut self, chance: &mut Chance) {
        self.durable = self.left(chance);
    }

    /// What a power cut leaves.
    pub(super) fn cut_power(&mut self, chance: &mut Chance) {
        self.durable = self.left(chance);
        self.now.clone_from(&self.durable);
        self.dirty.clear();
    }

    /// What a power cut leaves where nothing was on its way.
    pub(super) fn lose_what_is_not_synced(&mut self) {
        self.now.clone_from(&self.durable);
        self.dirty.clear();
    }

    /// What is on the device when some of the unsynced sectors have reached it.
    fn left(&self, chance: &mut Chance) -> Vec<u8> {
        let mut left = self.durable.clone();
        if !self.dirty.is_empty() {
            let (short, long) = (left.len().min(self.now.len()), left.len().max(self.now.len()));
            let len = match chance.up_to(3) {
                0 => left.len(),
                // While a write goes on, the length grows by whole pages.
                1 => ((short + chance.up_to(long - short)) / SECTOR_BYTES * SECTOR_BYTES).max(short),
                _ => self.now.len(),
            };
            left.resize(len, 0);
        }
        for &(start, end) in &self.dirty {
            for sector in start / SECTOR_BYTES..end.div_ceil(SECTOR_BYTES) {
                let from = sector * SECTOR_BYTES;
                let to = (from + SECTOR_BYTES).min(self.now.len()).min(left.len());
                if from < to && chance.coin() {
                    left[from..to].copy_from_slice(&self.now[from..to]);
                }
            }
        }
        left
    }
}
