//! People who share a store and not their results, and somebody who can write to it and has no key.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use cullet_tests::{Checkout, Outcome, User};

use super::{checkout, command, outcome, published, said, text};

/// A run that publishes in a scope.
fn publish_as(user: &User, checkout: &Checkout, shared: &Path, scope: &str) -> Outcome {
    run_as(user, checkout, shared, scope, "write")
}

fn read_as(user: &User, checkout: &Checkout, shared: &Path, scope: &str) -> Outcome {
    run_as(user, checkout, shared, scope, "read")
}

fn run_as(user: &User, checkout: &Checkout, shared: &Path, scope: &str, mode: &str) -> Outcome {
    let mut command = command(user, checkout, text(shared), &[]);
    command.env("CULLET_SCOPE", scope).env("CULLET_SHARED_CACHE_MODE", mode);
    outcome(&command.output().unwrap())
}

const ALL: [&str; 3] = ["make", "other", "use"];

#[test]
fn what_a_laptop_publishes_is_for_its_owner_and_what_is_protected_is_for_everybody() {
    let (shared, checkout) = published();
    let nobody: [&str; 0] = [];
    // Another laptop of the same person.
    let mine = outcome(&command(&User::new(), &checkout, text(shared.path()), &[]).output().unwrap());
    assert_eq!(mine.executed(), nobody);
    for scope in ["protected", "user/somebody-else", "branch/x"] {
        assert_eq!(read_as(&User::new(), &checkout, shared.path(), scope).executed(), ALL, "{scope}");
    }
    publish_as(&User::new(), &checkout, shared.path(), "protected");
    for scope in ["protected", "user/somebody-else", "branch/x"] {
        assert_eq!(read_as(&User::new(), &checkout, shared.path(), scope).executed(), nobody, "{scope}");
    }
}

#[test]
fn a_machine_that_builds_branches_does_not_take_their_results_for_what_everybody_uses() {
    let (shared, checkout) = (tempfile::tempdir().unwrap(), checkout());
    let machine = User::new();
    let nobody: [&str; 0] = [];
    assert_eq!(publish_as(&machine, &checkout, shared.path(), "branch/x").executed(), ALL);
    assert_eq!(publish_as(&machine, &checkout, shared.path(), "protected").executed(), ALL);
    for scope in ["branch/x", "protected"] {
        assert_eq!(read_as(&machine, &checkout, shared.path(), scope).executed(), nobody, "{scope}");
    }
}

/// A key in a file, and how its public half is written.
pub(super) fn key(dir: &Path, name: &str) -> (PathBuf, String) {
    let path = dir.join(name);
    let made = Command::new("openssl").args(["genpkey", "-algorithm", "ed25519", "-out"]).arg(&path).status();
    assert!(made.unwrap().success());
    let public =
        Command::new("openssl").args(["pkey", "-pubout", "-outform", "DER", "-in"]).arg(&path).output();
    let der = public.unwrap().stdout;
    let digits: String = der[der.len() - 32..].iter().map(|byte| format!("{byte:02x}")).collect();
    (path, format!("ed25519:{digits}"))
}

/// With a configuration of its own.
pub(super) fn configured(user: &User, checkout: &Checkout, shared: &Path, mode: &str, more: &str) -> Outcome {
    let config = tempfile::NamedTempFile::new().unwrap();
    fs::write(config.path(), format!("[cache]\nshared = {shared:?}\nmode = \"{mode}\"\n{more}\n")).unwrap();
    let mut command = user.command(checkout.path(), ["run", "--progress", "json"]);
    outcome(&command.env("CULLET_CONFIG", config.path()).output().unwrap())
}

/// Files of results below a directory of the store.
fn results(dir: &Path) -> Vec<PathBuf> {
    super::listing(dir).into_iter().map(|(path, _)| path).collect()
}

#[test]
fn what_somebody_without_a_key_puts_into_the_store_is_missing_to_who_asks_for_signatures() {
    let (shared, checkout, keys) = (tempfile::tempdir().unwrap(), checkout(), tempfile::tempdir().unwrap());
    let (signing, public) = key(keys.path(), "ci.pem");
    let nobody: [&str; 0] = [];
    let signs = format!("signing-key = {signing:?}");
    let trusts = format!("scope = \"user/ada\"\ntrusted-keys = [\"{public}\"]");
    let read = || configured(&User::new(), &checkout, shared.path(), "read", &trusts);
    // A branch that the trusted worker built, signed as what it is.
    configured(&User::new(), &checkout, shared.path(), "write", &format!("scope = \"branch/x\"\n{signs}"));
    let branch = fs::read_dir(shared.path()).unwrap().flatten().map(|entry| entry.path());
    let branch = branch.into_iter().find(|path| path.to_string_lossy().contains("ac@")).unwrap();
    for from in results(&branch) {
        let to = shared.path().join("ac").join(from.strip_prefix(&branch).unwrap());
        fs::create_dir_all(to.parent().unwrap()).unwrap();
        fs::copy(&from, &to).unwrap();
    }
    let trusting = read_as(&User::new(), &checkout, shared.path(), "user/ada");
    assert_eq!(trusting.executed(), nobody, "who asks for no signatures believes it");
    let asking = read();
    assert_eq!(asking.executed(), ALL);
    let said = said(&asking).join("\n");
    assert!(said.contains("3 results") && said.contains("not believed") && said.contains(&public), "{said}");
    // Without any signature.
    fs::remove_dir_all(shared.path().join("ac")).unwrap();
    publish_as(&User::new(), &checkout, shared.path(), "protected");
    assert_eq!(read().executed(), ALL);
    configured(
        &User::new(),
        &checkout,
        shared.path(),
        "write",
        &format!("scope = \"protected\"\ntrusted-keys = [\"{public}\"]\n{signs}"),
    );
    assert_eq!(read().executed(), nobody, "signed as protected by who is trusted");
}
