//! Which process a number means.

/// When process `pid` started, in clock ticks since the machine's start (proc(5), field 22 of `stat`). None
/// where there is no such process or no such file.
pub(super) fn started(pid: u32) -> Option<u64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The second field is a name in parentheses that may hold anything; the third is the first after it.
    let after_name = &stat[stat.rfind(')')? + 1..];
    after_name.split_whitespace().nth(19)?.parse().ok()
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn a_process_keeps_its_start_and_others_have_another() {
        let me = started(std::process::id());
        assert!(me.is_some());
        assert_eq!(me, started(std::process::id()));
        assert_ne!(me, started(1));
        assert_eq!(started(u32::MAX), None);
    }
}
