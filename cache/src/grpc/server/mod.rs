//! The server's side: a store as `ContentAddressableStorage` and `ByteStream`.
//!
//! Coordinators serve the shared store with it, workers their local disk, to read from only. What is uploaded is
//! checked here, whatever the store does: a blob with a wrong size or wrong bytes is INVALID_ARGUMENT, and nothing
//! is stored.

mod answer;
mod appending;
mod assets;
mod batches;
mod capabilities;
mod read;
mod results;
mod services;
mod splice;
mod split;
mod tree;
mod trees;
mod uploads;
mod write;

pub use answer::{Inlined, result_for_clients};
pub use capabilities::CapabilitiesService;
pub use results::{InstanceResults, ReachedResults, ResultServices, requested_action};
pub use services::{Instances, OnlyInstance, StorageLimits, StorageServices};
