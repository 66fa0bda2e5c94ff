//! Wire types, and the way to whoever speaks them ([`Dial`]). [`reapi`] holds the messages of the Remote Execution API v2 that Cullet stores and sends, [`v1`]
//! those of `cullet.v1`, [`raft`] what coordinators say to each other. Nothing past a boundary of the program takes
//! these types.

/// Includes clients and servers of a published API.
macro_rules! include_service {
    ($name:literal) => {
        tonic::include_proto!($name);
        include!(concat!(env!("OUT_DIR"), "/servers/", $name, ".rs"));
    };
}

pub mod asset;
pub mod bytestream;
pub mod codec;
mod dial;
mod duration;
pub mod longrunning;
pub mod reapi;
pub mod trace;

pub use dial::{Connecting, Connection, Dial};
pub use duration::duration;

/// `cullet.v1`, from `proto/cullet/v1`.
pub mod v1 {
    #![allow(
        missing_docs,
        unreachable_pub,
        clippy::all,
        reason = "made from .proto files, which have the documentation"
    )]
    tonic::include_proto!("cullet.v1");
}

/// `cullet.raft.v1`, from `proto/cullet/raft/v1`.
pub mod raft {
    #![allow(
        missing_docs,
        unreachable_pub,
        clippy::all,
        reason = "made from .proto files, which have the documentation"
    )]
    tonic::include_proto!("cullet.raft.v1");
}

/// The encoded descriptors of [`v1`], [`raft`] and the published APIs, for server reflection.
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));
