//! The command line of a cluster: who serves it, and what its operator asks.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand};

use super::Format;
use super::collect::StoreKeepArgs;
use super::limits::LimitArgs;
use crate::config::LogFormat;

/// `cullet coordinator`.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
Examples:
  cullet coordinator --data /var/lib/cullet           one alone, on this machine
  cullet coordinator --data DIR --listen 0.0.0.0:7400 --advertise http://c-0:7400 \\
      --store s3://BUCKET/cullet \\
      --expect 3 --peer http://c-0:7400 --peer http://c-1:7400 --peer http://c-2:7400")]
pub struct CoordinatorArgs {
    /// Keep the log in DIR, which must be this coordinator's own
    #[arg(long, value_name = "DIR")]
    pub data: PathBuf,
    /// Listen on this address and port
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:7400")]
    pub listen: SocketAddr,
    /// Where others reach this coordinator [default: http:// and the address it listens on]
    #[arg(long, value_name = "URL")]
    pub advertise: Option<String>,
    /// Where another coordinator is, or will be; may be repeated, and may name this one as well
    #[arg(long = "peer", value_name = "URL", value_delimiter = ',')]
    pub peers: Vec<String>,
    /// Keep blobs and results in a directory that all coordinators share, in a bucket (s3://BUCKET/PREFIX,
    /// gs://BUCKET/PREFIX, az://CONTAINER/PREFIX), or in the repository of a registry, oci://HOST/REPOSITORY
    /// [env: CULLET_STORE] [default: DIR/store, if it is alone]
    #[arg(long, value_name = "LOCATION")]
    pub store: Option<String>,
    /// Let FILE say who may run what as whom, and which workers and journals are believed (docs/cluster.md)
    /// [default: everybody]
    #[arg(long, value_name = "FILE")]
    pub trust: Option<PathBuf>,
    /// How long a worker may be silent before what it runs is started elsewhere
    #[arg(long, value_name = "SECONDS", default_value = "10", value_parser = parse_lease)]
    pub lease: Duration,
    /// How to write diagnostics to standard error [env: CULLET_LOG_FORMAT] [default: text]
    #[arg(long, value_name = "FORMAT")]
    pub log_format: Option<LogFormat>,
    /// How long a step waits that no worker there is could ever run, before it fails
    #[arg(long, value_name = "SECONDS", default_value = "30", value_parser = parse_grace)]
    pub placement_grace: Duration,
    /// How long a step waits while there is no worker at all, before it fails
    #[arg(long, value_name = "SECONDS", default_value = "300", value_parser = parse_grace)]
    pub absence_grace: Duration,
    /// How long a step that a machine failed waits for room on another one, before it may go back
    #[arg(long, value_name = "SECONDS", default_value = "30", value_parser = parse_grace)]
    pub shun_grace: Duration,
    /// How many coordinators make a new cluster; this one waits for the others
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub expect: usize,
    /// Execute this part of the steps that the cache answered again, from 0 to 1, while workers have nothing to do, and put
    /// results in quarantine that cannot be made again (docs/cluster.md); for example 0.01
    #[arg(long, value_name = "SHARE", default_value = "0", value_parser = parse_share)]
    pub audit_share: f64,
    /// How much it takes in, keeps, and gives to whom.
    #[command(flatten)]
    pub limits: LimitArgs,
    /// What it keeps of a bucket.
    #[command(flatten)]
    pub keeps: StoreKeepArgs,
}

/// `cullet cluster`.
#[derive(Debug, Args)]
pub struct ClusterArgs {
    /// Ask the coordinator at URL; one of them is enough [env: CULLET_CLUSTER]
    #[arg(long, value_name = "URL", global = true)]
    pub cluster: Option<String>,
    /// What to ask.
    #[command(subcommand)]
    pub command: ClusterCommand,
}

/// The subcommands of `cullet cluster`.
#[derive(Debug, Subcommand)]
pub enum ClusterCommand {
    /// Say who belongs to it, who leads, and how far they are
    Status {
        /// How to say it
        #[arg(long, value_name = "FORMAT", default_value = "human")]
        format: Format,
    },
    /// Take in a coordinator that is running; it is a voter once it has caught up
    Add {
        /// Where it is
        #[arg(value_name = "URL")]
        address: String,
        /// Let it follow without a vote
        #[arg(long)]
        learner: bool,
    },
    /// Take out a coordinator
    Remove {
        /// Its number, as `status` says it
        #[arg(value_name = "ID")]
        id: String,
    },
    /// Let another coordinator lead
    Transfer {
        /// Its number [default: any other voter]
        #[arg(value_name = "ID")]
        id: Option<String>,
    },
    /// Begin to use what all coordinators of it know since they were replaced by newer ones; there is no way back after that
    Upgrade,
}

/// A second is more than a busy network takes; an hour would be as good as never.
fn parse_lease(text: &str) -> Result<Duration, String> {
    seconds(text, 1.0..=3600.0)
}

/// None at all, or up to a day: for clusters that grow when there is work.
fn parse_grace(text: &str) -> Result<Duration, String> {
    seconds(text, 0.0..=86_400.0)
}

fn parse_share(text: &str) -> Result<f64, String> {
    let share: f64 = text.parse().map_err(|_| format!("'{text}' is not a number"))?;
    if (0.0..=1.0).contains(&share) { Ok(share) } else { Err("it is from 0 to 1".to_owned()) }
}

fn seconds(text: &str, range: std::ops::RangeInclusive<f64>) -> Result<Duration, String> {
    let seconds: f64 = text.parse().map_err(|_| format!("'{text}' is not a number of seconds"))?;
    if range.contains(&seconds) {
        Ok(Duration::from_secs_f64(seconds))
    } else {
        Err(format!("it is from {} to {} seconds", range.start(), range.end()))
    }
}
