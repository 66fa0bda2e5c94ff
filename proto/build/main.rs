//! Makes Rust of the `.proto` files with a compiler that is itself Rust, so that nobody needs `protoc`, and makes of messages and services
//! that are declared in Rust what tonic and server reflection need.
#![expect(clippy::print_stdout, reason = "this is how a build script talks to Cargo")]

mod descriptors;
mod published;
mod services;
mod stubs;

use std::error::Error;
use std::path::PathBuf;

use prost::Message as _;

const FILES: [&str; 6] = [
    "cullet/v1/runs.proto",
    "cullet/v1/workers.proto",
    "cullet/v1/cluster.proto",
    "cullet/v1/journals.proto",
    "cullet/v1/stored.proto",
    "cullet/raft/v1/raft.proto",
];

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=build");
    println!("cargo:rerun-if-changed=proto");
    let out = PathBuf::from(std::env::var("OUT_DIR")?);
    let ours = protox::compile(FILES, ["proto"])?;
    let mut all = ours.clone();
    let well_known = protox::compile(published::WELL_KNOWN.map(|(.., file)| file), ["proto"])?.file;
    all.file.extend(well_known.into_iter().filter(|file| ours.file.iter().all(|it| it.name != file.name)));
    all.file.extend(descriptors::files()?);
    std::fs::write(out.join("descriptors.bin"), all.encode_to_vec())?;
    tonic_prost_build::configure().bytes(".").compile_fds(ours)?;
    stubs::make(&out)?;
    Ok(())
}
