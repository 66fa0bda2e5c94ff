//! Engines that are not there, do not let anybody in, go away or stand still: an infrastructure failure that says so.

use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};

use cullet_tests::{Outcome, User};

use super::engine::{Engine, checkout, reason};
use super::guest::Guest;
use super::made::Image;
use super::support::{expect, nap, shell, start_command, until};

const RUN: [&str; 5] = ["run", "--progress", "json", "--executor", "docker"];
const STEP: &str = "cullet: 1\nsteps:\n  a: { image: 'oci-layout:app', run: 'true' }\n";

#[test]
fn an_engine_that_is_not_there_is_said() {
    let (user, project) = (User::new(), checkout(STEP));
    let with = |host: &str, arguments: &[&str]| {
        let mut command = user.command(project.path(), arguments.iter().copied());
        command.env("DOCKER_HOST", host).env_remove("CULLET_EXECUTOR").output().unwrap()
    };
    let run = Outcome::of(&with("unix:///nowhere/docker.sock", &RUN));
    assert_eq!(run.exit_code, 3);
    assert!(
        reason(&run, "a").contains("no Docker engine listens at /nowhere/docker.sock"),
        "{}",
        reason(&run, "a")
    );
    let run = Outcome::of(&with("tcp://127.0.0.1:2375", &RUN));
    assert!(reason(&run, "a").contains("DOCKER_HOST is tcp://127.0.0.1:2375"), "{}", reason(&run, "a"));
    expect(
        &with("unix:///nowhere/docker.sock", &["doctor"]),
        0,
        &["docker", "no engine, and none is needed"],
    );
    expect(&with("tcp://x:1", &["doctor"]), 0, &["docker", "Unix sockets only"]);
}

#[test]
fn a_socket_for_others_is_said() {
    let Some(engine) = Engine::shared() else { return };
    let Some(guest) = Guest::arrive(STEP) else { return };
    Image::default().layout(&guest.project().join("app"));
    shell(&guest.project(), "chown -R 65532:65532 .");
    let dir = engine.socket().parent().unwrap().to_owned();
    std::fs::set_permissions(&dir, PermissionsExt::from_mode(0o711)).unwrap();
    let run = |arguments: &[&str]| {
        guest
            .command(guest.path("cullet"))
            .args(arguments)
            .env("DOCKER_HOST", engine.host())
            .output()
            .unwrap()
    };
    let refused = Outcome::of(&run(&RUN));
    assert_eq!(refused.exit_code, 3);
    assert!(reason(&refused, "a").contains("does not let this user in"), "{}", reason(&refused, "a"));
    expect(&run(&["doctor"]), 0, &["docker", "does not let this user in"]);
}

#[test]
fn an_engine_that_dies_fails_the_step_at_once_and_the_next_run_is_right() {
    let Some(engine) = Engine::own() else { return };
    let (user, nap) = (User::new(), nap(34));
    let text = |run: &str| format!("cullet: 1\nsteps:\n  a: {{ image: 'oci-layout:app', run: '{run}' }}\n");
    let project = checkout(&text(&format!("sleep {nap}")));
    let run = start_command(&mut engine.command(&user, &project, &RUN));
    until("the step runs", || engine.containers(&nap) == 1);
    std::thread::sleep(Duration::from_millis(500));
    let began = Instant::now();
    engine.kill();
    let run = Outcome::of(&run.output());
    assert_eq!((run.exit_code, &*run.steps["a"].status), (3, "infra_failed"), "{:?}", run.steps);
    assert!(reason(&run, "a").contains("the Docker engine at"), "{}", reason(&run, "a"));
    assert!(began.elapsed() < Duration::from_secs(30), "{:?}", began.elapsed());
    engine.start_again();
    project.write("cullet.yaml", &text("true"));
    engine.run(&user, &project, &[]).assert_success();
    assert_eq!(engine.containers(&nap), 0, "what the engine kept of it");
    assert_eq!(engine.volumes(), 0);
}

#[test]
fn an_engine_that_stands_still_is_not_waited_for() {
    let Some(engine) = Engine::own() else { return };
    let (user, project) = (User::new(), checkout(STEP));
    engine.signal("STOP");
    let began = Instant::now();
    let run = engine.run(&user, &project, &[]);
    engine.signal("CONT");
    assert_eq!(run.exit_code, 3);
    assert!(reason(&run, "a").contains("did not answer within 10 s"), "{}", reason(&run, "a"));
    assert!(began.elapsed() < Duration::from_secs(60), "{:?}", began.elapsed());
}
