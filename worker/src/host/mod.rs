//! The `host` image: which of the machine's tools steps see, and how a machine's toolchain is identified.

mod env;
mod fingerprint;
mod home;
mod tools;

pub use env::complete_env;
pub use fingerprint::{FingerprintPart, HostFingerprint, fingerprint};
pub use tools::HostTools;
