//! Compiles the program that Cullet has in containers of a Docker engine: it takes no library, which crates of a workspace
//! cannot be told to do without, and no other target than this one's.

use std::env::var;
use std::error::Error;
use std::path::PathBuf;
use std::process::Command;

/// It runs in any image, whatever libraries that has; and everything that a linker would add varies between machines.
const FLAGS: [&str; 8] = [
    "panic=abort",
    "opt-level=s",
    "strip=symbols",
    "relocation-model=static",
    "link-arg=-nostartfiles",
    "link-arg=-nostdlib",
    "link-arg=-static",
    "link-arg=-Wl,--build-id=none",
];

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=helper");
    let program = PathBuf::from(var("OUT_DIR")?).join("helper");
    let is_known = matches!(&*var("CARGO_CFG_TARGET_ARCH")?, "x86_64" | "aarch64");
    if !is_known || var("CARGO_CFG_TARGET_OS")? != "linux" {
        // Without it, steps that need it are refused.
        std::fs::write(&program, "")?;
        return Ok(());
    }
    let mut rustc = Command::new(var("RUSTC")?);
    rustc.args(["--edition", "2024", "--crate-type", "bin", "--crate-name", "cullet_helper"]);
    rustc.args(["--target", &var("TARGET")?]).args(FLAGS.iter().flat_map(|flag| ["-C", flag]));
    if var("CARGO_CFG_TARGET_ENV")? == "musl" {
        // Otherwise it would come with the beginning of a C program.
        rustc.args(["-C", "link-self-contained=no"]);
    }
    if let Ok(linker) = var("RUSTC_LINKER") {
        rustc.arg("-C").arg(format!("linker={linker}"));
    }
    let status = rustc.arg("-o").arg(&program).arg("helper/main.rs").status()?;
    if status.success() {
        Ok(())
    } else {
        Err("the program for containers (worker/helper) does not compile".into())
    }
}
