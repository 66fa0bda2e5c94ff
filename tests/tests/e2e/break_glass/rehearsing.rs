//! Trying it out before it is needed.

use std::fs;
use std::process::Command;

use cullet_tests::{Checkout, Outcome, User};

use super::{checkout, entries, text};

fn rehearse(user: &User, checkout: &Checkout, variables: &[(&str, &str)]) -> Outcome {
    let mut command = user.command(checkout.path(), ["run", "--progress", "json", "--rehearse-break-glass"]);
    command.envs(variables.iter().copied());
    Outcome::of(&command.output().unwrap())
}

#[test]
fn what_would_work_is_said_and_leaves_nothing() {
    let (user, checkout) = (User::new(), checkout());
    checkout.edit(
        "cullet.yaml",
        "outputs: { used: use.used }",
        "  ship: { effects: true, inputs: { used: use.used }, run: 'touch /tmp/shipped' }\n  after: { needs: [ship], run: 'true' }\n",
    );
    let waived = tempfile::NamedTempFile::new().unwrap();
    fs::write(waived.path(), "[break-glass]\napprovals = 0\n").unwrap();
    let config = ("CULLET_CONFIG", waived.path().to_str().unwrap());
    let first = user.run_with(&checkout, ["make"]);
    first.assert_success();
    for _ in 0..2 {
        let rehearsed = rehearse(&user, &checkout, &[config, ("CULLET_SHARED_CACHE", "s3://bucket/prefix")]);
        rehearsed.assert_success();
        assert_eq!(
            (rehearsed.executed(), rehearsed.cached()),
            (vec!["use"], vec!["make"]),
            "nothing was kept"
        );
        for part in [
            "from the local cache alone: s3://bucket/prefix",
            "act on the outside world: ship",
            "need those: after",
            "would work (1 executed, 1 cached)",
        ] {
            assert!(rehearsed.stderr.contains(part), "{part}: {}", rehearsed.stderr);
        }
    }
    assert!(entries(&user).is_empty());
    let runs = user.cullet(&checkout, ["runs", "--format", "json"]);
    assert_eq!(text(&runs.stdout).lines().count(), 1, "only the one that was no rehearsal");
    assert_eq!(user.run_with(&checkout, ["use"]).executed(), ["use"]);
    let writes = ["run", "--rehearse-break-glass", "--output", "out"];
    let refused = user.cullet(&checkout, writes);
    assert!(refused.status.code() == Some(2) && !checkout.path().join("out").exists(), "{refused:?}");
    // Nobody may approve: what would be refused is refused.
    let refused = rehearse(&user, &checkout, &[]);
    assert!(refused.exit_code == 2 && refused.stderr.contains("1 other must approve"), "{}", refused.stderr);
}

#[test]
fn there_is_no_network_and_what_needs_one_is_named() {
    let (user, checkout) = (User::new(), checkout());
    let pipeline = "cullet: 1\nname: net\nsteps:\n  count: { network: full, run: 'wc -l < /proc/net/route > n && grep -qx 1 n' }\n";
    checkout.write("cullet.yaml", pipeline);
    let alone = rehearse(&user, &checkout, &[]);
    alone.assert_success();
    let image = "  far: { image: 'registry.invalid/far:1', run: 'true' }\n";
    checkout.write("cullet.yaml", &format!("{pipeline}{image}"));
    let far = rehearse(&user, &checkout, &[]);
    assert!(far.exit_code != 0, "{far:?}");
    assert!(far.stderr.contains("registry.invalid") && far.stderr.contains("rehearsal"), "{}", far.stderr);
}

#[test]
fn a_user_who_is_not_root_rehearses_in_a_namespace_of_their_own() {
    let checkout = checkout();
    let allowed = Command::new("setpriv")
        .args(["--reuid=65534", "--regid=65534", "--clear-groups", "unshare", "-Urn", "true"])
        .output();
    if !allowed.is_ok_and(|output| output.status.success()) {
        // Not root here, or a machine that gives users no namespaces.
        return;
    }
    let home = tempfile::tempdir().unwrap();
    let whole =
        Command::new("chown").arg("-R").arg("65534:65534").arg(home.path()).arg(checkout.path()).status();
    assert!(whole.unwrap().success());
    let mut command = Command::new("setpriv");
    command.args(["--reuid=65534", "--regid=65534", "--clear-groups"]).arg(cullet_tests::cullet_binary());
    command.args(["run", "--progress", "json", "--rehearse-break-glass"]).current_dir(checkout.path());
    command.env_clear().env("PATH", "/usr/bin:/bin").env("HOME", home.path());
    let rehearsed =
        Outcome::of(&command.env("CULLET_CACHE_DIR", home.path().join("cache")).output().unwrap());
    rehearsed.assert_success();
    assert!(rehearsed.stderr.contains("would work (2 executed, 0 cached)"), "{}", rehearsed.stderr);
}
