//! What processes took.

use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::{TimeVal, TimeValLike as _};

use super::super::protocol::Taken;

/// The unit of the block counts of getrusage(2) on Linux.
const RUSAGE_BLOCK_BYTES: u64 = 512;

/// What all children took that are buried, and theirs.
pub(super) fn taken() -> Taken {
    let Ok(usage) = getrusage(UsageWho::RUSAGE_CHILDREN) else { return Taken::default() };
    let millis = |time: TimeVal| u64::try_from(time.num_milliseconds()).unwrap_or(0);
    let number = |value: i64| u64::try_from(value).unwrap_or(0);
    Taken {
        cpu_ms: millis(usage.user_time() + usage.system_time()),
        peak_bytes: number(usage.max_rss()) * 1024,
        read_bytes: number(usage.block_reads()) * RUSAGE_BLOCK_BYTES,
        written_bytes: number(usage.block_writes()) * RUSAGE_BLOCK_BYTES,
    }
}
