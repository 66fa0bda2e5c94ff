//! Services of steps in containers: as in the sandbox, and gone when the step is.

use cullet_tests::{Outcome, User};

use super::engine::{Engine, checkout, in_time, log, reason};
use super::support::{nap, start_command};

const RUN: [&str; 5] = ["run", "--progress", "json", "--executor", "docker"];

/// All kinds of checks; what services see of their world is what the step's outputs have in them.
const PIPELINE: &str = r#"
cullet: 1
name: beside
images: { app: 'oci-layout:app' }
steps:
  s:
    image: app
    run: |
      busybox wget -q -O page http://web:80/index.html
      busybox nc db 5432 < /dev/null > greeting
      { cat /etc/hosts; busybox hostname; busybox ip -o link | busybox wc -l; } > world
      echo said >&2
    outputs: { all: [page, greeting, world] }
    services:
      web:
        image: app
        env: { B: two words, A: "1" }
        run: |
          busybox mkdir /tmp/w
          {
            busybox env | busybox sort; id -u; id -g; pwd; umask; busybox hostname; cat /etc/hosts /etc/resolv.conf
            ls -A /workspace; busybox stat -c '%n %F %a %u %g' /workspace /tmp . ; touch /workspace/x
            busybox grep -E 'NoNewPrivs|CapEff|CapBnd' /proc/self/status; busybox readlink /proc/self/fd/0
          } > /tmp/w/index.html
          echo serving >&2; exec busybox httpd -f -p 80 -h /tmp/w
        ready: { http: { port: 80, path: /index.html, status: 200 } }
      db:
        image: app
        run: [busybox, nc, -ll, -p, "5432", -e, echo, hello]
        ready: { exec: [sh, -c, 'touch /tmp/asked && busybox nc 127.0.0.1 5432 < /dev/null'] }
      cache: { image: app, run: 'exec busybox nc -ll -p 6379 -e cat', ready: { tcp: 6379 } }
      idle: { image: app, run: [sleep, '1000'] }
  last: { image: app, inputs: { all: s.all }, run: 'cat all/*' }
"#;

#[test]
fn services_are_what_they_are_in_the_sandbox() {
    let Some(engine) = Engine::shared() else { return };
    let checkout = checkout(PIPELINE);
    let (root, docker) = (User::new(), User::new());
    let sandbox = root.run_with(&checkout, ["--executor", "sandbox"]);
    let contained = engine.run(&docker, &checkout, &[]);
    sandbox.assert_success();
    contained.assert_success();
    assert_eq!(log(&contained, "last"), log(&sandbox, "last"), "what was seen");
    for step in ["s", "last"] {
        assert_eq!(contained.steps[step].action_digest, sandbox.steps[step].action_digest, "{step}");
    }
    assert_eq!(log(&contained, "s"), log(&sandbox, "s"));
    assert!(log(&contained, "s").contains("web | serving\n"), "{}", log(&contained, "s"));
    assert_eq!(engine.run(&root, &checkout, &[]).cached().len(), 2, "one's results are the other's");
}

/// A pipeline with a step and a service.
fn beside(step: &str, service: &str) -> cullet_tests::Checkout {
    checkout(&format!(
        "cullet: 1\nimages: {{ app: 'oci-layout:app' }}\nsteps:\n  s:\n    image: app\n    {step}\n    services:\n      \
         db: {{ image: app, {service} }}\n"
    ))
}

fn exit_code(outcome: &Outcome) -> Option<i64> {
    let finished = outcome.events.iter().find(|event| event["event"] == "step_finished");
    finished.unwrap()["exit_code"].as_i64()
}

#[test]
fn services_that_are_not_ready_are_told_as_in_the_sandbox() {
    let Some(engine) = Engine::shared() else { return };
    let sleeping = "run: 'echo FATAL: no disk >&2; exec sleep 1000'";
    for service in [
        format!("{sleeping}, ready: {{ tcp: 5432, timeout: 3s }}"),
        format!("{sleeping}, ready: {{ exec: [sh, -c, 'echo not yet; exit 3'], timeout: 3s }}"),
        "run: 'exec busybox httpd -f -p 80 -h /bin', ready: { http: { port: 80, path: /none }, timeout: 3s }"
            .to_owned(),
        "run: 'exec busybox nc -ll -p 80 -e echo SSH', ready: { http: { port: 80 }, timeout: 3s }".to_owned(),
    ] {
        let checkout = beside("run: 'echo ran'", &service);
        let sandbox = User::new().run_with(&checkout, ["--executor", "sandbox"]);
        let docker = engine.run(&User::new(), &checkout, &[]);
        let ends =
            [&sandbox, &docker].map(|run| (run.exit_code, exit_code(run), reason(run, "s").to_owned()));
        assert_eq!(ends[1], ends[0], "{service}");
        assert_eq!((ends[1].0, ends[1].1), (1, Some(125)));
        assert!(ends[1].2.starts_with("the service 'db' was not ready within 3s: "), "{}", ends[1].2);
        assert!(!log(&docker, "s").contains("ran"), "{}", log(&docker, "s"));
    }
    let checkout = beside("run: 'echo ran'", "run: [no-such-server], ready: { tcp: 1 }");
    let early = engine.run(&User::new(), &checkout, &[]);
    assert_eq!(exit_code(&early), Some(125));
    assert!(reason(&early, "s").contains("'db' ended with exit code 127 after"), "{}", reason(&early, "s"));
}

#[test]
fn a_service_that_goes_away_is_named_when_the_step_fails() {
    let Some(engine) = Engine::shared() else { return };
    let checkout = beside(
        "run: 'busybox nc db 1 < /dev/null; sleep 3; exit 4'",
        "run: 'busybox nc -l -p 1 -e true; echo PANIC; exit 7', ready: { exec: [sh, -c, 'test -d /proc/1'] }",
    );
    let run = engine.run(&User::new(), &checkout, &[]);
    assert_eq!((run.exit_code, exit_code(&run)), (1, Some(4)), "{:?}", run.steps);
    let said = "the service 'db' ended with exit code 7 while the step ran; it said: PANIC";
    assert_eq!(reason(&run, "s"), said);
}

#[test]
fn an_interrupted_run_leaves_no_service() {
    let Some(engine) = Engine::own() else { return };
    let (user, nap) = (User::new(), nap(41));
    // While it is waited for the service, and while the step runs.
    for (ready, step) in [("tcp: 5432", "true"), ("exec: ['true']", &*format!("sleep {nap}"))] {
        let checkout =
            beside(&format!("run: '{step}'"), &format!("run: 'exec sleep {nap}', ready: {{ {ready} }}"));
        let run = start_command(&mut engine.command(&user, &checkout, &RUN));
        let wanted = if step == "true" { 1 } else { 2 };
        in_time("all that runs is there", || engine.running(&nap) == wanted);
        run.signal("INT");
        let output = run.output();
        assert_eq!(output.status.code(), Some(130), "{}", super::engine::text(&output));
        assert_eq!((engine.all(), engine.volumes()), (0, 0));
    }
}

#[test]
fn services_of_a_killed_run_are_removed_by_the_next() {
    let Some(engine) = Engine::own() else { return };
    let (user, nap) = (User::new(), nap(42));
    let project = beside(
        &format!("run: 'sleep {nap}'"),
        &format!("run: 'exec sleep {nap}', ready: {{ exec: ['true'] }}"),
    );
    let run = start_command(&mut engine.command(&user, &project, &RUN));
    in_time("the step and its service run", || engine.running(&nap) == 2);
    run.kill();
    assert_eq!(engine.all(), 3, "nobody was there to remove them, nor what they share");
    project.write("cullet.yaml", "cullet: 1\nsteps: { a: { image: 'oci-layout:app', run: 'true' } }\n");
    engine.run(&user, &project, &[]).assert_success();
    assert_eq!((engine.all(), engine.volumes()), (0, 0));
}

/// Each service has what it names, for its own user and in its own variables; the step has all.
const WITH_SECRETS: &str = r#"
cullet: 1
images: { app: 'oci-layout:app' }
steps:
  s:
    image: app
    secrets: { ONE: { env: OUTER }, FROM_IMAGE: { env: OUTER, expose: env }, THREE: { env: OUTER } }
    run: 'ls /run/secrets; busybox wget -q -O page http://web:80/page'
    outputs: { page: page }
    services:
      web:
        image: app
        secrets: [FROM_IMAGE, ONE]
        run: |
          busybox mkdir /tmp/w
          {
            busybox stat -c '%n %F %a %u %g' /run/secrets/*; test "$FROM_IMAGE" = "$(cat /run/secrets/FROM_IMAGE)" && echo exposed
            busybox env | busybox grep -c ^FROM_IMAGE; if touch /run/secrets/x 2> /dev/null; then echo writable; fi
          } > /tmp/w/page
          cat /run/secrets/ONE; exec busybox httpd -f -p 80 -h /tmp/w
        ready: { exec: [sh, -c, 'test "$FROM_IMAGE" = "$(cat /run/secrets/ONE)" && busybox nc 127.0.0.1 80 < /dev/null'] }
      bare: { image: app, run: 'ls /run/secrets 2> /dev/null || exec sleep 1000' }
  last: { image: app, inputs: { page: s.page }, run: 'cat page' }
"#;

#[test]
fn services_find_their_secrets_as_in_the_sandbox() {
    let Some(engine) = Engine::own() else { return };
    let checkout = checkout(WITH_SECRETS);
    let value = super::hidden::value("outer");
    let runs = ["sandbox", "docker"].map(|executor| {
        let user = User::new();
        let mut command =
            engine.command(&user, &checkout, &["run", "--progress", "json", "--executor", executor]);
        let outcome = Outcome::of(&command.env("OUTER", &value).output().unwrap());
        outcome.assert_success();
        outcome
    });
    let [here, there] = &runs;
    assert_eq!(log(there, "last"), log(here, "last"));
    assert!(log(there, "last").contains("exposed\n1\n"), "{}", log(there, "last"));
    assert!(!log(there, "last").contains("writable") && !log(there, "last").contains("THREE"));
    // Services end in any order.
    let lines = |run: &Outcome| {
        let mut lines: Vec<String> = log(run, "s").lines().map(str::to_owned).collect();
        lines.sort();
        lines
    };
    assert_eq!(lines(there), lines(here));
    assert!(lines(there).contains(&"web | ***".to_owned()), "{:?}", lines(there));
    assert_eq!((engine.all(), engine.volumes()), (0, 0));
}
