//! The command line: every subcommand and flag, one struct for each subcommand. Nothing here reads the
//! environment; see [`crate::config`].

mod bundle;
mod cluster;
mod collect;
mod dev_cluster;
mod glass;
mod image;
mod limits;
mod lock;
mod login;
mod mirror;
mod promote;
mod run;
mod values;
mod worker;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

pub use bundle::{
    BundleArgs, BundleCommand, BundleCreateArgs, BundleFileArgs, BundleImportArgs, BundleInspectArgs,
    BundleRunArgs,
};
pub use cluster::{ClusterArgs, ClusterCommand, CoordinatorArgs};
pub use collect::{CollectArgs, StoreKeepArgs};
pub use dev_cluster::DevClusterArgs;
pub use glass::{ApproveArgs, JournalArgs, JournalCommand};
pub use image::{ImageArgs, ImageCommand, ImagePushArgs};
pub use lock::LockArgs;
pub use login::{LoginArgs, LogoutArgs};
pub use mirror::CacheMirrorArgs;
pub use promote::PromoteArgs;
pub use run::{AttachArgs, ClusterFlag, PipelineArgs, RunArgs, ShellArgs, VerifyArgs};
pub use values::{
    Format, GraphFormat, LogStreams, parse_cpus, parse_param, parse_scope, parse_tenant, parse_url,
};
pub use worker::WorkerArgs;

use crate::config::Color;
use crate::ui::size;

const EXAMPLES: &str = "\
Examples:
  cullet run                  run every step of cullet.yaml
  cullet run test -k          run `test` and what it needs; go on after failures
  cullet why test             why did `test` run, or not?
  cullet logs                 what did the last failed step print?

Exit codes: 0 all steps succeeded, 1 a step failed, 2 wrong command line or pipeline,
3 infrastructure, 130 interrupted.";

/// Runs CI pipelines, on this machine or on a cluster, and never runs the same step twice.
#[derive(Debug, Parser)]
#[command(name = "cullet", version, after_help = EXAMPLES, max_term_width = 100)]
#[command(disable_help_subcommand = true, arg_required_else_help = true)]
pub struct Cli {
    /// Flags of every subcommand.
    #[command(flatten, next_help_heading = "Options of every command")]
    pub global: GlobalArgs,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// Flags of every subcommand.
#[derive(Debug, Clone, Default, Args)]
pub struct GlobalArgs {
    /// Keep the cache and the run history in DIR [env: CULLET_CACHE_DIR] [default: ~/.cache/cullet]
    #[arg(long, value_name = "DIR", global = true, hide_short_help = true)]
    pub cache_dir: Option<PathBuf>,
    /// Let the cache grow to SIZE [env: CULLET_CACHE_SIZE]
    #[arg(long, value_name = "SIZE", global = true, hide_short_help = true, value_parser = size::parse)]
    pub cache_size: Option<u64>,
    /// Let a cache volume of steps grow to SIZE [env: CULLET_VOLUME_SIZE] [default: half of --volumes-size]
    #[arg(long, value_name = "SIZE", global = true, hide_short_help = true, value_parser = size::parse)]
    pub volume_size: Option<u64>,
    /// Let all cache volumes together grow to SIZE [env: CULLET_VOLUMES_SIZE] [default: as --cache-size]
    #[arg(long, value_name = "SIZE", global = true, hide_short_help = true, value_parser = size::parse)]
    pub volumes_size: Option<u64>,
    /// Colour the output [default: auto]
    #[arg(long, value_name = "WHEN", global = true, hide_short_help = true)]
    pub color: Option<Color>,
}

/// The subcommands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run a pipeline
    Run(Box<RunArgs>),
    /// Open a shell in a step's root, with its inputs
    Shell(ShellArgs),
    /// Execute steps twice, and say what differs
    Verify(VerifyArgs),
    /// Follow a run of a cluster to its end
    Attach(AttachArgs),
    /// Check a pipeline and report every problem
    Validate(ValidateArgs),
    /// Show the steps and what they need
    Graph(GraphArgs),
    /// Write down which images a pipeline means
    Lock(LockArgs),
    /// Push images that runs wrote
    Image(ImageArgs),
    /// Print the JSON Schema of pipeline files
    Schema,
    /// Explain why a step ran, or why it did not
    Why(WhyArgs),
    /// List runs
    Runs(RunsArgs),
    /// Show a run
    Status(StatusArgs),
    /// Show what a step printed
    Logs(LogsArgs),
    /// Cancel a run that another process or a cluster executes
    Cancel(CancelArgs),
    /// Look at the cache and look after it
    Cache(CacheArgs),
    /// Say what this machine can do
    Doctor(DoctorArgs),
    /// Print a completion script
    Completions(CompletionsArgs),
    /// Look at a cluster and change who belongs to it
    Cluster(ClusterArgs),
    /// Be one of a cluster's coordinators
    Coordinator(CoordinatorArgs),
    /// Execute steps for a cluster
    Worker(Box<WorkerArgs>),
    /// Run a whole cluster on this machine, to try things out
    DevCluster(DevClusterArgs),
    /// Carry a pipeline with all it needs over an air gap
    Bundle(BundleArgs),
    /// Look at the journal of break-glass runs
    Journal(JournalArgs),
    /// Approve a break-glass run of somebody else
    Approve(ApproveArgs),
    /// Log in to a registry
    Login(LoginArgs),
    /// Forget the login to a registry
    Logout(LogoutArgs),
}

/// `cullet validate`.
#[derive(Debug, Args)]
pub struct ValidateArgs {
    /// The pipeline.
    #[command(flatten)]
    pub pipeline: PipelineArgs,
    /// How to report
    #[arg(long, value_name = "FORMAT", default_value = "human")]
    pub format: Format,
}

/// `cullet graph`.
#[derive(Debug, Args)]
pub struct GraphArgs {
    /// Steps to show, with all they need [default: every step]
    #[arg(value_name = "TARGET")]
    pub targets: Vec<String>,
    /// The pipeline.
    #[command(flatten)]
    pub pipeline: PipelineArgs,
    /// How to draw
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    pub format: GraphFormat,
}

/// `cullet why`.
#[derive(Debug, Args)]
#[command(override_usage = "cullet why [OPTIONS] [RUN] <STEP>")]
#[command(after_help = "\
Examples:
  cullet why build                               in the last run
  cullet why 0193a4b2c3d4 'test[shard=2]'        in that run
  cullet why build --cluster http://c-0:7400     in the last run of a cluster")]
pub struct WhyArgs {
    /// The step, after the run if it is not the last one: the start of its name is enough
    #[arg(value_name = "[RUN] STEP", num_args = 1..=2, required = true)]
    pub what: Vec<String>,
    /// The run, instead of before the step
    #[arg(long, value_name = "RUN")]
    pub run: Option<String>,
    /// The cluster.
    #[command(flatten)]
    pub cluster: ClusterFlag,
}

/// `cullet runs`.
#[derive(Debug, Args)]
pub struct RunsArgs {
    /// List at most N runs, the newest first
    #[arg(long, short = 'n', value_name = "N", default_value_t = 20)]
    pub limit: usize,
    /// How to list; `json` is one object a line
    #[arg(long, value_name = "FORMAT", default_value = "human")]
    pub format: Format,
    /// The cluster.
    #[command(flatten)]
    pub cluster: ClusterFlag,
}

/// `cullet status`.
#[derive(Debug, Args)]
pub struct StatusArgs {
    /// Which run; the start of its name is enough [default: the last one]
    #[arg(value_name = "RUN")]
    pub run: Option<String>,
    /// How to show it; `json` is its events, one object a line
    #[arg(long, value_name = "FORMAT", default_value = "human")]
    pub format: Format,
    /// The cluster.
    #[command(flatten)]
    pub cluster: ClusterFlag,
}

/// `cullet logs`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  cullet logs                         the failed steps of the last run
  cullet logs build                   one step of the last run
  cullet logs 0193a4b2c3d4 build      one step of that run
  cullet logs build --stream stderr   only what went to standard error
  cullet logs build -f --cluster URL  what it prints on a cluster, as it comes")]
pub struct LogsArgs {
    /// A run, a step of the last run, or both; of a run's name the start is enough
    #[arg(value_name = "[RUN] [STEP]", num_args = 0..=2)]
    pub what: Vec<String>,
    /// Only this stream
    #[arg(long, value_name = "STREAM", default_value = "both")]
    pub stream: LogStreams,
    /// Of a step of a cluster: go on until it ends
    #[arg(long, short)]
    pub follow: bool,
    /// The cluster.
    #[command(flatten)]
    pub cluster: ClusterFlag,
}

/// `cullet cancel`.
#[derive(Debug, Args)]
pub struct CancelArgs {
    /// Which run; the start of its name is enough
    #[arg(value_name = "RUN")]
    pub run: String,
    /// The cluster.
    #[command(flatten)]
    pub cluster: ClusterFlag,
}

/// `cullet cache`.
#[derive(Debug, Args)]
pub struct CacheArgs {
    /// What to do with it.
    #[command(subcommand)]
    pub command: CacheCommand,
}

/// The subcommands of `cullet cache`.
#[derive(Debug, Subcommand)]
pub enum CacheCommand {
    /// Say how much is in it
    Stats {
        /// How to say it
        #[arg(long, value_name = "FORMAT", default_value = "human")]
        format: Format,
    },
    /// Remove what was used least recently, until it fits its size
    Gc {
        /// Until it fits SIZE instead
        #[arg(long, value_name = "SIZE", value_parser = size::parse, conflicts_with = "shared_cache")]
        to: Option<u64>,
        /// Go through the bucket at LOCATION instead: what is not needed any more is announced, and removed by the first
        /// call after the grace
        #[arg(long, value_name = "LOCATION")]
        shared_cache: Option<String>,
        /// What of the bucket is kept.
        #[command(flatten)]
        policy: CollectArgs,
        /// How to say what was done in the bucket
        #[arg(long, value_name = "FORMAT", requires = "shared_cache", default_value = "human")]
        format: Format,
    },
    /// Copy all results of one shared cache to another; again, it copies what is new
    Mirror(CacheMirrorArgs),
    /// Read everything again and drop what is damaged
    Verify,
    /// List the cache volumes of steps, or remove some
    Volumes {
        /// Remove those called NAME instead, of all pipelines
        #[arg(long, value_name = "NAME", conflicts_with = "remove_all")]
        remove: Option<String>,
        /// Remove all instead
        #[arg(long)]
        remove_all: bool,
        /// How to list; `json` is one object a line
        #[arg(long, value_name = "FORMAT", default_value = "human")]
        format: Format,
    },
    /// Execute steps again, and where that gives what one scope has, make it a result of another one
    Promote(Box<PromoteArgs>),
    /// Remove everything
    Clear {
        /// Even while other runs use it; they then execute again what they no longer find
        #[arg(long)]
        force: bool,
    },
}

/// `cullet doctor`.
#[derive(Debug, Args)]
pub struct DoctorArgs {
    /// Say of this pipeline whether it could break the glass today [default: cullet.yaml, if it is there]
    #[arg(long, short, value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// How to report
    #[arg(long, value_name = "FORMAT", default_value = "human")]
    pub format: Format,
}

/// `cullet completions`.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  cullet completions bash > ~/.local/share/bash-completion/completions/cullet"
)]
pub struct CompletionsArgs {
    /// For which shell
    #[arg(value_name = "SHELL")]
    pub shell: clap_complete::Shell,
}
