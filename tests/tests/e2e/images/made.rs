//! Images for tests, made of what every machine has and Debian's package `busybox-static`.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

/// How an image is to be; the defaults run a shell on this machine.
pub(crate) struct Image<'a> {
    pub(crate) architecture: &'a str,
    pub(crate) user: &'a str,
    /// What each layer above the shell's has in `/layer`.
    pub(crate) layers: &'a [&'a str],
    /// Directories of a layer above these that belong to user 500 and group 501, who alone may enter them.
    pub(crate) owned: &'a [&'a str],
}

impl Default for Image<'_> {
    fn default() -> Self {
        Self { architecture: architecture(), user: "", layers: &["one"], owned: &[] }
    }
}

/// This machine's, as images call it.
pub(crate) fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

impl Image<'_> {
    /// Makes or replaces the layout `dir`, and gives the digest of its manifest.
    pub(crate) fn layout(&self, dir: &Path) -> String {
        drop(fs::remove_dir_all(dir));
        fs::create_dir_all(dir.join("blobs/sha256")).unwrap();
        let shell = layer(dir, &|tree| {
            fs::create_dir_all(tree.join("bin")).unwrap();
            fs::create_dir_all(tree.join("etc")).unwrap();
            fs::copy("/bin/busybox", tree.join("bin/busybox")).unwrap();
            for name in ["sh", "cat", "id", "test", "true", "sleep", "touch", "cp", "ls", "head"] {
                symlink("busybox", tree.join("bin").join(name)).unwrap();
            }
            fs::write(tree.join("etc/passwd"), "root:x:0:0::/root:/bin/sh\napp:x:500:501::/srv:/bin/sh\n")
                .unwrap();
            fs::write(tree.join("etc/group"), "root:x:0:\napp:x:501:\n").unwrap();
        });
        let above = |text: &&str| layer(dir, &|tree| fs::write(tree.join("layer"), text).unwrap());
        let mut layers: Vec<(String, u64)> =
            std::iter::once(shell).chain(self.layers.iter().map(above)).collect();
        layers.extend((!self.owned.is_empty()).then(|| owned_layer(dir, self.owned)));
        let config =
            json!({ "Env": ["PATH=/bin", "FROM_IMAGE=yes"], "User": self.user, "WorkingDir": "/srv" });
        image(dir, self.architecture, &config, &layers)
    }
}

/// Writes an image of these layers into the layout `dir`, and gives the digest of its manifest.
pub(crate) fn image(dir: &Path, architecture: &str, config: &Value, layers: &[(String, u64)]) -> String {
    let config = json!({
        "os": "linux",
        "architecture": architecture,
        "config": config,
        "rootfs": { "type": "layers", "diff_ids": layers.iter().map(|layer| &layer.0).collect::<Vec<_>>() },
    });
    let config = blob(dir, config.to_string().as_bytes());
    let describe = |media: &str, (digest, size): &(String, u64)| json!({ "mediaType": format!("application/vnd.oci.image.{media}"), "digest": digest, "size": size });
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": describe("config.v1+json", &config),
        "layers": layers.iter().map(|layer| describe("layer.v1.tar", layer)).collect::<Vec<_>>(),
    });
    let manifest = blob(dir, manifest.to_string().as_bytes());
    let index = json!({ "schemaVersion": 2, "manifests": [describe("manifest.v1+json", &manifest)] });
    fs::write(dir.join("index.json"), index.to_string()).unwrap();
    fs::write(dir.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#).unwrap();
    manifest.0
}

/// The blobs of a layout that are layers with more than a shell, which are the smaller ones.
pub(crate) fn small_layers(dir: &Path) -> Vec<PathBuf> {
    let blobs = fs::read_dir(dir.join("blobs/sha256")).unwrap().map(|entry| entry.unwrap().path());
    let is_tar = |path: &PathBuf| {
        let bytes = fs::read(path).unwrap();
        bytes.get(257..262) == Some(b"ustar") && bytes.len() < 100_000
    };
    blobs.filter(is_tar).collect()
}

fn layer(dir: &Path, fill: &dyn Fn(&Path)) -> (String, u64) {
    let tree = tempfile::tempdir().unwrap();
    fill(tree.path());
    layer_of(dir, tree.path())
}

/// A directory as a layer of the layout `dir`; everything in it belongs to root.
pub(crate) fn layer_of(dir: &Path, tree: &Path) -> (String, u64) {
    let mut tar = Command::new("tar");
    tar.args(["--sort=name", "--mtime=@0", "--owner=0", "--group=0", "--numeric-owner", "-c", "-C"]);
    let made = tar.arg(tree).arg(".").output().unwrap();
    assert!(made.status.success(), "{made:?}");
    blob(dir, &made.stdout)
}

/// Directories that belong to user 500 and group 501.
fn owned_layer(dir: &Path, owned: &[&str]) -> (String, u64) {
    let tree = tempfile::tempdir().unwrap();
    for name in owned {
        fs::create_dir_all(tree.path().join(name)).unwrap();
    }
    let mut tar = Command::new("tar");
    tar.args(["--no-recursion", "--mtime=@0", "--owner=500", "--group=501", "--mode=700", "--numeric-owner"]);
    let made = tar.arg("-c").arg("-C").arg(tree.path()).args(owned).output().unwrap();
    assert!(made.status.success(), "{made:?}");
    blob(dir, &made.stdout)
}

/// Bytes as a blob of the layout `dir`.
pub(crate) fn blob(dir: &Path, bytes: &[u8]) -> (String, u64) {
    let path = dir.join("blob");
    fs::write(&path, bytes).unwrap();
    let sum = Command::new("sha256sum").arg(&path).output().unwrap();
    let hex = String::from_utf8(sum.stdout).unwrap()[..64].to_owned();
    fs::rename(&path, dir.join("blobs/sha256").join(&hex)).unwrap();
    (format!("sha256:{hex}"), bytes.len() as u64)
}
