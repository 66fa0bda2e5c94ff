//! The journals of break-glass runs: what their lines are, whether they are what was written, and what a cluster keeps of them.
//!
//! A machine that breaks the glass writes a journal (the `cullet` binary does). When the cluster is back it is sent the lines,
//! believes none of them before it has looked at its signature and at the one before, and keeps them where no run can change
//! them and no garbage collection takes them.

mod bytes;
mod check;
mod entry;
mod judge;
mod kept;
mod line;
mod outcome;
mod taking;
#[cfg(test)]
mod tests;

pub use bytes::{from_hex, hex, sha256};
pub use check::{Checked, Head, NOTHING, check};
pub use entry::{Approved, Begun, Entry, Event, Finished, Git, Pipeline, StepRecord, Who};
pub use judge::{Fault, MOST_LINE};
pub(crate) use judge::{Hash, MOST_ENTRIES, Verdict, look_at};
pub(crate) use kept::{KeptJournals, is_name};
pub use line::{Line, hash, lines, seal};
pub(crate) use outcome::{Clusters, MOST_STEPS, Outcome, Quarantined, outcomes, scope_of};
pub use outcome::{digest_of, outputs_of};
pub(crate) use taking::{Judged, Sender, take_in};
