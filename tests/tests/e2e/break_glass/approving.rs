//! Steps that act on the outside world, and the other person who has to agree.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use cullet_tests::{Checkout, User};
use tempfile::TempDir;

use super::{breaking, entries, text};

const PIPELINE: &str = r#"
cullet: 1
name: shipping
sources: { one: { path: ., include: [/one] } }
steps:
  ship: { effects: true, inputs: { .: one }, run: 'cat one' }
"#;

/// Ada asks, and Grace and Ada may approve.
struct Site {
    ada: User,
    checkout: Checkout,
    dir: TempDir,
}

impl Site {
    fn new() -> Self {
        let checkout = Checkout::of_pipeline(PIPELINE);
        checkout.write("one", "1\n");
        let site = Self { ada: User::new(), checkout, dir: tempfile::tempdir().unwrap() };
        let [grace, ada, _] = ["grace", "ada", "eve"].map(|name| key(&site.dir.path().join(name)));
        site.configure(&format!("approvers = [\"{grace} grace\", \"{ada} ada\"]"));
        site
    }

    fn configure(&self, text: &str) {
        fs::write(self.dir.path().join("config.toml"), format!("[break-glass]\n{text}\n")).unwrap();
    }

    fn run(&self, reason: &str, arguments: &[&str]) -> Output {
        let mut command = breaking(&self.ada, &self.checkout, &[&["--reason", reason], arguments].concat());
        command.env("CULLET_CONFIG", self.dir.path().join("config.toml")).env("USER", "ada").output().unwrap()
    }

    /// What a run is refused with, and the request that it prints.
    fn refused(&self, reason: &str, arguments: &[&str]) -> (String, String) {
        let output = self.run(reason, arguments);
        let why = text(&output.stderr);
        assert_eq!((output.status.code(), text(&output.stdout).as_str()), (Some(2), ""), "{why}");
        assert!(entries(&self.ada).is_empty(), "nothing began");
        let request = why.split_once("cullet approve ").map(|(_, rest)| rest.split(' ').next().unwrap());
        (request.unwrap_or_default().to_owned(), why)
    }

    /// What somebody is shown, and the token that they give.
    fn approve(&self, request: &str, name: &str) -> (String, String) {
        let key = self.dir.path().join(name);
        let arguments = ["approve", request, "--signing-key", key.to_str().unwrap()];
        let output = User::new().command(self.dir.path(), arguments).output().unwrap();
        assert!(output.status.success(), "{}", text(&output.stderr));
        (text(&output.stderr), text(&output.stdout).trim().to_owned())
    }
}

/// Makes a key in a file; how its public half is written.
fn key(path: &Path) -> String {
    let openssl = |arguments: &[&str], path: &PathBuf| {
        Command::new("openssl").args(arguments).arg(path).output().unwrap().stdout
    };
    openssl(&["genpkey", "-algorithm", "ed25519", "-out"], &path.to_owned());
    let der = openssl(&["pkey", "-pubout", "-outform", "DER", "-in"], &path.to_owned());
    let digits: String = der[der.len() - 32..].iter().map(|byte| format!("{byte:02x}")).collect();
    format!("ed25519:{digits}")
}

#[test]
fn what_acts_on_the_outside_world_waits_for_somebody_else() {
    let site = Site::new();
    let (request, why) = site.refused("down", &[]);
    assert!(why.contains("ship") && why.contains("nothing was started"), "{why}");
    let (shown, token) = site.approve(&request, "grace");
    for part in ["ada (uid", "because: down", "outside world: ship", "pipeline 'shipping'"] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
    let run = site.run("down", &["--approval", &token]);
    assert!(run.status.success(), "{}", text(&run.stderr));
    let begun = &entries(&site.ada)[0];
    assert_eq!((&begun["approvals"][0]["name"], &begun["effects"][0]), (&"grace".into(), &"ship".into()));
    assert_eq!(begun["approvals"][0]["token"], token);
}

#[test]
fn an_approval_is_of_one_request_by_somebody_else() {
    let site = Site::new();
    let (request, _) = site.refused("down", &[]);
    let by = |name: &str| site.approve(&request, name).1;
    let why = |reason: &str, token: &str| site.refused(reason, &["--approval", token]).1;
    assert!(why("down", &by("ada")).contains("by ada, who asks for it"));
    assert!(why("down", &by("eve")).contains("not among the `approvers`"));
    assert!(why("down", "x").contains("no token"));
    let token = by("grace");
    assert!(why("another reason", &token).contains("another request"));
    site.checkout.write("one", "2\n");
    assert!(why("down", &token).contains("another request"), "sources changed");
    site.checkout.write("one", "1\n");
    assert!(site.run("down", &["--approval", &token]).status.success());
}

#[test]
fn who_may_approve_is_said_or_that_nobody_has_to() {
    let site = Site::new();
    site.configure("");
    let (request, why) = site.refused("down", &[]);
    assert!(request.is_empty() && why.contains("approvers = ") && why.contains("approvals = 0"), "{why}");
    site.configure("approvers = [\"ed25519:12 grace\"]");
    assert!(site.refused("down", &[]).1.contains("config.toml:2:"));
    site.configure("approvals = 0");
    assert!(site.run("down", &[]).status.success());
}

#[test]
fn the_machine_that_asks_cannot_approve() {
    let site = Site::new();
    let (request, _) = site.refused("down", &[]);
    let own = site.ada.cache().join("break-glass/key.pem");
    let arguments = ["approve", &request, "--signing-key", own.to_str().unwrap()];
    let output = site.ada.command(site.dir.path(), arguments).output().unwrap();
    assert_eq!((output.status.code(), text(&output.stdout).as_str()), (Some(2), ""));
    assert!(text(&output.stderr).contains("somebody else has to approve"));
}
