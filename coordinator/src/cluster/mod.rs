//! A coordinator as a process among others: how a cluster comes about, how its members find each other, and what an
//! operator can ask of it.

mod control;
mod formation;
mod newcomer;
mod peers;
mod raft_rpc;
mod seat;
mod upgrade;

pub use control::control_service;
pub(crate) use control::{FORWARDED, status};
pub use formation::{FormError, Formation};
pub use peers::{DialError, connect};
pub use raft_rpc::raft_service;
pub use seat::Seat;
pub(crate) use upgrade::upgrade;
