//! What workers say of themselves.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// As long as a host name can be (RFC 1035). For names of workers and for both halves of a label.
pub(crate) const MAX_NAME: usize = 255;
/// A URL with some room.
const MAX_ADDRESS: usize = 1024;
/// More than anybody gives a machine by hand.
pub(crate) const MAX_LABELS: usize = 64;

/// What a worker says of itself when it joins.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkerSpec {
    /// Stays the same when it is started again.
    pub name: Box<str>,
    /// Differs between two processes of one name.
    pub incarnation: u64,
    /// Where others reach it; empty for the machine itself.
    pub address: Box<str>,
    /// What steps can ask for.
    pub labels: BTreeMap<Box<str>, Box<str>>,
    /// Thousandths of a processor.
    pub cpu_millis: u32,
    /// Bytes of memory.
    pub memory_bytes: u64,
}

impl WorkerSpec {
    /// Whether it is small enough to be kept.
    pub(crate) fn is_valid(&self) -> bool {
        let short = |text: &str| text.len() <= MAX_NAME;
        !self.name.is_empty()
            && short(&self.name)
            && self.address.len() <= MAX_ADDRESS
            && self.labels.len() <= MAX_LABELS
            && self.labels.iter().all(|(label, value)| short(label) && short(value))
    }
}
