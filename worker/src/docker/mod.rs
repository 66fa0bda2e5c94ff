//! Steps in containers of a Docker engine, for machines that allow no namespaces, and for whoever asks for that. What it
//! promises, and where it differs from the sandbox, is in `docs/docker.md`.
//!
//! Nothing of this machine's disk is shown to a container but three files that the engine may be unable to see: inputs
//! go in and the workspace comes out as archives, so that no step reaches an inode of the cache, whoever cullet is and
//! wherever the engine keeps its files.

mod account;
mod address;
mod caches;
mod changed;
mod container;
mod engine;
mod error;
mod exec;
mod executor;
mod files;
mod follow;
mod helper;
mod holder;
mod images;
mod owner;
mod pack;
mod refusal;
mod root;
mod said;
mod services;
mod spec;
mod unpack;
mod usage;
mod visit;
mod workspace;

pub use address::Address;
pub use engine::{Engine, Facts};
pub use error::EngineError;
pub use executor::DockerExecutor;
pub use images::EngineImage;
