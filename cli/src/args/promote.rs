//! The flags of `cullet cache promote`.

use clap::Args;
use cullet_cache::Scope;

use super::run::PipelineArgs;
use super::values::parse_cpus;
use crate::config::Executor;

/// `cullet cache promote`.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
Examples:
  cullet cache promote --from branch/fix-login         every step of ./cullet.yaml, to protected
  cullet cache promote build --from user/ada --to branch/x

Exit codes: 0 nothing differs, 1 something does, or a step failed.")]
pub struct PromoteArgs {
    /// Steps to execute again, with all they need [default: every step]
    #[arg(value_name = "STEP")]
    pub steps: Vec<String>,
    /// The pipeline.
    #[command(flatten)]
    pub pipeline: PipelineArgs,
    /// Whose results are asked
    #[arg(long, value_name = "SCOPE")]
    pub from: Scope,
    /// Whose results they become
    #[arg(long, value_name = "SCOPE", default_value = "protected")]
    pub to: Scope,
    /// The cache at LOCATION [env: CULLET_SHARED_CACHE]
    #[arg(long, value_name = "LOCATION")]
    pub shared_cache: Option<String>,
    /// Look up no image: refuse those that cullet.lock does not have
    #[arg(long)]
    pub locked: bool,
    /// Use at most N processors at once [env: CULLET_JOBS] [default: all]
    #[arg(long, short, value_name = "N", value_parser = parse_cpus)]
    pub jobs: Option<u32>,
    /// How to execute steps [env: CULLET_EXECUTOR] [default: auto]
    #[arg(long, value_name = "HOW")]
    pub executor: Option<Executor>,
}
