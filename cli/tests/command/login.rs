//! Logging in to a registry and out again.

use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Output, Stdio};

use super::lock::Registry;
use super::{cullet, run, stderr, stdout};

/// Logs in with the password on standard input, and with programs of the test first.
fn login(home: &Path, place: &str, password: &str) -> Output {
    let mut command = cullet(home, &["login", place, "--user", "user", "--password-stdin"]);
    command.env("PATH", format!("{}/bin:/usr/bin:/bin", home.display()));
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // Who refuses the command line reads nothing.
    drop(child.stdin.take().unwrap().write_all(password.as_bytes()));
    child.wait_with_output().unwrap()
}

/// Whether an image of the registry may be asked for: it says "not found", not "it wants a login".
fn is_known(home: &Path, registry: &Registry) -> bool {
    let pipeline = format!(
        "cullet: 1\nname: p\nsteps:\n  s: {{ image: \"{}/team/app:1\", run: \"true\" }}\n",
        registry.address
    );
    std::fs::write(home.join("cullet.yaml"), pipeline).unwrap();
    let said = stderr(&run(home, &["lock"]));
    assert!(said.contains("404") || said.contains("401"), "{said}");
    said.contains("404")
}

#[test]
fn a_login_that_the_registry_accepts_is_kept_until_somebody_logs_out() {
    let Some(registry) = Registry::private() else { return };
    let dir = tempfile::tempdir().unwrap();
    let home = dir.path();
    assert!(!is_known(home, &registry));

    let refused = login(home, &registry.address, "wrong\n");
    assert_eq!(refused.status.code(), Some(3), "{refused:?}");
    assert!(stderr(&refused).contains("does not accept the login of `user`"), "{refused:?}");
    assert!(!home.join(".docker/config.json").exists(), "what is wrong is not kept");

    let place = format!("oci://{}/team/cache", registry.address);
    let accepted = login(home, &place, "secret\n");
    let said = stdout(&accepted);
    assert!(accepted.status.success() && said.contains(".docker/config.json"), "{accepted:?}");
    assert!(said.contains(&registry.address) && !said.contains("secret"), "{said}");
    assert!(is_known(home, &registry));

    let out = run(home, &["logout", &registry.address]);
    assert_eq!(stdout(&out), format!("Logged out of {}.\n", registry.address));
    assert!(!is_known(home, &registry));
    let out = run(home, &["logout", &registry.address]);
    assert!(out.status.success() && stdout(&out).starts_with("Nobody is logged in"), "{out:?}");
}

#[test]
fn a_helper_that_docker_is_told_of_keeps_the_login() {
    let Some(registry) = Registry::private() else { return };
    let dir = tempfile::tempdir().unwrap();
    let home = dir.path();
    let (config, kept) = (home.join(".docker/config.json"), home.join("kept"));
    let helper = home.join("bin/docker-credential-mine");
    std::fs::create_dir_all(helper.parent().unwrap()).unwrap();
    std::fs::create_dir_all(config.parent().unwrap()).unwrap();
    let text = "{\"credsStore\":\"mine\"}";
    std::fs::write(&config, text).unwrap();
    let script =
        format!("#!/bin/sh\nset -eu\n[ ! -e {0}.not ]\necho \"$1\" > {0}\ncat >> {0}\n", kept.display());
    std::fs::write(&helper, script).unwrap();
    std::fs::set_permissions(&helper, std::fs::Permissions::from_mode(0o755)).unwrap();

    let accepted = login(home, &registry.address, "secret");
    assert!(accepted.status.success(), "{accepted:?}");
    assert!(stdout(&accepted).ends_with("with docker-credential-mine.\n"), "{accepted:?}");
    let stored = std::fs::read_to_string(&kept).unwrap();
    let (command, login_text) = stored.split_once('\n').unwrap();
    let stored: serde_json::Value = serde_json::from_str(login_text).unwrap();
    let address = registry.address.as_str();
    assert_eq!(command, "store");
    assert_eq!(stored, serde_json::json!({ "ServerURL": address, "Username": "user", "Secret": "secret" }));
    assert_eq!(std::fs::read_to_string(&config).unwrap(), text, "the file has no password");

    std::fs::write(home.join("kept.not"), "").unwrap();
    let failed = login(home, &registry.address, "secret");
    assert_eq!(failed.status.code(), Some(3), "{failed:?}");
    assert!(stderr(&failed).contains("refused to store the login"), "{failed:?}");
}

#[test]
fn what_is_no_registry_or_has_no_password_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    for (place, password, what) in [
        ("s3://bucket/prefix", "secret", "AWS_"),
        ("user:secret@host", "x", "HOST:PORT"),
        ("registry.example.com", "\n", "no password"),
    ] {
        let refused = login(dir.path(), place, password);
        assert_eq!(refused.status.code(), Some(2), "{place}: {refused:?}");
        let said = stderr(&refused);
        assert!(said.contains(what) && !said.contains("secret"), "{place}: {said}");
    }
    // There is no terminal to ask.
    let refused = run(dir.path(), &["login", "registry.example.com"]);
    assert_eq!(refused.status.code(), Some(2), "{refused:?}");
    assert!(stderr(&refused).contains("--password-stdin"), "{refused:?}");
}
