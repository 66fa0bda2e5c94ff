//! Tries to get out of the sandbox, in every way that its authors could think of, and says what it could do. Run as a step
//! by `sandbox_escapes.rs`; by itself, it says what an ordinary process can do.
//!
//! Without an argument it starts itself once for each attempt, so that one that is killed or stuck says so, and prints a
//! line for each: `could NAME`, or `could not NAME (why)`. An attempt that looks at many places names each in a line of its
//! own. All attempts are harmless where they succeed, at least to a machine that is there for tests.

mod attempt;
mod call;
mod files;
mod kernel;
mod mounts;
mod network;
mod processes;

use std::io::Write as _;
use std::process::{Command, Stdio};

use attempt::{Attempt, Outcome};

fn main() {
    let mut arguments = std::env::args().skip(1);
    let answer = match (arguments.next().as_deref(), arguments.next()) {
        (None, _) => everything(),
        (Some("privileges"), _) => processes::own_privileges(),
        (Some("wait"), _) => processes::wait(),
        (Some("blind"), Some(numbers)) => processes::blind(&numbers, arguments.collect()),
        (Some(name), _) => one(name),
    };
    let mut out = std::io::stdout();
    let _ = out.write_all(answer.as_bytes());
}

fn all() -> impl Iterator<Item = &'static Attempt> {
    [kernel::ALL, mounts::ALL, files::ALL, network::ALL, processes::ALL].into_iter().flatten()
}

/// In a process of its own: the answer is what the first process prints.
fn one(name: &str) -> String {
    let found = all().find(|(each, _)| *each == name);
    found.map_or_else(|| format!("unknown {name}\n"), |(name, attempt)| attempt().lines(name))
}

fn everything() -> String {
    all().map(|(name, _)| started(name)).collect()
}

fn started(name: &str) -> String {
    // Sixty seconds are more than anything here takes; `timeout` of the step is behind it.
    let output = Command::new("/proc/self/exe").arg(name).stdin(Stdio::null()).output();
    match output {
        Ok(output) if output.status.success() => String::from_utf8_lossy(&output.stdout).into_owned(),
        Ok(output) => Outcome::Refused(format!("ended with {}", output.status)).lines(name),
        Err(error) => format!("untried {name}: {error}\n"),
    }
}
