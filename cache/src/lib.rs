//! Content-addressed storage and the action cache: two narrow traits, their backends, and the decorators that
//! put one policy each around them.

pub mod action;
pub mod action_cache;
mod action_remote;
pub mod action_result;
mod action_secrets;
mod arriving;
pub mod backing;
pub mod blob;
pub mod blob_store;
mod blocking;
mod checked_streams;
mod children;
mod chunks;
pub mod collect;
pub mod completeness;
#[cfg(any(test, feature = "conformance"))]
pub mod conformance;
pub mod discard;
pub mod disk;
pub mod error;
pub mod fallback;
pub mod forgiving;
pub mod grpc;
pub mod kept;
pub mod keyed;
pub mod local;
pub mod log_order;
pub mod memory;
pub mod memory_actions;
pub mod mirror;
pub mod object;
pub mod objects;
mod offload;
pub mod origin;
pub mod packed;
mod pause;
mod receive;
pub mod recent;
pub mod services;
pub mod shared;
mod shared_runs;
mod single_flight;
mod spool;
#[cfg(test)]
mod testing;
mod threads;
pub mod tiers;
mod tree_message;
pub mod trees;
pub mod trust;
pub mod v1;
pub mod verifying;
mod whole;
pub mod wire;

pub use action::{Action, ActionError, EncodedAction, OutputPath};
pub use action_cache::ActionCache;
pub use action_remote::USUAL_TIMEOUT;
pub use action_result::{ActionResult, LogStream, Output, OutputKind, Times, Usage};
pub use action_secrets::{ActionSecret, secret_properties};
pub use backing::{Access, Backing, Settled, VolumesBehind};
pub use blob::{Blob, CheckedFile};
pub use blob_store::BlobStore;
pub use checked_streams::CheckedStreams;
pub use completeness::{CompletenessChecking, Incomplete};
pub use discard::Discard;
pub use disk::{
    Damaged, DiskActionCache, DiskStore, GcReport, LiveRun, OpenOptions, Stats, VerifyReport, default_bound,
};
pub use error::StoreError;
pub use fallback::Fallback;
pub use forgiving::Forgiving;
pub use grpc::{
    CapabilitiesService, GrpcOptions, GrpcStore, Inlined, InstanceResults, Instances, OnlyInstance,
    ReachedResults, ResultServices, StorageLimits, StorageServices, digest_message, function_number,
    requested_action, result_for_clients,
};
pub use kept::KeptRecords;
pub use keyed::{Gathered, Gathering, KeyedValue, KeyedValues};
pub use local::{LocalCache, open};
pub use log_order::{KnownLog, LogCursor, NextBytes, Stream};
pub use memory::MemoryStore;
pub use memory_actions::MemoryActionCache;
pub use object::{Location, ObjectActions, ObjectBlobs, ObjectOptions, Service};
pub use objects::{Area, Collectable, ObjectName, Objects, RecordName};
pub use origin::{Origin, Pieces, Stamp};
pub use packed::{KeptTree, PackedActions, PackedBlobs, Recalled};
pub use recent::{RecentActions, RecentBlobs, RecentResults};
pub use shared::SharedCache;
pub use shared_runs::SharedRuns;
pub use tiers::{Moved, NoPeers, Peers, SharedBlobs, TierCounts, Tiers, TiersOptions};
pub use tree_message::tree_message;
pub use trees::{Pack, Trees};
pub use trust::{
    KeyError, PublicKey, Refusals, Refused, Scope, ScopeError, ScopedActions, Signature, Signed, SigningKey,
    TrustOptions, Trusted,
};
pub use verifying::Verifying;
pub use wire::ActionResultError;
