//! Images from directories, archives and registries, into a store and back: what only the public interface shows.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests fail by panicking")]

mod archives;
mod credentials;
mod damage;
mod eviction;
mod export;
mod faults;
mod layouts;
mod made;
mod proxy;
mod push;
mod real;
mod registry;
mod space;
mod stores;
mod stub;
