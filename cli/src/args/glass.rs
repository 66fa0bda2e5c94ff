//! The flags of what is about breaking the glass.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::ClusterFlag;
use super::values::Format;

/// `cullet approve`.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
What is approved is shown on standard error, the token is printed on standard output. It counts for an hour, and for
exactly this request. A key is made with: openssl genpkey -algorithm ed25519 -out grace.pem")]
pub struct ApproveArgs {
    /// What the run that was refused printed
    #[arg(value_name = "REQUEST")]
    pub request: String,
    /// Sign with the private key in FILE, in PEM
    #[arg(long, value_name = "FILE")]
    pub signing_key: PathBuf,
}

/// `cullet journal`.
#[derive(Debug, Clone, Args)]
pub struct JournalArgs {
    /// What to do with it.
    #[command(subcommand)]
    pub command: JournalCommand,
}

/// The subcommands of `cullet journal`.
#[derive(Debug, Clone, Subcommand)]
pub enum JournalCommand {
    /// List break-glass runs, the newest last: of this machine, or all that a cluster has taken in
    List {
        /// List what the cluster of the coordinator at URL has taken in, and what it knows of the results
        #[arg(long, value_name = "URL")]
        cluster: Option<String>,
        /// How to list; `json` is one entry a line
        #[arg(long, value_name = "FORMAT", default_value = "human")]
        format: Format,
    },
    /// Say whether the journal is what was written, or which entry is not
    Verify {
        /// Another journal, such as an exported one [default: that of this machine]
        #[arg(value_name = "FILE")]
        file: Option<PathBuf>,
        /// Only entries that KEY signed; may be repeated [default: of this machine's journal its keys]
        #[arg(long = "key", value_name = "KEY")]
        keys: Vec<String>,
    },
    /// Print the journal as it is, to be kept and verified elsewhere
    Export,
    /// Send a cluster the entries that it does not have; it checks each of them once more
    Send {
        /// Another journal, such as an exported one [default: that of this machine]
        #[arg(value_name = "FILE")]
        file: Option<PathBuf>,
        /// The cluster that it is sent to.
        #[command(flatten)]
        cluster: ClusterFlag,
    },
}
