//! The `cullet` binary.
fn main() {}
