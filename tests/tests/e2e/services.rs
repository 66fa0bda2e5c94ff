//! Services beside steps.

mod databases;

use std::fs;

use cullet_tests::{Checkout, Outcome, User};

use super::images::made::Image;

/// Real clients that talk to real servers, which are found by their names.
const DATABASES: &str = r#"
cullet: 1
name: databases
images: { postgres: 'oci-layout:postgres', redis: 'oci-layout:redis' }
steps:
  test:
    image: postgres
    run: |
      psql -qh db -c "create table sand (grains int)" -c "insert into sand values (41), (1)"
      psql -Ath db -c "select sum(grains) from sand" > sum
      psql -Ath db -c "select version()" > version
      redis-cli -h cache set glass "$(cat sum)"
      redis-cli -h cache get glass > glass
      redis-cli -h cache info server | grep redis_version > redis
    env: { PGUSER: postgres }
    outputs: { sum: sum, glass: glass, versions: [version, redis] }
    services:
      db:
        image: postgres
        env: { LC_ALL: C }
        ready: { exec: [pg_isready, -q, -h, 127.0.0.1, -U, postgres] }
      cache: { image: redis, ready: { tcp: 6379 } }
outputs: { sum: test.sum, glass: test.glass, versions: test.versions }
"#;

#[expect(clippy::print_stderr, reason = "whoever reads the log of the tests has to know what was not tried")]
fn skip(why: &str) {
    eprintln!("skipped: {why}");
}

fn reason<'a>(outcome: &'a Outcome, step: &str) -> &'a str {
    outcome.steps[step].reason.as_deref().unwrap_or_default()
}

/// What was printed while a step ran, on standard error.
fn log(outcome: &Outcome, step: &str) -> Vec<String> {
    let lines = outcome.events.iter().filter(|event| event["event"] == "step_log" && event["step"] == step);
    lines
        .filter(|line| line["stream"] == "stderr")
        .map(|line| line["text"].as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn a_step_has_a_real_postgresql_and_a_real_redis_beside_it() {
    let (user, checkout) = (User::new(), Checkout::of_pipeline(DATABASES));
    if !databases::databases(checkout.path()) {
        return;
    }
    let first = user.run_with(&checkout, ["--output", "out"]);
    first.assert_success();
    let made = |name: &str| fs::read_to_string(checkout.path().join("out").join(name)).unwrap();
    assert_eq!((made("sum").as_str(), made("glass").as_str()), ("42\n", "42\n"));
    assert!(made("versions/version").starts_with("PostgreSQL "), "{}", made("versions/version"));
    assert!(made("versions/redis").starts_with("redis_version:"), "{}", made("versions/redis"));
    let said = log(&first, "test");
    let says = |start: &str, end: &str| said.iter().any(|line| line.starts_with(start) && line.contains(end));
    assert!(says("db | ", "database system is ready to accept connections"), "{said:?}");
    assert!(says("cache | ", "Ready to accept connections"), "{said:?}");
    assert_eq!(user.run(&checkout).cached(), ["test"]);
    checkout.edit("cullet.yaml", "env: { LC_ALL: C }", "env: { LC_ALL: C.UTF-8 }");
    assert_eq!(user.run(&checkout).executed(), ["test"], "another environment of a service is another key");
    let why = user.cullet(&checkout, ["why", "test"]);
    let said = "service 'db': variable LC_ALL changed: 'C' -> 'C.UTF-8'";
    assert!(String::from_utf8_lossy(&why.stdout).contains(said), "{why:?}");
    let left: Vec<_> = fs::read_dir(user.cache().join("work")).unwrap().flatten().collect();
    assert!(left.is_empty(), "{left:?}");
}

/// A pipeline with one step that has one service in an image with a shell, and that image.
fn checkout(step: &str, service: &str) -> Checkout {
    let text = format!(
        "cullet: 1\nname: beside\nimages: {{ app: 'oci-layout:app' }}\nsteps:\n  s:\n    {step}\n    services:\n      \
         db: {{ image: app, {service} }}\n"
    );
    let checkout = Checkout::of_pipeline(&text);
    Image::default().layout(&checkout.path().join("app"));
    checkout
}

#[test]
fn a_service_that_is_never_ready_fails_the_step_and_says_why() {
    let service = "run: 'echo FATAL: no disk >&2; exec sleep 1000', ready: { tcp: 5432, timeout: 500ms }";
    let (user, checkout) = (User::new(), checkout("run: 'echo ran'", service));
    let run = user.run(&checkout);
    assert_eq!((run.exit_code, run.steps["s"].status.as_str()), (1, "failed"), "{}", run.stderr);
    let said = "the service 'db' was not ready within 500ms: nothing listens at port 5432; the service said: FATAL: no disk";
    assert_eq!(reason(&run, "s"), said);
    assert_eq!(log(&run, "s"), ["db | FATAL: no disk"]);
    let finished = run.events.iter().find(|event| event["event"] == "step_finished").unwrap();
    assert_eq!(finished["exit_code"], 125);
    assert_eq!(user.run(&checkout).executed(), ["s"], "no failure is remembered");
    let shown = user.cullet(&checkout, ["run", "--progress", "plain"]);
    assert!(String::from_utf8_lossy(&shown.stdout).contains(said), "{shown:?}");
    let logs = user.cullet(&checkout, ["logs", "s"]);
    assert!(String::from_utf8_lossy(&logs.stdout).contains("db | FATAL: no disk"), "{logs:?}");
}

#[test]
fn a_service_that_goes_away_is_named_when_the_step_fails() {
    let (user, checkout) =
        (User::new(), checkout("run: 'sleep 4; exit 3'", "run: 'sleep 2; echo PANIC; exit 7'"));
    let run = user.run(&checkout);
    assert_eq!(run.exit_code, 1, "{}", run.stderr);
    let said = "the service 'db' ended with exit code 7 while the step ran; it said: PANIC";
    assert_eq!(reason(&run, "s"), said);
    checkout.edit("cullet.yaml", "exit 3", "exit 0");
    let fine = user.run(&checkout);
    fine.assert_success();
    assert!(log(&fine, "s").contains(&"db | cullet: the service ended with exit code 7".to_owned()));
    assert_eq!(user.run(&checkout).cached(), ["s"], "the step did what it had to");
}

#[test]
fn what_cannot_have_services_is_refused_before_anything_runs() {
    let (user, plain) = (User::new(), checkout("run: 'echo ran'", "run: 'sleep 1000'"));
    let refused = user.run_with(&plain, ["--executor", "plain"]);
    assert_eq!((refused.exit_code, refused.events.len()), (2, 0));
    let said = "step 's': the image 'oci-layout:app' cannot be used by the plain executor: its steps have the machine's files and no services";
    assert!(refused.stderr.contains(said) && refused.stderr.contains("cullet.yaml:5"), "{}", refused.stderr);
    let open = checkout("run: 'echo ran'\n    network: full", "run: 'sleep 1000'");
    let refused = user.run(&open);
    assert_eq!(refused.exit_code, 2);
    assert!(
        refused.stderr.contains("a step with services cannot have `network: full`"),
        "{}",
        refused.stderr
    );
    let absent = checkout("run: 'echo ran'", "run: 'sleep 1000'");
    fs::remove_dir_all(absent.path().join("app")).unwrap();
    let refused = user.run(&absent);
    assert_eq!(refused.exit_code, 2);
    assert!(refused.stderr.contains("cannot resolve the image oci-layout:app"), "{}", refused.stderr);
}
