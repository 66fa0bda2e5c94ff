//! Whether a server speaks the Remote Execution API as its specification says: one file for each call, over plain gRPC. What a test
//! checks stands at the test, with the message or the field that says it.
//!
//! By default the server is a cluster of one coordinator and one worker. What concerns caches is asked of buildbox-casd as well, where
//! `CULLET_CASD` names its program: a check that a server of other people does not pass may be wrong itself. Where that one differs
//! is in [`differences`]. `CULLET_REAPI` names the address of any other server, which is asked instead of both.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests fail by panicking")]

mod actions;
mod api;
mod blobs;
mod differences;
mod directories;
mod servers;

mod batch_read_blobs;
mod batch_update_blobs;
mod byte_stream_read;
mod byte_stream_write;
mod capabilities;
mod execute;
mod find_missing_blobs;
mod fuzz;
mod get_action_result;
mod get_tree;
mod log_streams;
mod operations;
mod proxy;
mod query_write_status;
mod small_blobs;
mod splice_blob;
mod split_blob;
mod update_action_result;
mod wait_execution;
