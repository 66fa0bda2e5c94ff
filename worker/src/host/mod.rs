//! The `host` image: which of the machine's tools steps see, and how a machine's toolchain is identified.

mod apart;
mod check;
mod env;
mod fingerprint;
mod home;
mod looks;
mod recall;
pub(crate) mod seen;
mod stamp;
mod tools;

pub use env::{complete_env, complete_image_env};
pub use fingerprint::{FingerprintPart, HostFingerprint};
pub use recall::{fingerprint, fingerprint_of, look};
pub use tools::HostTools;
