//! Who owns what a step may write.

use std::fs;

use nix::unistd::geteuid;

use super::config::SANDBOX_UID;

/// The user and group id that steps run as when that is not the caller: when the caller is root and the sandbox
/// user exists in its user namespace. Files and directories of input roots must belong to it, or steps cannot
/// change them.
pub fn sandbox_owner() -> Option<u32> {
    let exists = || {
        ["/proc/self/uid_map", "/proc/self/gid_map"].iter().all(|file| {
            let map = fs::read_to_string(file).unwrap_or_default();
            map.lines().any(|line| covers(line, SANDBOX_UID))
        })
    };
    (geteuid().is_root() && exists()).then_some(SANDBOX_UID)
}

/// Whether a line of an id map (first id inside, first id outside, how many) has `id` inside.
fn covers(line: &str, id: u32) -> bool {
    let mut numbers = line.split_whitespace().map(|text| text.parse::<u64>().unwrap_or(0));
    let (first, _, count) = (numbers.next(), numbers.next(), numbers.next());
    let (first, count) = (first.unwrap_or(0), count.unwrap_or(0));
    (first..first.saturating_add(count)).contains(&u64::from(id))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_map_covers_what_it_lists() {
        assert!(covers("         0          0 4294967295", SANDBOX_UID));
        assert!(!covers("         0       1000          1", SANDBOX_UID));
        assert!(!covers("         0     100000      65536", SANDBOX_UID));
        assert!(!covers("", SANDBOX_UID));
    }
}
