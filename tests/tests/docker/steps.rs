//! How steps in containers end, what they may take, and what is refused before anything runs.

use std::os::unix::fs::symlink;
use std::path::Path;
use std::time::{Duration, Instant};

use cullet_tests::{Outcome, User};
use serde_json::json;

use super::engine::{Engine, checkout, log, reason, text};
use super::made::{Image, architecture, image, layer_of};
use super::support::{Running, expect, nap, start_command, until};

fn one(body: &str) -> String {
    format!("cullet: 1\nsteps:\n  a: {{ image: 'oci-layout:app', {body} }}\n")
}

fn exit_code(outcome: &Outcome, step: &str) -> Option<i64> {
    let finished =
        outcome.events.iter().find(|event| event["event"] == "step_finished" && event["step"] == step);
    finished.unwrap()["exit_code"].as_i64()
}

#[test]
fn programs_that_cannot_be_run_end_as_in_the_sandbox() {
    let Some(engine) = Engine::shared() else { return };
    for (body, code) in [
        ("run: [nothing-like-this]", 127),
        ("run: [/etc/passwd]", 126),
        ("run: [./missing/prog]", 127),
        ("run: 'exit 7'", 7),
        ("run: 'echo err >&2; kill -9 $$'", 137),
    ] {
        let checkout = checkout(&one(body));
        let sandbox = User::new().run_with(&checkout, ["--executor", "sandbox"]);
        let docker = engine.run(&User::new(), &checkout, &[]);
        let ends = [&sandbox, &docker].map(|run| (run.exit_code, exit_code(run, "a"), log(run, "a")));
        assert_eq!(ends[0], ends[1], "{body}");
        assert_eq!((ends[0].0, ends[0].1), (1, Some(code)), "{body}: {}", sandbox.stderr);
    }
}

#[test]
fn what_is_printed_arrives_in_order_and_whole() {
    let Some(engine) = Engine::shared() else { return };
    let body = "run: 'i=0; while test $i -lt 3000; do echo $i; i=$((i+1)); done; head -c 300000 /dev/zero | busybox tr \"\\0\" x'";
    let run = engine.run(&User::new(), &checkout(&one(body)), &[]);
    run.assert_success();
    let said = log(&run, "a");
    let numbers: String = (0..3000).map(|number| format!("{number}\n")).collect();
    assert!(said.starts_with(&numbers), "{said:.200}");
    assert_eq!(said.matches('x').count(), 300_000);
}

#[test]
fn time_and_memory_are_limited() {
    let Some(engine) = Engine::shared() else { return };
    let nap = nap(30);
    let began = Instant::now();
    let slow = engine.run(&User::new(), &checkout(&one(&format!("run: 'sleep {nap}', timeout: 2s"))), &[]);
    assert_eq!((slow.exit_code, &*slow.steps["a"].status), (1, "timed_out"), "{:?}", slow.steps);
    assert!(began.elapsed() < Duration::from_secs(40), "{:?}", began.elapsed());
    // It does not react to SIGTERM.
    let body = format!("run: 'trap : TERM; while true; do sleep 1; done; : {nap}', timeout: 2s");
    let deaf = engine.run(&User::new(), &checkout(&one(&body)), &[]);
    assert_eq!(&*deaf.steps["a"].status, "timed_out");
    let body = "limits: { memory: 16MiB }, run: 'head -c 200000000 /dev/zero > /dev/shm/x; x=$(cat /dev/shm/x | busybox tr \"\\0\" x); echo $?'";
    let large = engine.run(&User::new(), &checkout(&one(body)), &[]);
    assert_eq!(large.exit_code, 1, "{:?}", large.steps);
    assert!(reason(&large, "a").starts_with("out of memory: it may have 16 MiB"), "{}", reason(&large, "a"));
    let body =
        "limits: { processes: 20 }, run: 'i=0; while test $i -lt 50; do sleep 5 & i=$((i+1)); done; wait'";
    let many = engine.run(&User::new(), &checkout(&one(body)), &[]);
    assert_ne!(many.exit_code, 0);
    assert_eq!(engine.containers(&nap), 0);
}

#[test]
fn an_interrupted_run_leaves_no_container() {
    let Some(engine) = Engine::shared() else { return };
    let (user, nap) = (User::new(), nap(31));
    let checkout = checkout(&one(&format!("run: 'sleep {nap}'")));
    let arguments = ["run", "--progress", "json", "--executor", "docker"];
    let run: Running = start_command(&mut engine.command(&user, &checkout, &arguments));
    until("the step runs", || engine.containers(&nap) == 1);
    run.signal("INT");
    let output = run.output();
    assert_eq!(output.status.code(), Some(130), "{}", text(&output));
    assert_eq!(engine.containers(&nap), 0);
}

#[test]
fn what_containers_cannot_do_is_refused_before_anything_runs() {
    let Some(engine) = Engine::shared() else { return };
    let user = User::new();
    let checkout =
        checkout("cullet: 1\nsteps:\n  a: { image: 'oci-layout:app', run: 'true' }\n  b: { run: 'true' }\n");
    let refused = engine.cullet(&user, &checkout, &["run", "--executor", "docker"]);
    expect(
        &refused,
        2,
        &["cullet.yaml:4: step 'b' has no image, and Docker cannot run it", "give it an `image:`"],
    );
    assert!(!user.cache().join("images/engine").exists(), "something was done");
    // Only what is asked for counts.
    assert_eq!(engine.run(&user, &checkout, &["a"]).exit_code, 0);
}

#[test]
fn the_network_is_the_machines_only_where_that_is_asked_for() {
    let Some(engine) = Engine::shared() else { return };
    let text = |network: &str| {
        one(&format!("network: {network}, run: 'busybox ip -o link | busybox wc -l; cat /etc/hosts'"))
    };
    let none = engine.run(&User::new(), &checkout(&text("none")), &[]);
    let full = engine.run(&User::new(), &checkout(&text("full")), &[]);
    let links = std::fs::read_dir("/sys/class/net").unwrap().count();
    assert!(log(&none, "a").starts_with("1\n127.0.0.1 localhost cullet\n"), "{}", log(&none, "a"));
    assert!(log(&full, "a").starts_with(&format!("{links}\n")), "{}", log(&full, "a"));
    assert!(!log(&full, "a").contains("localhost cullet"));
}

#[test]
fn users_are_found_by_way_of_links() {
    let Some(engine) = Engine::shared() else { return };
    let checkout = checkout(&one("run: 'id -u; id -g; echo $HOME'"));
    let dir = checkout.path().join("app");
    Image::default().layout(&dir);
    let shell = layer_of_shell(&dir);
    for (name, target, user, home) in [
        ("absolute", "/usr/lib/passwd", "linked", "/far"),
        ("relative", "../usr/lib/./passwd", "linked", "/far"),
        ("of links", "/usr/elsewhere/passwd", "linked", "/far"),
        ("out of the root", "../../../../usr/lib/passwd", "linked", "/far"),
        ("nowhere", "/usr/lib/nothing", "600:601", "/"),
    ] {
        let tree = tempfile::tempdir().unwrap();
        let path = |name: &str| tree.path().join(name);
        for name in ["usr/lib", "etc"] {
            std::fs::create_dir_all(path(name)).unwrap();
        }
        std::fs::write(path("usr/lib/passwd"), "root:x:0:0::/root:/bin/sh\nlinked:x:600:601::/far:/bin/sh\n")
            .unwrap();
        symlink("lib", path("usr/elsewhere")).unwrap();
        symlink(target, path("etc/passwd")).unwrap();
        let config = json!({ "Env": ["PATH=/bin"], "User": user });
        image(&dir, architecture(), &config, &[shell.clone(), layer_of(&dir, tree.path())]);
        let run = engine.run(&User::new(), &checkout, &[]);
        run.assert_success();
        assert_eq!(log(&run, "a"), format!("600\n601\n{home}\n"), "{name}");
        let sandbox = User::new().run_with(&checkout, ["--executor", "sandbox"]);
        assert_eq!(log(&sandbox, "a"), log(&run, "a"), "{name}");
    }
}

/// A layer with a shell and no users, beside what else is in the layout.
fn layer_of_shell(dir: &Path) -> (String, u64) {
    let tree = tempfile::tempdir().unwrap();
    std::fs::create_dir(tree.path().join("bin")).unwrap();
    std::fs::copy("/bin/busybox", tree.path().join("bin/busybox")).unwrap();
    for name in ["sh", "id"] {
        symlink("busybox", tree.path().join("bin").join(name)).unwrap();
    }
    layer_of(dir, tree.path())
}

#[test]
fn limits_that_engines_do_not_have_are_said_with_the_reason() {
    let Some(engine) = Engine::shared() else { return };
    let body = "limits: { cpu: 0.5, memory: 64MiB, disk: 1GiB }, run: 'true'";
    let run = engine.run(&User::new(), &checkout(&one(body)), &[]);
    run.assert_success();
    let notes = run.events.iter().filter(|event| event["event"] == "note");
    let said: Vec<&str> =
        notes.filter_map(|note| note["text"].as_str()).filter(|text| text.contains("limits of")).collect();
    assert!(
        said.contains(&"limits of disk are not enforced on Docker: its engines limit no disk"),
        "{said:?}"
    );
    assert!(said.iter().all(|text| !text.contains("cgroup")), "{said:?}");
}
