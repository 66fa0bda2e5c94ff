//! Raft and the log under it.

mod scenario;
mod work;

pub(crate) use scenario::play;
