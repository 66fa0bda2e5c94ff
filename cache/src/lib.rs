//! Content-addressed storage and the action cache: two narrow traits, their backends, and the decorators that
//! put one policy each around them.

pub mod action;
pub mod action_cache;
pub mod action_result;
pub mod blob;
pub mod blob_store;
pub mod discard;
pub mod disk;
pub mod error;
pub mod wire;

pub use action::{Action, ActionError, EncodedAction, OutputPath};
pub use action_cache::ActionCache;
pub use action_result::{ActionResult, LogStream, Output, OutputKind};
pub use blob::Blob;
pub use blob_store::BlobStore;
pub use discard::Discard;
pub use error::StoreError;
pub use wire::ActionResultError;
