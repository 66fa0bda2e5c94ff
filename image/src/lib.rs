//! OCI images.

mod digest;
pub mod layer;
mod platform;
mod reference;
mod tarball;

pub use digest::{Digest, DigestError};
pub use platform::{Platform, PlatformError};
pub use reference::{Pick, Reference, ReferenceError, RegistryReference};
