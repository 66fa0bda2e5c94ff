//! The flags of `cullet worker`.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Args;

use super::values::{parse_cpus, parse_param, parse_url};
use crate::config::{Executor, LimitKind, LogFormat, parse_limit};
use crate::ui::size;

/// `cullet worker`.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
Examples:
  cullet worker --join http://c-0:7400                     one on the coordinator's machine
  cullet worker --join http://c-0:7400,http://c-1:7400 \\
      --listen 0.0.0.0:7401 --advertise http://w-0:7401    one that others can fetch inputs from
  cullet worker --join URL --store s3://BUCKET/PREFIX      blobs straight from and to the bucket

SIGTERM or Ctrl-C: takes nothing more, finishes what runs, ends. Once more: stops what runs.")]
pub struct WorkerArgs {
    /// Work for the cluster of these coordinators; one that answers is enough [env: CULLET_CLUSTER]
    #[arg(long, value_name = "URL", value_delimiter = ',', value_parser = parse_url)]
    pub join: Vec<String>,
    /// Listen on this address and port, for logs and for workers that fetch inputs; port 0 is any free one
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:0")]
    pub listen: SocketAddr,
    /// Where coordinators and other workers reach this one [default: http:// and the address it listens on]
    #[arg(long, value_name = "URL", value_parser = parse_url)]
    pub advertise: Option<String>,
    /// Its name in the cluster, which nobody else has [default: the host name and four digits that --data keeps]
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,
    /// Keep blobs and work in DIR, which must be this worker's own [default: the cache directory]
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// Let steps use at most N processors at once [env: CULLET_JOBS] [default: all]
    #[arg(long, short, value_name = "N", value_parser = parse_cpus)]
    pub jobs: Option<u32>,
    /// Let steps use at most SIZE of memory at once [env: CULLET_MEMORY] [default: all]
    #[arg(long, value_name = "SIZE", value_parser = size::parse)]
    pub memory: Option<u64>,
    /// Let a step that has no such limit of its own take at most AMOUNT of KIND: memory, cpu, processes, disk, output or
    /// log; `none` for no limit; may be repeated [env: CULLET_LIMITS]
    #[arg(long = "limit", value_name = "KIND=AMOUNT", value_parser = parse_limit)]
    pub limits: Vec<(LimitKind, u64)>,
    /// How to execute steps [env: CULLET_EXECUTOR] [default: auto]
    #[arg(long, value_name = "HOW")]
    pub executor: Option<Executor>,
    /// Say what the worker is, so that steps can ask for it; may be repeated
    #[arg(long = "label", value_name = "NAME=VALUE", value_parser = parse_param)]
    pub labels: Vec<(String, String)>,
    /// Fetch and store blobs at LOCATION, the coordinators' own, instead of through them: a directory,
    /// a bucket (s3://, gs://, az://) or oci://HOST/REPOSITORY [env: CULLET_STORE]
    #[arg(long, value_name = "LOCATION")]
    pub store: Option<String>,
    /// Give steps the secrets in DIR, one file of its name for each [env: CULLET_SECRETS]
    #[arg(long, value_name = "DIR")]
    pub secrets: Option<PathBuf>,
    /// Sign results with the private key in FILE, in PEM, so that others can ask who made them (docs/cluster.md)
    #[arg(long, value_name = "FILE")]
    pub signing_key: Option<PathBuf>,
    /// How to write diagnostics to standard error [env: CULLET_LOG_FORMAT] [default: text]
    #[arg(long, value_name = "FORMAT")]
    pub log_format: Option<LogFormat>,
    /// When told to end, let steps finish for so long, then stop them
    #[arg(long, value_name = "SECONDS", default_value_t = 600)]
    pub drain: u64,
}
