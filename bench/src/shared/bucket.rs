//! A bucket on this machine whose every answer takes a while, as those of one elsewhere do.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

pub(super) use cullet_tests::bucket::NAME;
use cullet_tests::bucket::{serve, variables};

use crate::Result;

/// A process that serves a directory of buckets. It ends with this.
pub(super) struct Bucket {
    process: Child,
    pub(super) address: String,
}

impl Bucket {
    /// Serves the directory; each answer takes so long.
    pub(super) fn serve(dir: &Path, delay: Duration) -> Result<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        command.arg("__bucket").arg(dir).arg(delay.as_millis().to_string());
        let mut process = command.stdout(Stdio::piped()).spawn()?;
        let mut address = String::new();
        BufReader::new(process.stdout.take().ok_or("no output")?).read_line(&mut address)?;
        Ok(Self { process, address: address.trim().to_owned() })
    }

    /// What a client needs to know of it.
    pub(super) fn variables(&self) -> [(&'static str, String); 4] {
        variables(&self.address)
    }
}

impl Drop for Bucket {
    fn drop(&mut self) {
        // It serves nobody else.
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

/// The process: prints where it listens.
pub(crate) fn child(dir: &Path, delay: &str) -> Result<()> {
    let delay = Duration::from_millis(delay.parse()?);
    serve(dir, delay, |address| println!("{address}")).map_err(Into::into)
}
