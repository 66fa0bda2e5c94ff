//! Values over plain HTTP, with curl.

use std::fs;
use std::process::Command;

use cullet_tests::cluster::Cluster;
use tempfile::TempDir;

/// Answers of a coordinator.
struct Site {
    cluster: Cluster,
    dir: TempDir,
}

impl Site {
    fn new() -> Self {
        let cluster = Cluster::start(1, 0);
        cluster.agreed();
        Self { cluster, dir: TempDir::new().unwrap() }
    }

    /// Status and body.
    fn curl(&self, path: &str, arguments: &[&str]) -> (u16, Vec<u8>) {
        let body = self.dir.path().join("body");
        fs::write(&body, "").unwrap();
        let mut command = Command::new("curl");
        command.args([
            "--silent",
            "--path-as-is",
            "--max-time",
            "30",
            "--write-out",
            "%{http_code}",
            "--output",
        ]);
        command.arg(&body).args(arguments).arg(format!("{}{path}", self.cluster.url(0)));
        let output = command.output().unwrap();
        let status = String::from_utf8(output.stdout).unwrap();
        (status.parse().unwrap_or(0), fs::read(body).unwrap())
    }

    fn put(&self, path: &str, bytes: &[u8]) -> (u16, String) {
        let file = self.dir.path().join("value");
        fs::write(&file, bytes).unwrap();
        let (status, body) = self.curl(path, &["--upload-file", file.to_str().unwrap()]);
        (status, String::from_utf8(body).unwrap())
    }

    fn get(&self, path: &str) -> (u16, Vec<u8>) {
        self.curl(path, &[])
    }
}

/// The SHA-256 of "hello\n".
const HELLO: &str = "5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03";

#[test]
fn values_are_what_was_stored_under_their_names() {
    let site = Site::new();
    let path = format!("/cas/{HELLO}");
    assert_eq!(site.get(&path).0, 404);
    let (status, why) = site.put(&path, b"other");
    assert!(status == 400 && why.contains("SHA-256"), "{why}");
    assert_eq!(site.get(&path).0, 404, "nothing was stored");
    assert_eq!(site.put(&path, b"hello\n").0, 200);
    assert_eq!(site.get(&path), (200, b"hello\n".to_vec()));
    let (status, head) = site.curl(&path, &["--head"]);
    assert!(status == 200 && String::from_utf8(head).unwrap().contains("content-length: 6"));
    for (path, bytes) in [
        ("/cache/values/a/b", &b"one"[..]),
        ("/cache/web/values/a/b", b""),
        ("/cache/web/branch/x/ac/k", b"3"),
    ] {
        assert_eq!(site.put(path, bytes).0, 200, "{path}");
        assert_eq!(site.get(path), (200, bytes.to_vec()), "{path}");
    }
    assert_eq!(site.put("/cache/values/a/b", b"another").0, 200);
    assert_eq!(site.get("/cache/values/a/b").1, b"another");
    // Large, and many at once.
    let large: Vec<u8> = (0..40 << 20).map(|index: u32| (index / 977) as u8).collect();
    assert_eq!(site.put("/cache/values/large", &large).0, 200);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let url = format!("{}/cache/values/large", site.cluster.url(0));
                let output = Command::new("curl").args(["--silent", &url]).output().unwrap();
                assert!(output.stdout == large);
            });
        }
    });
}

#[test]
fn what_is_no_value_is_refused_with_a_reason() {
    let site = Site::new();
    for (path, part) in [
        ("/cache/nothing", "INSTANCE"),
        ("/cache/values/../x", "INSTANCE"),
        ("/cache/a/b/c/values/x", "names no instance"),
    ] {
        let (status, why) = site.put(path, b"x");
        assert!(status == 400 && why.contains(part), "{path}: {why}");
    }
    assert_eq!(site.curl("/cache/values/", &["-X", "PUT", "--data-binary", "x"]).0, 405);
    assert_eq!(site.curl("/cache/values/x", &["-X", "DELETE"]).0, 405);
    let (status, found) = site.curl("/cache/values/", &["-X", "PROPFIND"]);
    assert!(status == 207 && String::from_utf8(found).unwrap().contains("collection"));
    assert_eq!(site.curl("/cache/values/x", &["-X", "PROPFIND"]).0, 404);
    // One that breaks off is none.
    let url = format!("{}/cache/values/cut", site.cluster.url(0));
    let mut sender = Command::new("timeout");
    sender.args(["1", "curl", "--silent", "--limit-rate", "10K", "--upload-file", "/proc/self/exe", &url]);
    assert!(!sender.status().unwrap().success());
    assert_eq!(site.get("/cache/values/cut").0, 404);
}

#[test]
fn who_may_what_is_as_for_everything_else() {
    let mut cluster = Cluster::prepare(cullet_tests::cullet_binary().clone(), 1, 0);
    let trust = cluster.dir().join("trust.toml");
    fs::write(&trust, super::bazel::TRUST).unwrap();
    cluster.run_coordinator_with(0, &["--trust", trust.to_str().unwrap()]);
    cluster.agreed();
    let site = Site { cluster, dir: TempDir::new().unwrap() };
    assert_eq!(site.get("/cache/protected/values/x").0, 403);
    assert_eq!(site.put("/cache/user/ada/values/x", b"x").0, 403);
    assert_eq!(site.get("/cache/user/ada/values/x").0, 404);
    let with = |token: &str, arguments: &[&str]| {
        let header = format!("authorization: Bearer {token}");
        site.curl("/cache/protected/values/x", &[&["--header", &header], arguments].concat()).0
    };
    assert_eq!(with("wrong", &[]), 401);
    let value = site.dir.path().join("value");
    fs::write(&value, "x").unwrap();
    assert_eq!(with("abc", &["--upload-file", value.to_str().unwrap()]), 200);
    assert_eq!(site.get("/cache/user/ada/values/x"), (200, b"x".to_vec()), "what is protected is for all");
}
