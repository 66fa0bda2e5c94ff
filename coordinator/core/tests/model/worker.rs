//! A worker: starts an attempt at most once, and keeps its report until it hears that it is in the log.

use std::collections::BTreeMap;

/// An attempt at a step: the step's position, the attempt, the epoch.
pub(crate) type Key = (u32, u32, u64);

/// How an attempt went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Went {
    Well,
    /// The machine failed it.
    Badly,
    Stopped,
}

/// What a leader says to a worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Told {
    Start(Key),
    Stop(Key),
    Acknowledged(Key),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Phase {
    Running,
    Finished(Went),
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub(crate) struct Worker {
    /// Counts its processes.
    pub(crate) incarnation: u64,
    /// Of each step the attempt with the newest epoch.
    pub(crate) table: BTreeMap<u32, (Key, Phase)>,
    /// Of each step the newest epoch whose end is in the log.
    retired: BTreeMap<u32, u64>,
}

impl Worker {
    /// What it does about something that it is told: an attempt that begins to run, or a report.
    pub(crate) fn hear(&mut self, told: Told, (careless, forgetful): (bool, bool)) -> Heard {
        match told {
            Told::Start(key) if self.is_new(key) || careless => {
                self.table.insert(key.0, (key, Phase::Running));
                Heard::Begins(key)
            }
            Told::Stop(key) => {
                // One that was never started ends with that.
                if self.is_new(key) || self.table.get(&key.0) == Some(&(key, Phase::Running)) {
                    self.table.insert(key.0, (key, Phase::Finished(Went::Stopped)));
                    return Heard::Reports(key, Went::Stopped);
                }
                Heard::Nothing
            }
            Told::Acknowledged(key) => {
                let newest = self.retired.entry(key.0).or_default();
                *newest = if forgetful { key.2 } else { key.2.max(*newest) };
                if self.table.get(&key.0).is_some_and(|(known, _)| *known == key) {
                    self.table.remove(&key.0);
                }
                Heard::Nothing
            }
            Told::Start(_) => Heard::Nothing,
        }
    }

    fn is_new(&self, key: Key) -> bool {
        match self.table.get(&key.0) {
            Some((known, _)) => known.2 < key.2,
            None => self.retired.get(&key.0).is_none_or(|newest| *newest < key.2),
        }
    }

    pub(crate) fn running(&self) -> impl Iterator<Item = Key> {
        self.table.values().filter(|(_, phase)| *phase == Phase::Running).map(|(key, _)| *key)
    }

    /// Reports that nobody acknowledged.
    pub(crate) fn reports(&self) -> impl Iterator<Item = (Key, Went)> {
        self.table.values().filter_map(|(key, phase)| match phase {
            Phase::Finished(went) => Some((*key, *went)),
            Phase::Running => None,
        })
    }

    /// The process ends and another one begins.
    pub(crate) fn crash(&mut self) {
        *self = Self { incarnation: self.incarnation + 1, ..Self::default() };
    }
}

/// What follows from what a worker was told.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Heard {
    Nothing,
    Begins(Key),
    Reports(Key, Went),
}
