//! The cache directory: blobs and results as plain files, shared by any number of processes.
//!
//! ```text
//! VERSION                        format of the layout, a decimal number
//! cas/<function>/<2 hex>/<hash>  a blob, mode 0644;  <hash>.x is the same blob with mode 0755
//! ac/<function>/<2 hex>/<hash>   a result, framed and checksummed
//! tmp/<process>/                 files in the making; locked while the process lives
//! leases/<run>                   one locked file per live run; its mtime is the start of the run
//! gc/lock gc/size gc/tombstones  one collector at a time; bytes in use; what was evicted when
//! gc/trash/                      what the collector is deciding about
//! ```
//!
//! **Crash safety without fsync.** Every file is written under `tmp/` and renamed into place whole, so a process
//! that dies at any moment leaves at most rubbish in `tmp/`, which the next process sweeps. After a power cut a
//! file may have its name but not its bytes. Nobody is misled: the size is compared whenever presence is asked,
//! a blob is hashed before its bytes are used, and a result carries a checksum. Such a file is then removed and
//! counts as absent, that is, as a cache miss. An fsync per blob would cost more than most steps.
//!
//! **Attributes.** Steps see hard links to these inodes as their inputs, so mode, owner and mtime are always the
//! same: 0644 or 0755, the configured owner, 2010-01-01T00:00:00Z. An inode has one mode, hence the second,
//! lazily made inode for blobs that are used as executables.
//!
//! **Recency** is the atime, set explicitly (so `noatime` and `relatime` mounts work alike), and only when it is
//! too old to protect the entry; see [`recency`].

mod actions;
mod adopt;
mod attributes;
mod bases;
mod blob_store;
mod clear;
mod collect;
mod copy;
mod damage;
mod gc;
mod layout;
mod lease;
mod lock;
mod long_path;
mod look;
mod lookup;
mod materialise;
mod memo;
mod name;
mod publish;
mod recency;
pub(crate) mod record;
mod scan;
pub(crate) mod scratch;
mod spread;
mod stats;
mod store;
mod tombstones;
mod usage;
mod verify;

pub use actions::DiskActionCache;
pub use adopt::open_to_adopt;
pub use gc::GcReport;
pub use lease::LiveRun;
pub use spread::spread;
pub use stats::Stats;
pub use store::{DiskStore, OpenOptions, default_bound};
pub use verify::{Damaged, VerifyReport};

#[cfg(test)]
mod tests;
