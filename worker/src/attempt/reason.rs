//! Errors as sentences.

use std::error::Error;

use cullet_cache::StoreError;

/// An error and everything that caused it, in one line.
pub(super) fn sentence(error: &(dyn Error + 'static)) -> String {
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
    match advice(error) {
        Some(advice) => text + "; " + advice,
        None => text,
    }
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
