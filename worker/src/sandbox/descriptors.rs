//! How many files cullet may have open, and how many steps that allows at a time.

use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// More is never asked for: programs that go through every possible descriptor take seconds for a billion.
const WANTED: u64 = 65_536;

/// For everything but steps: the cache, the history, the terminal, the runtime.
const RESERVED: u64 = 128;

/// What one step has open in cullet: two pipes, its socket, a pidfd, the pipe that stops it, and, while it
/// starts, the other ends of some of them.
const PER_STEP: u64 = 8;

/// Raises this process's limit of open files as far as it may, because the usual 1,024 are less than what a wide
/// run needs. Returns the limit in force.
pub(super) fn raise_limit() -> u64 {
    let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE) else {
        return WANTED;
    };
    let wanted = hard.min(WANTED);
    if soft < wanted && setrlimit(Resource::RLIMIT_NOFILE, wanted, hard).is_ok() {
        return wanted;
    }
    soft
}

/// How many of `wanted` steps can run at a time with `limit` open files; at least one.
pub(super) fn room(wanted: usize, limit: u64) -> usize {
    let most = limit.saturating_sub(RESERVED) / PER_STEP;
    wanted.min(usize::try_from(most).unwrap_or(usize::MAX)).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_descriptors_mean_few_steps() {
        assert_eq!(room(256, 65_536), 256);
        assert_eq!(room(256, 1024), 112);
        assert_eq!(room(256, 256), 16);
        assert_eq!(room(256, 20), 1);
        assert_eq!(room(0, 1024), 1);
    }
}
