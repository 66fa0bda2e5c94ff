//! What was just seen in a store, remembered for a moment: clients of a cluster ask about the same compilers and headers for
//! each of thousands of actions, and each answer costs looks at files or requests.
//!
//! What is remembered is only that something was there, never that it was not, and that for [`MOMENT`]: as long as an answer may
//! take to reach whoever asked. What went away behind the back of this process is taken to be there for so long.

mod blobs;
mod results;
#[cfg(test)]
mod tests;

use std::time::Duration;

pub use blobs::RecentBlobs;
pub use results::{RecentActions, RecentResults};

/// How long what was seen is taken to be there.
pub const MOMENT: Duration = Duration::from_secs(2);
