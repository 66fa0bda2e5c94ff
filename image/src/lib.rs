//! Images in the sense of OCI, as far as no sandbox is needed: what people write ([`Reference`]), which image that is
//! ([`resolve`]), its layers as directories for overlayfs ([`Store`]), and directories as images again
//! ([`LayoutWriter`], [`Registries::push`]).
//!
//! Whatever comes from outside is checked against its digest before anything is made of it, and everything is
//! bounded. No code of an image is ever run here.

mod compose;
mod config;
mod digest;
mod error;
pub mod layer;
mod manifest;
mod outgoing;
mod platform;
mod reference;
pub mod registry;
mod resolve;
mod source;
mod store;
mod tarball;
mod writer;

pub use compose::Composed;
pub use config::ImageConfig;
pub use digest::{Digest, DigestError};
pub use error::ImageError;
pub use manifest::Blob;
pub use outgoing::Outgoing;
pub use platform::{Platform, PlatformError};
pub use reference::{Pick, Reference, ReferenceError, RegistryReference};
pub use registry::{
    Artifacts, BlobPushed, Credentials, LoginError, LoginPlace, MOST_MOUNTS, Pushed, Registries,
    RegistryError, RegistryOptions, RegistryProblem, forget_login, keep_login,
};
pub use resolve::{Layer, Resolved, resolve, resolve_manifest};
pub use source::{FilePart, LocalBlobs};
pub use store::{
    Archive, EngineExport, Evicted, ExportLayer, HeldImage, LayerHold, MadeLayer, OwnerHelper, Progress,
    Store, StoreOptions, StoreStats, StoredLayer, UnpackTask, Verified, sync_when_quiet,
};
pub use writer::{LayoutWriter, WrittenImage};
