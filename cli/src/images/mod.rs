//! What the image references of pipelines mean: `cullet.lock`, and where it says nothing, registries, layouts and
//! archives; and images as root directories of steps. Only for a step that is executed anything but documents is
//! fetched.

mod error;
mod export;
mod fetch;
mod file;
mod find;
mod in_engine;
mod layers;
mod left_out;
mod lock;
mod on_worker;
mod pinned;
mod roots;
mod telling;

pub(crate) use error::{push_failed, unreadable_source, unusable as unusable_registries};
pub(crate) use export::Exporter;
pub(crate) use file::LockFile;
pub(crate) use find::{Finder, Wanted};
pub(crate) use lock::Lock;
pub(crate) use on_worker::WorkerImages;
pub(crate) use pinned::Pinned;
pub(crate) use roots::LocalImages;
