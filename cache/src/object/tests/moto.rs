//! A bucket of moto, which other people wrote to stand for S3.

use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use super::server::options;
use crate::object::ObjectOptions;

/// Ended when it is dropped.
pub(super) struct Moto {
    address: String,
    process: Child,
    dir: tempfile::TempDir,
}

impl Moto {
    /// None where it is not installed and nobody said that it is; `./test` installs it and says so.
    pub(super) async fn start() -> Option<Self> {
        let Some(packages) = std::env::var_os("CULLET_MOTO").map(PathBuf::from) else {
            assert!(std::env::var_os("CI").is_none(), "CULLET_MOTO names no moto: see cache/moto.sh");
            println!("left out, as CULLET_MOTO names no moto: see cache/moto.sh");
            return None;
        };
        let mut process = Command::new("python3")
            .args(["-u", "-m", "moto.server", "-H", "127.0.0.1", "-p", "0"])
            .env("PYTHONPATH", packages)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(process.stderr.take().unwrap()).lines();
        let told = " * Running on ";
        let address =
            lines.by_ref().find_map(|line| line.unwrap().split_once(told).map(|(_, url)| url.to_owned()));
        // What it prints later goes nowhere, or it would wait for somebody to read it.
        std::thread::spawn(move || lines.for_each(drop));
        let address = address.expect("it says where it listens").trim().to_owned();
        let moto = Self { address, process, dir: tempfile::tempdir().unwrap() };
        let _ = rustls::crypto::ring::default_provider().install_default();
        let made = reqwest::Client::new().put(format!("{}/bucket", moto.address)).send().await.unwrap();
        assert!(made.status().is_success(), "{made:?}");
        Some(moto)
    }

    /// How to reach it, with an empty spool.
    pub(super) fn options(&self) -> ObjectOptions {
        options(&self.address, self.dir.path().join(format!("spool-{}", fastrand::u64(..))))
    }
}

impl Drop for Moto {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
