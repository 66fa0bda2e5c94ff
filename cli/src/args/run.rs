//! The flags of `cullet run`.

use std::path::PathBuf;

use clap::Args;
use cullet_cache::Scope;

use super::values::{Format, parse_cpus, parse_param, parse_request_id, parse_scope, parse_tenant};
use crate::config::{Executor, LimitKind, Progress, parse_limit};
use crate::ui::size;

/// Which pipeline, with which parameters.
#[derive(Debug, Clone, Default, Args)]
pub struct PipelineArgs {
    /// The pipeline file
    #[arg(long, short, value_name = "FILE", default_value = "cullet.yaml")]
    pub file: PathBuf,
    /// Set a parameter of the pipeline; may be repeated
    #[arg(long = "param", value_name = "NAME=VALUE", value_parser = parse_param)]
    pub params: Vec<(String, String)>,
}

/// `cullet run`.
#[derive(Debug, Clone, Default, Args)]
#[command(after_help = "\
Examples:
  cullet run                            every step of ./cullet.yaml
  cullet run test package               two steps and what they need
  cullet run --param profile=debug      with another parameter
  cullet run --output dist              write the pipeline's outputs to dist/
  cullet run --progress json | jq .     for programs (docs/events.md)
  cullet run --cluster http://c-0:7400  on a cluster (docs/cluster.md)")]
pub struct RunArgs {
    /// Steps to run, with all they need [default: every step]
    #[arg(value_name = "TARGET")]
    pub targets: Vec<String>,
    /// The pipeline.
    #[command(flatten)]
    pub pipeline: PipelineArgs,
    /// How to show progress [env: CULLET_PROGRESS] [default: auto]
    #[arg(long, value_name = "HOW")]
    pub progress: Option<Progress>,
    /// Write the pipeline's outputs below DIR
    #[arg(long, short, value_name = "DIR")]
    pub output: Option<PathBuf>,
    /// Push an image of the outputs to a registry once the run has succeeded; may be repeated
    #[arg(long, value_name = "OUTPUT=REFERENCE", requires = "output")]
    pub push: Vec<String>,
    /// After a failure, still run what does not depend on it
    #[arg(long, short)]
    pub keep_going: bool,
    /// Execute every step, whatever the cache has; results are cached all the same
    #[arg(long)]
    pub no_cache: bool,
    /// Look up no image: refuse those that cullet.lock does not have
    #[arg(long)]
    pub locked: bool,
    /// Open a shell in the root of a step that failed, with all that it left there
    #[arg(long, conflicts_with = "cluster")]
    pub shell_on_failure: bool,
    /// Use at most N processors at once [env: CULLET_JOBS] [default: all]
    #[arg(long, short, value_name = "N", value_parser = parse_cpus)]
    pub jobs: Option<u32>,
    /// Let steps use at most SIZE of memory at once [env: CULLET_MEMORY] [default: all]
    #[arg(long, value_name = "SIZE", value_parser = size::parse)]
    pub memory: Option<u64>,
    /// Let a step that has no such limit of its own take at most AMOUNT of KIND: memory, cpu, processes, disk, output or
    /// log; `none` for no limit; may be repeated [env: CULLET_LIMITS]
    #[arg(long = "limit", value_name = "KIND=AMOUNT", value_parser = parse_limit, conflicts_with = "cluster")]
    pub limits: Vec<(LimitKind, u64)>,
    /// How to execute steps [env: CULLET_EXECUTOR] [default: auto]
    #[arg(long, value_name = "HOW")]
    pub executor: Option<Executor>,
    /// Look results up in the cache at LOCATION too: s3://BUCKET/PREFIX, gs://BUCKET/PREFIX,
    /// az://CONTAINER/PREFIX, oci://HOST/REPOSITORY or a directory; nothing for none
    /// [env: CULLET_SHARED_CACHE]
    #[arg(long, value_name = "LOCATION")]
    pub shared_cache: Option<String>,
    /// Whose results to read and write: protected, branch/NAME or user/NAME [env: CULLET_SCOPE]
    #[arg(long, value_name = "SCOPE", value_parser = parse_scope)]
    pub scope: Option<Scope>,
    /// Break the glass: run here what the cluster cannot, on record in a journal (docs/break-glass.md)
    #[arg(long, conflicts_with = "cluster")]
    pub break_glass: bool,
    /// With --break-glass: why [env: CULLET_BREAK_GLASS_REASON] [default: a person is asked]
    #[arg(long, value_name = "TEXT", requires = "break_glass")]
    pub reason: Option<String>,
    /// With --break-glass: what somebody else's `cullet approve` gave; may be repeated
    #[arg(long, value_name = "TOKEN", requires = "break_glass")]
    pub approval: Vec<String>,
    /// Find out whether --break-glass would work, with the network cut off and nothing recorded
    #[arg(long, conflicts_with_all = ["break_glass", "cluster", "output", "push", "shell_on_failure"])]
    pub rehearse_break_glass: bool,
    /// Run on the cluster of the coordinator at URL; several with commas between them [env: CULLET_CLUSTER]
    #[arg(long, value_name = "URL")]
    pub cluster: Option<String>,
    /// On a cluster: only submit the run, and print its name
    #[arg(long)]
    pub detach: bool,
    /// On a cluster: who pays for the run [env: CULLET_TENANT] [default: default]
    #[arg(long, value_name = "NAME", value_parser = parse_tenant)]
    pub tenant: Option<String>,
    /// On a cluster: from -100 to 100; runs of the tenant with a higher one go first [default: 0]
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = clap::value_parser!(i32).range(-100..=100))]
    pub priority: Option<i32>,
    /// On a cluster: a name for this request; the same one again follows the run it made
    #[arg(long, value_name = "ID", value_parser = parse_request_id)]
    pub request_id: Option<String>,
}

/// `cullet shell`.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
Examples:
  cullet shell build               look around where `build` would run
  cullet shell 'test[shard=2]'     one instance of a matrix
  cullet shell build --on-failure  run it, and look around if it fails
  cullet shell build -- make -n    another command in its place")]
pub struct ShellArgs {
    /// The step; what it needs is run, or taken from the cache
    #[arg(value_name = "STEP")]
    pub step: String,
    /// The pipeline.
    #[command(flatten)]
    pub pipeline: PipelineArgs,
    /// Run the step, and open the shell only if it fails
    #[arg(long, conflicts_with = "command")]
    pub on_failure: bool,
    /// Look up no image: refuse those that cullet.lock does not have
    #[arg(long)]
    pub locked: bool,
    /// How to execute steps [env: CULLET_EXECUTOR] [default: auto]
    #[arg(long, value_name = "HOW")]
    pub executor: Option<Executor>,
    /// What gets the terminal [default: bash, or sh where there is none]
    #[arg(value_name = "COMMAND", last = true)]
    pub command: Vec<String>,
}

/// `cullet verify`.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
Examples:
  cullet verify                 every step that acts on nothing outside
  cullet verify build           one step; what it needs may come from the cache
  cullet verify --format json   for programs

Exit codes: 0 all the same, 1 something differs or failed, 2 a named step cannot be executed twice.")]
pub struct VerifyArgs {
    /// Steps to execute twice [default: every step]
    #[arg(value_name = "STEP")]
    pub steps: Vec<String>,
    /// The pipeline.
    #[command(flatten)]
    pub pipeline: PipelineArgs,
    /// How to report; `json` is one object, and no progress
    #[arg(long, value_name = "FORMAT", default_value = "human")]
    pub format: Format,
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

/// `cullet attach`.
#[derive(Debug, Clone, Args)]
#[command(after_help = "Ctrl-C leaves the run alone; cullet cancel ends it.")]
pub struct AttachArgs {
    /// Which run; the start of its name is enough
    #[arg(value_name = "RUN")]
    pub run: String,
    /// The cluster.
    #[command(flatten)]
    pub cluster: ClusterFlag,
    /// How to show progress [env: CULLET_PROGRESS] [default: auto]
    #[arg(long, value_name = "HOW")]
    pub progress: Option<Progress>,
    /// Write the pipeline's outputs below DIR
    #[arg(long, short, value_name = "DIR")]
    pub output: Option<PathBuf>,
}

/// Which cluster is meant.
#[derive(Debug, Clone, Default, Args)]
pub struct ClusterFlag {
    /// Ask the cluster of the coordinator at URL; several with commas between them [env: CULLET_CLUSTER]
    #[arg(long, value_name = "URL")]
    pub cluster: Option<String>,
}
