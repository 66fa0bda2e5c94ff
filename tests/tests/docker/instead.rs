//! Docker in place of the sandbox, where the machine allows none.

use cullet_tests::User;

use super::engine::{Engine, checkout};
use super::support::{expect, skip, without_namespaces};

#[test]
fn it_is_used_and_said_where_there_is_no_sandbox() {
    let Some(engine) = Engine::shared() else { return };
    let text = "cullet: 1\nsteps:\n  a: { image: 'oci-layout:app', run: 'cat /layer > o', outputs: { o: o } }\n  b: { run: 'true' }\n\
                outputs: { o: a.o }\n";
    let (user, project) = (User::new(), checkout(text));
    let run =
        |arguments: &[&str]| without_namespaces("user", &mut engine.command(&user, &project, arguments));
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
        &[
            "namespace",
            "steps with an image run on Docker instead",
            "the Docker engine",
            "limits of disk are not enforced there",
        ],
    );
    // And where there is a sandbox, it is that.
    let other = User::new();
    let there = engine.cullet(&other, &project, &["run", "a", "--progress", "plain"]);
    expect(&there, 0, &["1 executed"]);
    assert!(!super::engine::text(&there).contains("Docker"));
}
