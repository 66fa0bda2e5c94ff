//! Everything on the faulty disk, and what goes wrong with it.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};

use super::chance::Chance;
use super::contents::Contents;

/// What goes wrong, and when.
#[derive(Clone, Debug, Default)]
pub struct Faults {
    /// The change (write, sync, rename and so on, counted from 0) during which everything stops.
    pub stop_at: Option<u64>,
    /// The sync, counted from 0, that fails with EIO. What it should have made durable is not, and later syncs say
    /// nothing about it.
    pub fail_sync: Option<u64>,
    /// Bytes of all files beyond which there is no space.
    pub capacity_bytes: Option<usize>,
}

#[derive(Clone, Default)]
pub(super) struct World {
    pub(super) files: BTreeMap<u64, Contents>,
    pub(super) next_file: u64,
    pub(super) names: BTreeMap<PathBuf, u64>,
    pub(super) durable_names: BTreeMap<PathBuf, u64>,
    /// Changes of names since the directory's last sync, in order.
    pub(super) renamings: Vec<Renaming>,
    pub(super) locked: BTreeSet<PathBuf>,
    pub(super) faults: Faults,
    pub(super) changes: u64,
    pub(super) syncs: u64,
    pub(super) stopped: bool,
    pub(super) chance: Chance,
    /// Whether nothing reaches the device on its own, as where the system has memory to spare.
    lazy: bool,
}

#[derive(Clone)]
pub(super) enum Renaming {
    Make(PathBuf, u64),
    Move(PathBuf, PathBuf),
    Remove(PathBuf),
}

impl World {
    pub(super) fn new(seed: u64) -> Self {
        let mut chance = Chance(seed);
        let lazy = chance.coin();
        Self { chance, lazy, ..Self::default() }
    }

    pub(super) fn after_power_cut(&mut self) -> Self {
        let mut after = self.after_restart();
        let kept = after.chance.up_to(after.renamings.len());
        let mut names = std::mem::take(&mut after.durable_names);
        for renaming in after.renamings.drain(..).take(kept) {
            // A removal may reach the device later than what came after it.
            if !matches!(renaming, Renaming::Remove(_)) || after.chance.coin() {
                renaming.apply(&mut names);
            }
        }
        after.durable_names.clone_from(&names);
        after.names = names;
        // Some of it is on its way when the power goes, mostly.
        let all_is_lost = after.lazy && after.chance.coin();
        for file in after.files.values_mut() {
            if all_is_lost {
                file.lose_what_is_not_synced();
            } else {
                file.cut_power(&mut after.chance);
            }
        }
        after
    }

    pub(super) fn after_restart(&mut self) -> Self {
        self.stopped = true;
        let mut after = self.clone();
        (after.stopped, after.changes, after.syncs) = (false, 0, 0);
        after.faults = Faults::default();
        after.locked.clear();
        after
    }

    pub(super) fn file(&mut self, path: &Path) -> io::Result<&mut Contents> {
        let number = *self.names.get(path).ok_or(io::ErrorKind::NotFound)?;
        self.contents(number)
    }

    pub(super) fn contents(&mut self, number: u64) -> io::Result<&mut Contents> {
        self.files.get_mut(&number).ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    /// At times, some of what is not synced reaches the device.
    pub(super) fn write_back(&mut self, number: u64) {
        if let (true, Some(file)) = (!self.lazy && self.chance.coin(), self.files.get_mut(&number)) {
            file.write_back(&mut self.chance);
        }
    }

    pub(super) fn check_running(&self) -> io::Result<()> {
        if self.stopped { Err(io::Error::other("the power is off")) } else { Ok(()) }
    }

    /// Counts a change. True where it still happens although everything stops with it.
    pub(super) fn change(&mut self) -> io::Result<bool> {
        self.check_running()?;
        let stops = self.faults.stop_at == Some(self.changes);
        self.changes += 1;
        self.stopped = stops;
        Ok(stops)
    }

    /// Does the change, or perhaps not where everything stops with it.
    pub(super) fn act(&mut self, act: impl FnOnce(&mut Self) -> io::Result<()>) -> io::Result<()> {
        let stops = self.change()?;
        let happens = !stops || self.chance.coin();
        if happens {
            act(self)?;
        }
        self.check_running()
    }

    pub(super) fn rename(&mut self, renaming: Renaming) {
        renaming.apply(&mut self.names);
        self.renamings.push(renaming);
    }

    pub(super) fn used_bytes(&self) -> usize {
        self.names.values().filter_map(|number| Some(self.files.get(number)?.now.len())).sum()
    }
}

impl Renaming {
    pub(super) fn apply(&self, names: &mut BTreeMap<PathBuf, u64>) {
        match self {
            Self::Make(path, number) => drop(names.insert(path.clone(), *number)),
            Self::Move(from, to) => {
                if let Some(number) = names.remove(from) {
                    names.insert(to.clone(), number);
                }
            }
            Self::Remove(path) => drop(names.remove(path)),
        }
    }
}
