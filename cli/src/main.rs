//! The `cullet` binary.

use std::process::ExitCode;

fn main() -> ExitCode {
    cullet_cli::main()
}
