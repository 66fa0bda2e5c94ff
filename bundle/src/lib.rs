//! A pipeline with everything that it needs, in one file: to be run where there is no network.
//!
//! A bundle is an uncompressed tar of an OCI image layout (OCI image-spec, `image-layout.md`), so that other programs can
//! read it too:
//!
//! ```text
//! oci-layout               the mark of a layout
//! bin/cullet               the program itself, if it was put in
//! blobs/sha256/HEX         everything else, under the SHA-256 of its bytes
//! index.json               the manifest of the bundle, with signatures, and the manifests of its images
//! ```
//!
//! The manifest of the bundle names all its blobs; its configuration is [`Contents`], which says what they are. Results and
//! source trees are kept as in a shared cache ([`cullet_cache::Objects`]), so that a bundle is one that is only read. Images are as their
//! registries have them. A signature is over the digest of the manifest, and with that over everything.
//!
//! An **incremental** bundle leaves out what an earlier one has, and says which that was: it is read together with it.
//!
//! Whatever is in a bundle is compared with its digest before anything is made of it, each time; [`Bundle::verify`] does so
//! for all of it, and says which entry is damaged.

mod archive;
mod contents;
mod error;
mod objects;
mod opened;
mod signature;
mod verify;
mod writer;

#[cfg(test)]
mod tests;

pub use contents::{Contents, File, Image, Program, StepResult, Tree};
pub use error::BundleError;
pub use opened::Bundle;
pub use verify::Verified;
pub use writer::BundleWriter;
