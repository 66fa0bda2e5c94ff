//! The `host` image: which of the machine's tools steps see, and how a machine's toolchain is identified.

mod apart;
mod env;
mod fingerprint;
mod home;
pub(crate) mod seen;
mod tools;

pub use env::complete_env;
pub use fingerprint::{FingerprintPart, HostFingerprint, fingerprint, fingerprint_of};
pub use tools::HostTools;
