//! Machines that forbid what the sandbox is made of: it is said, and nothing else is done in its place.

use std::process::{Command, Output};

use cullet_tests::{Checkout, User};

use super::support::{expect, is_plain, skip};

/// Forbids further namespaces of a kind to all that follows, by way of a user namespace in which that can be
/// said, and gives back the rights that this took.
const FORBID: &str = "echo 0 > /proc/sys/user/max_${0}_namespaces || exit 77; \
                      exec setpriv --ambient-caps=-all --inh-caps=-all --bounding-set=-all \"$@\"";

/// None where that cannot be forbidden.
fn without(kind: &str, user: &User, checkout: &Checkout, arguments: &[&str]) -> Option<Output> {
    let wrap = |program: &std::path::Path, arguments: &[&str]| {
        let mut command = user.command(checkout.path(), []);
        let environment: Vec<_> = command
            .env_remove("CULLET_EXECUTOR")
            .get_envs()
            .filter_map(|(name, value)| Some((name.to_owned(), value?.to_owned())))
            .collect();
        let mut unshare = Command::new("unshare");
        unshare.args([
            "--user",
            "--map-user=1000",
            "--map-group=1000",
            "--keep-caps",
            "sh",
            "-c",
            FORBID,
            kind,
        ]);
        unshare.arg(program).args(arguments).env_clear().envs(environment).current_dir(checkout.path());
        // Docker would take the place of the sandbox, where there is an engine.
        unshare.env("DOCKER_HOST", "unix:///nowhere");
        unshare.output()
    };
    let possible = wrap("true".as_ref(), &[]).is_ok_and(|output| output.status.success());
    possible.then(|| wrap(cullet_tests::cullet_binary(), arguments).unwrap())
}

#[test]
fn what_is_forbidden_is_said_by_doctor_and_by_run() {
    if is_plain() {
        return skip("these tests run in a sandbox themselves");
    }
    for kind in ["user", "pid", "mnt", "net", "uts", "ipc"] {
        let text = "cullet: 1\nsteps: { a: { run: 'echo pretended' } }\n";
        let (user, checkout) = (User::new(), Checkout::of_pipeline(text));
        let Some(doctor) = without(kind, &user, &checkout, &["doctor"]) else {
            return skip("namespaces cannot be forbidden here");
        };
        expect(&doctor, 3, &["sandbox", "namespace", "raise `sysctl", "--executor plain"]);
        let run = without(kind, &user, &checkout, &["run", "--progress", "plain"]).unwrap();
        expect(&run, 3, &["namespace", "the machine failed it", "a: failed"]);
        assert!(!super::support::said(&run).contains("pretended"));
        let plain = without(kind, &user, &checkout, &["run", "--executor", "plain"]).unwrap();
        expect(&plain, 0, &["1 executed"]);
        let again = without(kind, &user, &checkout, &["run"]).unwrap();
        expect(&again, 3, &["a: failed"]);
    }
}
