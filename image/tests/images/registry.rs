//! Debian's `docker-registry`, for tests that push to a real one and pull from it.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

/// A registry of our own, gone with the value.
pub(crate) struct Real {
    process: Child,
    pub(crate) address: String,
    pub(crate) dir: TempDir,
}

impl Drop for Real {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

/// Whether the program is there; says so if not.
#[expect(clippy::print_stderr, reason = "whoever runs the tests has to see what they leave out")]
pub(crate) fn has(program: &str) -> bool {
    let found =
        Command::new("sh").args(["-c", &format!("command -v {program}")]).output().unwrap().status.success();
    if !found {
        eprintln!("left out: {program} is not installed");
    }
    found
}

pub(crate) fn run(program: &str, arguments: &[&str]) {
    // Nobody's settings and logins.
    let home = std::env::temp_dir();
    let output = Command::new(program)
        .args(arguments)
        .env("HOME", home)
        .env_remove("XDG_RUNTIME_DIR")
        .output()
        .unwrap();
    assert!(output.status.success(), "{program} {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
}

impl Real {
    /// Starts it; nothing where it is not installed. `more` goes into its configuration; `http` below `http:`.
    pub(crate) fn start(http: &str, more: &str) -> Option<Self> {
        Self::start_storage("", http, more)
    }

    /// The same; `storage` goes below `storage:`.
    pub(crate) fn start_storage(storage: &str, http: &str, more: &str) -> Option<Self> {
        if !has("docker-registry") {
            return None;
        }
        let dir = tempfile::tempdir().unwrap();
        let at = dir.path().display().to_string();
        let config = format!(
            "version: 0.1\nlog:\n  level: info\nstorage:\n  filesystem:\n    rootdirectory: {at}/data\n\
             {storage}http:\n  addr: 127.0.0.1:0\n{http}{more}"
        )
        .replace("DIR", &at);
        std::fs::write(dir.path().join("config.yml"), config).unwrap();
        if !http.is_empty() {
            Self::prepare(dir.path());
        }
        let mut process = Command::new("docker-registry")
            .arg("serve")
            .arg(dir.path().join("config.yml"))
            .stderr(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        // It takes a free port and says which.
        let mut lines = BufReader::new(process.stderr.take().unwrap()).lines();
        let port = lines.by_ref().map_while(Result::ok).find_map(|line| {
            let (_, rest) = line.split_once("listening on 127.0.0.1:")?;
            Some(rest.chars().take_while(char::is_ascii_digit).collect::<String>())
        });
        // Nobody reads on, and a full pipe would stop it.
        std::thread::spawn(move || lines.for_each(drop));
        Some(Self { process, address: format!("127.0.0.1:{}", port.unwrap()), dir })
    }

    /// An authority, a certificate for the loopback address, and a user.
    fn prepare(dir: &Path) {
        let at = |name: &str| dir.join(name).display().to_string();
        let key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"];
        let (ca, ca_key) = (at("ca.pem"), at("ca.key"));
        let authority =
            ["req", "-x509", "-subj", "/CN=authority", "-days", "2", "-keyout", &ca_key, "-out", &ca];
        run("openssl", &[&authority[..], &key].concat());
        let (request, extensions) = (at("request.pem"), at("extensions"));
        let server = ["req", "-subj", "/CN=registry", "-keyout", &at("key.pem"), "-out", &request];
        run("openssl", &[&server[..], &key].concat());
        std::fs::write(&extensions, "subjectAltName=IP:127.0.0.1\n").unwrap();
        let sign =
            ["x509", "-req", "-in", &request, "-CA", &ca, "-CAkey", &ca_key, "-CAcreateserial", "-days", "2"];
        run("openssl", &[&sign[..], &["-extfile", &extensions, "-out", &at("cert.pem")]].concat());
        // `user:secret`, by bcrypt.
        let user = "user:$2y$05$l7w3bkvYw3OvEmtjfcfk8O3okwT48KF31Y3XyA/.11nMItbhX5M4i\n";
        std::fs::write(dir.join("users"), user).unwrap();
    }
}
