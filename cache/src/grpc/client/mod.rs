//! The client's side: blobs of a coordinator, or of a worker.

mod endpoints;
mod options;
mod store;
mod stream;
mod upload;

pub use options::GrpcOptions;
pub use store::GrpcStore;
