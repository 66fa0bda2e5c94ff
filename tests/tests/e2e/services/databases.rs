//! Images with a real PostgreSQL and a real Redis, of Debian's packages.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use serde_json::json;

use crate::images::made::{Image, image, layer_of};

/// Where their root directory is, made once for all runs of the tests; none where there is no apt-get.
fn tree() -> Option<&'static Path> {
    static TREE: OnceLock<Option<PathBuf>> = OnceLock::new();
    let make = || {
        let there = |name: &str| Command::new(name).arg("--version").output().is_ok();
        if !there("apt-get") || !there("dpkg") {
            return None;
        }
        let tree = Path::new(env!("CARGO_TARGET_TMPDIR")).join("databases-1");
        if tree.exists() {
            return Some(tree);
        }
        let (dir, making) =
            (tempfile::tempdir().unwrap(), tree.with_extension(std::process::id().to_string()));
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/e2e/services/debian.sh");
        let made = Command::new("sh").arg(script).args([&making, dir.path()]).output().unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        // Whole, or not there.
        fs::rename(&making, &tree).unwrap();
        Some(tree)
    };
    TREE.get_or_init(make).as_deref()
}

/// Writes `postgres` and `redis` into a directory, which are layouts. False, and that is said, where there are no packages.
pub(super) fn databases(dir: &Path) -> bool {
    let Some(tree) = tree() else {
        super::skip("PostgreSQL and Redis come from Debian's packages");
        return false;
    };
    let path = "PATH=/bin:/postgresql:/usr/bin";
    let postgres = json!({
        "User": "postgres",
        "Env": [path, "PGDATA=/var/lib/postgresql/data"],
        "Entrypoint": ["entrypoint"],
        "Cmd": ["postgres", "-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories=/tmp"],
        "WorkingDir": "/var/lib/postgresql",
    });
    let redis =
        json!({ "User": "redis", "Env": [path], "Entrypoint": ["redis-server"], "Cmd": ["--save", ""] });
    for (name, config) in [("postgres", postgres), ("redis", redis)] {
        let layout = dir.join(name);
        fs::create_dir_all(layout.join("blobs/sha256")).unwrap();
        let layer = layer_of(&layout, tree);
        image(&layout, Image::default().architecture, &config, &[layer]);
    }
    true
}
