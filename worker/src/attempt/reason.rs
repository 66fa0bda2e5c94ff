//! Errors as sentences.

use std::error::Error;

use cullet_cache::StoreError;

/// An error and everything that caused it, in one line, and what to do about it.
pub(crate) fn sentence(error: &(dyn Error + 'static)) -> String {
    let text = chain(error);
    match advice(error) {
        Some(advice) => text + "; " + advice,
        None => text,
    }
}

/// An error and everything that caused it, in one line.
pub(crate) fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let cause_text = cause.to_string();
        // Transparent errors repeat their cause.
        if !text.ends_with(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        next = cause.source();
    }
    text
}

/// The signal that ended a step, and what is known about its cause.
pub(super) fn killed_by(signal: i32) -> String {
    match signal {
        libc::SIGSYS => format!(
            "killed by signal {signal} (SIGSYS): the sandbox ends 32-bit programs and others of another \
             architecture this way; use a native program, or the plain executor"
        ),
        _ => format!("killed by signal {signal}"),
    }
}

/// A step that needed more memory than it may have, bytes. A peak of 0 is one that nobody measured.
pub(super) fn out_of_memory(limit: u64, peak: u64) -> String {
    let limit = size(limit);
    let took = if peak == 0 { String::new() } else { format!(" and took {}", size(peak)) };
    format!("out of memory: it may have {limit}{took}; raise `limits.memory`")
}

/// A step that had more on the disk than it may, bytes.
pub(super) fn out_of_disk(limit: u64, taken: u64) -> String {
    let (limit, taken) = (size(limit), size(taken));
    format!("out of disk space: it may have {limit} and had {taken} when that was seen; raise `limits.disk`")
}

/// A step that one file was too large for, bytes.
pub(super) fn too_large(limit: u64) -> String {
    format!(
        "out of disk space: it may have {}, and one file was to be larger; raise `limits.disk`",
        size(limit)
    )
}

/// In the largest unit that leaves a number of at least one.
fn size(bytes: u64) -> String {
    let units = ["KiB", "MiB", "GiB", "TiB"];
    let (mut value, mut unit) = (bytes as f64 / 1024.0, 0);
    while value >= 1024.0 && unit + 1 < units.len() {
        (value, unit) = (value / 1024.0, unit + 1);
    }
    let text = format!("{value:.1}");
    format!("{} {}", text.strip_suffix(".0").unwrap_or(&text), units[unit])
}

/// What to do about it, where the cause knows less than we do.
fn advice(error: &(dyn Error + 'static)) -> Option<&'static str> {
    let mut next = Some(error);
    while let Some(cause) = next {
        if let Some(StoreError::ReadOnly { .. }) = cause.downcast_ref::<StoreError>() {
            return Some(
                "a step can only run where its outputs can be stored: make it writable, or use another (CULLET_CACHE_DIR)",
            );
        }
        next = cause.source();
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_step_had_too_much_of_is_said_with_its_limit() {
        let disk = out_of_disk(1 << 30, 3 << 29);
        assert!(disk.contains("may have 1 GiB and had 1.5 GiB") && disk.contains("`limits.disk`"), "{disk}");
        assert!(too_large(5 << 20).contains("may have 5 MiB, and one file"));
        assert!(out_of_memory(512 << 20, 511 << 20).contains("may have 512 MiB and took 511 MiB"));
        let unmeasured = out_of_memory(16 << 20, 0);
        assert_eq!(unmeasured, "out of memory: it may have 16 MiB; raise `limits.memory`");
    }

    #[test]
    fn a_refused_architecture_is_explained() {
        assert!(killed_by(libc::SIGSYS).starts_with("killed by signal 31 (SIGSYS): the sandbox ends 32-bit"));
        assert_eq!(killed_by(libc::SIGKILL), "killed by signal 9");
    }
}
