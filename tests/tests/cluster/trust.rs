//! Who may run what as whom, and which workers are believed: docs/cluster.md, "Whose results".

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use cullet_tests::cluster::{Answer, Cluster};
use cullet_tests::{Outcome, cullet_binary};

const PIPELINE: &str =
    "cullet: 1\nname: app\nsteps:\n  make: { run: 'mkdir out; echo made > out/it', outputs: { out: out } }\n";

/// SHA-256 of `ci-token` and of `branch-token`.
const POLICY: &str = "\
[[submitters]]
name = \"ci\"
token-sha256 = \"CI\"
scopes = [\"protected\"]

[[submitters]]
name = \"branches\"
token-sha256 = \"BRANCH\"
scopes = [\"branch/*\"]
";

fn sha256(text: &str) -> String {
    let printed = Command::new("sh").args(["-c", &format!("printf %s {text} | sha256sum")]).output().unwrap();
    String::from_utf8(printed.stdout).unwrap()[..64].to_owned()
}

/// A cluster with this policy and no workers.
fn cluster(policy: &str, coordinators: usize) -> Cluster {
    let mut cluster = Cluster::prepare(cullet_binary().clone(), coordinators, 2);
    let file = cluster.dir().join("trust.toml");
    let policy = policy.replace("CI", &sha256("ci-token")).replace("BRANCH", &sha256("branch-token"));
    fs::write(&file, policy).unwrap();
    for position in 0..coordinators {
        cluster.run_coordinator_with(position, &["--trust", file.to_str().unwrap()]);
    }
    cluster
}

/// A command as whoever has a token.
fn asked(cluster: &Cluster, dir: &Path, token: &str, arguments: &[&str]) -> Answer {
    let mut command = cluster.command();
    command.current_dir(dir).env("CULLET_CLUSTER_TOKEN", token).args(arguments);
    command.output().unwrap().into()
}

fn run(cluster: &Cluster, dir: &Path, token: &str, scope: &str) -> Outcome {
    let mut command = cluster.command();
    command.current_dir(dir).env("CULLET_CLUSTER_TOKEN", token);
    command.args(["run", "--progress", "json", "--cluster", &cluster.urls(), "--scope", scope]);
    Outcome::of(&command.output().unwrap())
}

#[test]
fn a_token_says_who_may_run_as_whom_and_nothing_of_a_branch_is_protected() {
    let mut cluster = cluster(POLICY, 1);
    cluster.run_worker(0, &[]);
    cluster.with_workers(1);
    let dir = cluster.pipeline("app", PIPELINE);
    let (nobody, made): ([&str; 0], _) = ([], ["make"]);
    for (token, scope, executed) in [
        ("branch-token", "branch/x", &made[..]),
        ("branch-token", "branch/x", &nobody),
        ("ci-token", "protected", &made),
        ("branch-token", "branch/y", &nobody),
    ] {
        let outcome = run(&cluster, &dir, token, scope);
        outcome.assert_success();
        assert_eq!(outcome.executed(), executed, "{scope}");
    }
    for (token, scope, why) in [
        (
            "branch-token",
            "protected",
            "branches may not run anything as protected for the tenant default; ci may",
        ),
        ("ci-token", "branch/x", "ci may not run anything as branch/x for the tenant default; branches may"),
        ("", "protected", "a call without a token (CULLET_CLUSTER_TOKEN) may not run anything as protected"),
        ("canary-token", "protected", "nobody has the token of this call"),
    ] {
        let refused = run(&cluster, &dir, token, scope);
        assert_eq!(refused.exit_code, 2, "{}", refused.stderr);
        assert!(refused.stderr.contains(why), "{why}: {}", refused.stderr);
        assert!(!refused.stderr.contains("canary-token"));
    }
    assert!(!cluster.logs().contains("-token"), "no token is written down");
}

#[test]
fn who_may_not_use_a_scope_cannot_cancel_its_runs_and_http_is_no_other_way() {
    let mut cluster = cluster(POLICY, 3);
    cluster.run_worker(0, &[]);
    cluster.with_workers(1);
    let dir = cluster.pipeline("long", "cullet: 1\nsteps:\n  long: { run: sleep 600 }\n");
    let urls = cluster.urls();
    let detach = ["run", "--detach", "--progress", "json", "--cluster", &urls];
    let submitted = asked(&cluster, &dir, "ci-token", &detach).stdout;
    let submitted: serde_json::Value = serde_json::from_str(&submitted).unwrap();
    let run = submitted["run"].as_str().unwrap();
    let cancel = |token: &str| asked(&cluster, &dir, token, &["cancel", "--cluster", &urls, run]);
    let refused = cancel("branch-token");
    assert_eq!(refused.exit_code, 2, "{}", refused.stderr);
    assert!(refused.stderr.contains("branches may not run anything as protected"), "{}", refused.stderr);
    let looked = asked(&cluster, &dir, "", &["status", "--cluster", &urls, run]);
    assert!(
        looked.exit_code == 0 && looked.stdout.contains("protected"),
        "looking is free: {}",
        looked.stdout
    );
    let http = |coordinator: usize, token: &str, path: &str, body: &str| {
        let mut curl = Command::new("curl");
        curl.args(["-sS", "-m", "30", "-o", "/dev/null", "-w", "%{http_code}", "-X", "POST"]);
        curl.args(["-H", &format!("Authorization: Bearer {token}"), "-H", "Content-Type: application/json"]);
        let url = format!("{}/api/v1/runs{path}", cluster.url(coordinator));
        String::from_utf8(curl.args(["-d", body, &url]).output().unwrap().stdout).unwrap()
    };
    let submission = |scope: &str| {
        format!(
            "{{\"pipeline\": \"cullet: 1\\nsteps: {{ s: {{ run: 'true' }} }}\\n\", \"scope\": \"{scope}\"}}"
        )
    };
    let path = format!("/{run}/cancel");
    // Two of them pass it on to the third.
    for coordinator in 0..3 {
        for (token, path, body, status) in [
            ("branch-token", "", &*submission("protected"), "403"),
            ("other", "", &submission("protected"), "401"),
            ("branch-token", "", &submission("main"), "400"),
            ("branch-token", "", &submission("branch/x"), "201"),
            ("branch-token", &path, "", "403"),
        ] {
            assert_eq!(http(coordinator, token, path, body), status, "{coordinator} {token} {path} {body}");
        }
    }
    assert_eq!(cancel("ci-token").exit_code, 0);
}

/// A key in a file, and how its public half is written.
fn key(dir: &Path, name: &str) -> (PathBuf, String) {
    let path = dir.join(name);
    let openssl =
        |arguments: &[&str]| Command::new("openssl").args(arguments).arg(&path).output().unwrap().stdout;
    openssl(&["genpkey", "-algorithm", "ed25519", "-out"]);
    let der = openssl(&["pkey", "-pubout", "-outform", "DER", "-in"]);
    let digits: String = der[der.len() - 32..].iter().map(|byte| format!("{byte:02x}")).collect();
    (path, format!("ed25519:{digits}"))
}

#[test]
fn what_a_worker_without_a_key_says_is_nothing_and_a_laptop_believes_what_another_one_signed() {
    let keys = tempfile::tempdir().unwrap();
    let (signing, public) = key(keys.path(), "worker.pem");
    let (stranger, _) = key(keys.path(), "stranger.pem");
    let mut cluster = cluster(&format!("[workers]\nkeys = [\"{public}\"]\nrequire-signatures = true\n"), 1);
    let dir = cluster.pipeline("app", PIPELINE);
    cluster.run_worker(0, &["--signing-key", stranger.to_str().unwrap()]);
    cluster.with_workers(1);
    let refused = cluster.run(&dir, &[]);
    assert_eq!(refused.exit_code, 3, "{}", refused.stderr);
    let said = format!("{:?}", refused.events);
    assert!(said.contains("which is not among the keys of workers"), "{said}");
    // Whichever of the two is tried first, it ends with the other one.
    cluster.run_worker(1, &["--signing-key", signing.to_str().unwrap()]);
    cluster.with_workers(2);
    let good = cluster.run(&dir, &[]);
    good.assert_success();
    assert_eq!(good.executed(), ["make"]);
    assert_eq!(cluster.run(&dir, &[]).cached(), ["make"]);
    // Somebody on a laptop who asks for signatures, at the store of the cluster.
    let laptop = |trusted: &str| {
        let config = cluster.dir().join("laptop.toml");
        let text = format!("[cache]\nshared = {:?}\ntrusted-keys = [\"{trusted}\"]\n", cluster.store());
        fs::write(&config, text).unwrap();
        let mut command = cluster.command();
        command.current_dir(&dir).env("CULLET_CONFIG", &config).args(["run", "--progress", "json"]);
        let cache = tempfile::tempdir().unwrap();
        Outcome::of(&command.env("CULLET_CACHE_DIR", cache.path()).output().unwrap())
    };
    let taken = laptop(&public);
    taken.assert_success();
    assert_eq!(taken.cached(), ["make"], "{}", taken.stderr);
    let other = format!("ed25519:{}", "0".repeat(64));
    assert_eq!(laptop(&other).executed(), ["make"], "whoever else is trusted");
}
