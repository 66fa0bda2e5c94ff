//! The image that `examples/image.sh` makes, in a registry.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use cullet_tests::repository_root;

use super::support::{said, skip};

const NAME: &str = "ci/debian:1";

/// Debian's `docker-registry`, which ends with the value.
pub(crate) struct Registry {
    process: Child,
    address: String,
    _dir: tempfile::TempDir,
}

impl Registry {
    /// One that has the image. Making it takes root. None where a program is missing, which is said.
    pub(crate) fn with_debian() -> Option<Self> {
        let there = |name: &&str| {
            Command::new("which").arg(name).output().is_ok_and(|output| output.status.success())
        };
        let needed = ["docker-registry", "debootstrap", "skopeo"];
        if !needed.iter().all(there) {
            skip("an image of Debian packages in a registry takes debootstrap, docker-registry and skopeo");
            return None;
        }
        let store = store();
        if !store.exists() {
            make(&store);
        }
        Some(Self::start(&store))
    }

    fn start(store: &Path) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let config = dir.path().join("config.yml");
        let text = format!(
            "version: 0.1\nlog:\n  level: info\nstorage:\n  filesystem:\n    rootdirectory: {}\nhttp:\n  addr: 127.0.0.1:0\n",
            store.display()
        );
        fs::write(&config, text).unwrap();
        let mut command = Command::new("docker-registry");
        command.arg("serve").arg(&config).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut process = command.spawn().unwrap();
        // It takes a free port and says which.
        let mut lines = BufReader::new(process.stderr.take().unwrap()).lines();
        let port = lines.by_ref().map_while(Result::ok).find_map(|line| {
            let (_, rest) = line.split_once("listening on 127.0.0.1:")?;
            Some(rest.chars().take_while(char::is_ascii_digit).collect::<String>())
        });
        // Nobody reads on, and a full pipe would stop it.
        std::thread::spawn(move || lines.for_each(drop));
        Self { process, address: format!("127.0.0.1:{}", port.unwrap()), _dir: dir }
    }

    /// What the image is called in pipelines.
    pub(crate) fn image(&self) -> String {
        format!("{}/{NAME}", self.address)
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

/// Making the image takes minutes, so what the registry has is kept from one run of the tests to the next, by the script.
fn store() -> PathBuf {
    let sum = Command::new("sha256sum").arg(script()).output().unwrap();
    let version = String::from_utf8(sum.stdout).unwrap()[..12].to_owned();
    Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{BEGINNING}{version}"))
}

const BEGINNING: &str = "debian-image-";

fn script() -> PathBuf {
    repository_root().join("examples/image.sh")
}

fn make(store: &Path) {
    let dir = store.parent().unwrap();
    for old in fs::read_dir(dir).unwrap().flatten() {
        if old.file_name().to_string_lossy().starts_with(BEGINNING) {
            fs::remove_dir_all(old.path()).unwrap();
        }
    }
    let making = tempfile::Builder::new().prefix(BEGINNING).tempdir_in(dir).unwrap();
    let registry = Registry::start(making.path());
    let mut command = Command::new("timeout");
    // Debian's mirrors and a busy machine need a few minutes.
    command.args(["--kill-after=30", "1200", "sh"]).arg(script()).stdin(Stdio::null());
    let made = command.arg(format!("docker://{}", registry.image())).output().unwrap();
    assert!(made.status.success(), "{}", said(&made));
    drop(registry);
    // Whole, or not there.
    fs::rename(making.keep(), store).unwrap();
}
