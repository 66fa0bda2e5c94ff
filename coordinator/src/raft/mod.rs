//! The core driven by raft: the same commands in the same order on every coordinator, durable on a quorum before
//! anything follows from them.

mod batch;
mod contact;
mod following;
mod frame;
mod machine;
mod members;
mod network;
mod node;
mod removed;
mod service;
mod snapshot;
mod store;
mod stored;
mod timing;
mod types;

pub use batch::{Batch, EncodedCommand};
pub use contact::Contact;
pub(crate) use following::Following;
pub use frame::MAX_MESSAGE;
pub use machine::{Applying, SharedState};
pub use members::{MemberView, RaftView};
pub use node::{Leader, Node, NodeError, ProposeError};
pub use removed::Removed;
pub use service::AppendAnswers;
pub use timing::Timing;
pub use types::{Applied, Member, NodeId};
