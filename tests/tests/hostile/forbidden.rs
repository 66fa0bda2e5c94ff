//! Machines that forbid what the sandbox is made of: it is said, and nothing else is done in its place.

use std::process::Output;

use cullet_tests::{Checkout, User};

use super::support::{expect, is_plain, skip, without_namespaces};

/// None where that cannot be forbidden.
fn without(kind: &str, user: &User, checkout: &Checkout, arguments: &[&str]) -> Option<Output> {
    let mut command = user.command(checkout.path(), arguments.iter().copied());
    // Docker would take the place of the sandbox, where there is an engine.
    without_namespaces(kind, command.env("DOCKER_HOST", "unix:///nowhere"))
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
