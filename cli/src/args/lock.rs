//! The flags of `cullet lock`.

use clap::Args;
use cullet_image::Platform;

use super::PipelineArgs;

/// `cullet lock`.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
Examples:
  cullet lock                                  add what cullet.lock does not have yet
  cullet lock --update                         look up everything again
  cullet lock --update docker.io/library/debian:12
  cullet lock --platform linux/amd64 --platform linux/arm64
  cullet lock --check                          in CI: is everything locked?")]
pub struct LockArgs {
    /// The pipeline.
    #[command(flatten)]
    pub pipeline: PipelineArgs,
    /// Lock for this platform; may be repeated [default: the pipeline's or this machine's; with both, those of the file]
    #[arg(long = "platform", value_name = "OS/ARCH")]
    pub platforms: Vec<Platform>,
    /// Look up these images again, as they are written in the pipeline, or all of them
    #[arg(long, value_name = "IMAGE", num_args = 0..)]
    pub update: Option<Vec<String>>,
    /// Drop what this pipeline does not have with these parameters
    #[arg(long)]
    pub prune: bool,
    /// Change nothing; end with 2 if something is missing or differs. Registries are not asked
    #[arg(long, conflicts_with = "update")]
    pub check: bool,
}
