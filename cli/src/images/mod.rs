//! What the image references of pipelines mean: `cullet.lock`, and where it says nothing, registries, layouts and
//! archives; and images as root directories of steps. Only for a step that is executed anything but documents is
//! fetched.

mod above;
mod error;
mod export;
mod fetch;
mod file;
mod find;
mod helper;
mod in_engine;
mod layers;
mod left_out;
mod lock;
mod on_worker;
mod outbound;
mod pinned;
mod root_error;
mod roots;
mod telling;
mod too_large;
mod wanted;

pub(crate) use error::{push_failed, unreadable_source, unusable as unusable_registries};
pub(crate) use export::Exporter;
pub(crate) use file::{LockFile, NAME as LOCK_NAME};
pub(crate) use find::{Finder, Wanted};
pub(crate) use helper::{ARGUMENT as OWNERS_ARGUMENT, SubIdHelper, main as owners_main};
pub(crate) use in_engine::{ENGINE_USERS, has_engine_images, remove_engine_images};
pub(crate) use lock::Lock;
pub(crate) use on_worker::WorkerImages;
pub(crate) use outbound::Outbound;
pub(crate) use pinned::Pinned;
pub(crate) use roots::LocalImages;
