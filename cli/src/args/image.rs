//! The flags of `cullet image`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

/// `cullet image`.
#[derive(Debug, Args)]
pub struct ImageArgs {
    /// What to do with it.
    #[command(subcommand)]
    pub command: ImageCommand,
}

/// The subcommands of `cullet image`.
#[derive(Debug, Subcommand)]
pub enum ImageCommand {
    /// Push an image that a run wrote, or any other on this machine, to registries
    Push(ImagePushArgs),
}

/// `cullet image push`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  cullet image push out/app registry.example/app:1               a layout that `--output out` wrote
  cullet image push out/app registry.example/app:{1,1.2,latest}  with three tags
  cullet image push docker-archive:all.tar:app:1 registry.example/app:1
  cullet image push out/app registry.example/app:1 --mount-from base/debian

Prints what it pushed, each with its digest, as an `image:` of a pipeline can have it.")]
pub struct ImagePushArgs {
    /// A layout or an archive: its path, or `oci-layout:DIR[:TAG]` or `docker-archive:FILE[:NAME]`
    #[arg(value_name = "SOURCE")]
    pub source: PathBuf,
    /// Where to: `[HOST[:PORT]/]NAME[:TAG]`, with the tag `latest` where none is given
    #[arg(value_name = "REFERENCE", required = true)]
    pub references: Vec<String>,
    /// Take layers that this repository of the same registry has from there; may be repeated
    #[arg(long, value_name = "NAME")]
    pub mount_from: Vec<String>,
}
