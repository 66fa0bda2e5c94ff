//! The flags of `cullet dev-cluster`.

use std::path::PathBuf;

use clap::Args;

use super::values::parse_cpus;
use crate::config::Executor;

/// `cullet dev-cluster`.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
Examples:
  cullet dev-cluster                                  three coordinators, four workers
  cullet dev-cluster --coordinators 1 --workers 1     as small as it gets
  cullet dev-cluster --dir DIR                        one that is there again tomorrow")]
pub struct DevClusterArgs {
    /// How many coordinators; an odd number
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..=9))]
    pub coordinators: u16,
    /// How many workers; they share the machine
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u16).range(0..=64))]
    pub workers: u16,
    /// Keep everything in DIR, and find it there the next time [default: a directory that goes with the cluster]
    #[arg(long, value_name = "DIR")]
    pub dir: Option<PathBuf>,
    /// Listen on port P and those after it, coordinators first [default: those that --dir has, or any that are free]
    #[arg(long, value_name = "P", value_parser = clap::value_parser!(u16).range(1024..=65_000))]
    pub base_port: Option<u16>,
    /// Let steps use at most N processors on each worker [default: all, divided by the workers]
    #[arg(long, short, value_name = "N", value_parser = parse_cpus)]
    pub jobs: Option<u32>,
    /// How to execute steps [env: CULLET_EXECUTOR] [default: sandbox]
    #[arg(long, value_name = "HOW")]
    pub executor: Option<Executor>,
}
