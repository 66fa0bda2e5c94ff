//! Registries, over the part of the distribution API that pulling and pushing need.
//!
//! Source: OCI distribution-spec; Docker's "Token Authentication Specification". The `oci-client` crate does the same
//! job but hides status and `Retry-After` of most answers, takes answers of any length into memory, and fetches from
//! addresses that a manifest names; what is used here instead is `reqwest` with `http-auth` and `oci-spec`.

mod artifacts;
mod auth;
mod credentials;
mod download;
mod error;
mod login;
mod options;
mod push;
mod repository;
mod retry;
mod send;
mod upload;

pub use artifacts::Artifacts;
pub use credentials::Credentials;
pub use error::{RegistryError, RegistryProblem};
pub use login::{LoginError, LoginPlace, forget_login, keep_login};
pub use options::{Registries, RegistryOptions};
pub use push::{BlobPushed, MOST_MOUNTS, Pushed};
pub(crate) use repository::Repository;
