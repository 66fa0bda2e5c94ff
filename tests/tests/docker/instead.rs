//! Docker in place of the sandbox, where the machine allows none.

use std::process::{Command, Output};

use cullet_tests::User;

use super::engine::{Engine, checkout};
use super::support::{expect, skip};

/// Forbids further namespaces to all that follows, as an ordinary user of a group that may talk to the engine.
const FORBID: &str = "echo 0 > /proc/sys/user/max_user_namespaces || exit 77; \
                      exec setpriv --ambient-caps=-all --inh-caps=-all --bounding-set=-all \"$@\"";

/// None where that cannot be forbidden.
fn without_namespaces(
    engine: &Engine,
    user: &User,
    project: &cullet_tests::Checkout,
    arguments: &[&str],
) -> Option<Output> {
    let wrap = |program: &std::path::Path, arguments: &[&str]| {
        let command = engine.command(user, project, &[]);
        let environment: Vec<_> = command
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
            "sh",
        ]);
        unshare.arg(program).args(arguments).env_clear().envs(environment).current_dir(project.path());
        unshare.output()
    };
    let possible = wrap("true".as_ref(), &[]).is_ok_and(|output| output.status.success());
    possible.then(|| wrap(cullet_tests::cullet_binary(), arguments).unwrap())
}

#[test]
fn it_is_used_and_said_where_there_is_no_sandbox() {
    let Some(engine) = Engine::shared() else { return };
    let text = "cullet: 1\nsteps:\n  a: { image: 'oci-layout:app', run: 'cat /layer > o', outputs: { o: o } }\n  b: { run: 'true' }\n\
                outputs: { o: a.o }\n";
    let (user, project) = (User::new(), checkout(text));
    let run = |arguments: &[&str]| without_namespaces(&engine, &user, &project, arguments);
    let Some(first) = run(&["run", "a", "--progress", "plain", "--output", "out"]) else {
        return skip("namespaces cannot be forbidden here");
    };
    expect(
        &first,
        0,
        &["1 executed", "steps run in containers of the Docker engine", "this machine allows no sandbox"],
    );
    assert_eq!(std::fs::read_to_string(project.path().join("out/o")).unwrap(), "one");
    // It is not used where the sandbox was asked for, nor for what it cannot do.
    let asked = run(&["run", "a", "--no-cache", "--executor", "sandbox"]).unwrap();
    expect(&asked, 3, &["a: failed", "namespace"]);
    let host = run(&["run", "b"]).unwrap();
    expect(&host, 3, &["b: failed", "namespace", "a step without an image"]);
    expect(
        &run(&["doctor"]).unwrap(),
        0,
        &["namespace", "steps with an image run on Docker instead", "the Docker engine"],
    );
    // And where there is a sandbox, it is that.
    let other = User::new();
    let there = engine.cullet(&other, &project, &["run", "a", "--progress", "plain"]);
    expect(&there, 0, &["1 executed"]);
    assert!(!super::engine::text(&there).contains("Docker"));
}
