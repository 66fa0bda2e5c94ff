//! The flags of `cullet bundle`.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use cullet_cache::PublicKey;

use super::run::PipelineArgs;
use super::values::Format;
use crate::config::{Executor, Progress};

/// `cullet bundle`.
#[derive(Debug, Args)]
pub struct BundleArgs {
    /// What to do with it.
    #[command(subcommand)]
    pub command: BundleCommand,
}

/// The subcommands of `cullet bundle`.
#[derive(Debug, Subcommand)]
pub enum BundleCommand {
    /// Put a pipeline with its sources, images and results into one file
    Create(BundleCreateArgs),
    /// Say what is in a bundle
    Inspect(BundleInspectArgs),
    /// Read a bundle and compare everything with its digest
    Verify(BundleFileArgs),
    /// Take the results and images of a bundle into the cache of this machine
    Import(BundleImportArgs),
    /// Run the pipeline of a bundle, with nothing but what is in it
    Run(Box<BundleRunArgs>),
}

/// `cullet bundle create`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  cullet bundle create -o app.bundle                    everything that the pipeline needs
  cullet bundle create -o app.bundle --no-results       to be built again on the other side
  cullet bundle create -o next.bundle --since app.bundle --signing-key key.pem

Nothing is executed: steps whose results are in no cache are executed where the bundle is run.")]
pub struct BundleCreateArgs {
    /// Steps to take, with all they need [default: every step]
    #[arg(value_name = "TARGET")]
    pub targets: Vec<String>,
    /// The pipeline.
    #[command(flatten)]
    pub pipeline: PipelineArgs,
    /// The file to write
    #[arg(long, short, value_name = "FILE")]
    pub output: PathBuf,
    /// Leave out what this bundle has; may be repeated for those that it continues
    #[arg(long, value_name = "BUNDLE")]
    pub since: Vec<PathBuf>,
    /// Sign it with the key in FILE, Ed25519 in PKCS #8; may be repeated
    #[arg(long, value_name = "FILE")]
    pub signing_key: Vec<PathBuf>,
    /// Leave out results, so that every step is executed
    #[arg(long)]
    pub no_results: bool,
    /// Leave out images
    #[arg(long)]
    pub no_images: bool,
    /// Leave out the files of sources, and only name their digests
    #[arg(long)]
    pub no_sources: bool,
    /// Leave out this program
    #[arg(long)]
    pub no_program: bool,
    /// Refuse to leave out steps that have no result
    #[arg(long, conflicts_with = "no_results")]
    pub complete: bool,
    /// Look results up in the cache at LOCATION too [env: CULLET_SHARED_CACHE]
    #[arg(long, value_name = "LOCATION")]
    pub shared_cache: Option<String>,
}

/// Which bundle.
#[derive(Debug, Clone, Args)]
pub struct BundleFileArgs {
    /// The bundle
    #[arg(value_name = "BUNDLE")]
    pub bundle: PathBuf,
    /// A bundle that it continues; may be repeated
    #[arg(long, value_name = "BUNDLE")]
    pub base: Vec<PathBuf>,
    /// Refuse it unless it is signed with this key, ed25519:HEX; may be repeated for one of several
    #[arg(long, value_name = "KEY")]
    pub trusted_key: Vec<PublicKey>,
}

/// `cullet bundle inspect`.
#[derive(Debug, Args)]
pub struct BundleInspectArgs {
    /// The bundle
    #[arg(value_name = "BUNDLE")]
    pub bundle: PathBuf,
    /// How to say it; `json` is one object
    #[arg(long, value_name = "FORMAT", default_value = "human")]
    pub format: Format,
}

/// `cullet bundle import`.
#[derive(Debug, Args)]
pub struct BundleImportArgs {
    /// The bundle.
    #[command(flatten)]
    pub file: BundleFileArgs,
    /// Write the pipeline and its sources below DIR, which must be empty or not there
    #[arg(long, value_name = "DIR")]
    pub project: Option<PathBuf>,
}

/// `cullet bundle run`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  tar xf app.bundle bin/cullet && bin/cullet bundle run app.bundle --output dist
  cullet bundle run next.bundle --base app.bundle --trusted-key ed25519:…")]
pub struct BundleRunArgs {
    /// The bundle.
    #[command(flatten)]
    pub file: BundleFileArgs,
    /// Steps to run, with all they need [default: those of the bundle]
    #[arg(long = "target", value_name = "TARGET")]
    pub targets: Vec<String>,
    /// Write the pipeline's outputs below DIR
    #[arg(long, short, value_name = "DIR")]
    pub output: Option<PathBuf>,
    /// How to show progress [env: CULLET_PROGRESS] [default: auto]
    #[arg(long, value_name = "HOW")]
    pub progress: Option<Progress>,
    /// How to execute steps [env: CULLET_EXECUTOR] [default: auto]
    #[arg(long, value_name = "HOW")]
    pub executor: Option<Executor>,
    /// Execute every step, whatever results there are
    #[arg(long)]
    pub no_cache: bool,
    /// After a failure, still run what does not depend on it
    #[arg(long, short)]
    pub keep_going: bool,
}
