//! The `cullet` binary.

use std::process::ExitCode;

/// A coordinator spends a tenth of its time in the allocator of the C library.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    cullet_cli::main()
}
