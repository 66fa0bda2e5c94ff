//! Blobs over gRPC: `ContentAddressableStorage` of the Remote Execution API v2 and `google.bytestream`, from both
//! sides. Small blobs travel in batches, large ones as streams that go on where a broken connection left off.

pub mod client;
mod compression;
pub(crate) mod pieces;
mod resource;
pub mod server;
pub(crate) mod wire;

#[cfg(test)]
mod tests;

pub use client::{GrpcOptions, GrpcStore};
pub use server::{
    CapabilitiesService, Inlined, InstanceResults, Instances, OnlyInstance, ReachedResults, ResultServices,
    StorageLimits, StorageServices, requested_action, result_for_clients,
};
pub use wire::{number as function_number, to_wire as digest_message};

/// The most bytes of one message, which is what gRPC allows unless told otherwise.
pub(crate) const MESSAGE: usize = 4 << 20;

/// The most bytes of blobs in one batch: a message without what surrounds them.
pub(crate) const BATCH: u64 = (MESSAGE - (64 << 10)) as u64;

/// Bytes in one piece of a stream. Larger ones gain nothing on loopback and cost memory per stream.
pub(crate) const PIECE: usize = 256 << 10;
