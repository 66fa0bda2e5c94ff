//! For tests: a disk in memory that fails as disks do, the same way every time.
//!
//! [`FaultyDisk`] keeps apart what was written and what is durable. [`FaultyDisk::power_cut`] gives the disk that a
//! machine finds after losing power: of what was not synced, each 512-byte sector either made it or not, and a file may
//! be as long as it was before or as it was going to be; some of it may have been written long before the cut. [`FaultyDisk::restart`] gives the disk after the process alone
//! ended, with everything written still there but not durable.

mod chance;
mod contents;
mod faulty;
mod world;

pub use faulty::FaultyDisk;
pub use world::Faults;
