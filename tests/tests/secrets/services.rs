//! Services that get secrets of their step.

use cullet_tests::{Checkout, Outcome, User};

use crate::made::Image;
use crate::support::{assert_clean, assert_clean_text, value};

/// One that has the secret and prints it in pieces and in several forms; one that has none.
const PIPELINE: &str = r#"
cullet: 1
name: beside
images: { i: 'oci-layout:image' }
steps:
  s:
    image: i
    run: |
      echo beside >&2
      until busybox nc db 7 < /dev/null > told; do sleep 0.05; done
      test "$(cat told)" = "$(busybox wc -c < /run/secrets/FROM_ENV)"
      head -c 9 /run/secrets/FROM_ENV >&2; sleep 0.1; busybox tail -c +10 /run/secrets/FROM_ENV >&2
    secrets: { FROM_ENV: env, EXPOSED: { env: OUTER, expose: env }, OTHER: { env: FROM_ENV } }
    services:
      db:
        image: i
        secrets: [FROM_ENV, EXPOSED]
        run: |
          ls /run/secrets; busybox stat -c '%a %u' /run/secrets/FROM_ENV
          for n in 1 2 3; do
            head -c 9 /run/secrets/FROM_ENV; sleep 0.02; busybox tail -c +10 /run/secrets/FROM_ENV; echo
            busybox base64 -w0 /run/secrets/FROM_ENV; echo; echo "$EXPOSED" >&2
          done
          test ! -e /run/secrets/OTHER && test -n "$EXPOSED" && busybox wc -c < /run/secrets/FROM_ENV > /tmp/size
          printf '#!/bin/sh\ncat /tmp/size\n' > /tmp/answer; busybox chmod +x /tmp/answer
          exec busybox nc -ll -p 7 -e /tmp/answer
        ready: { tcp: 7 }
      none:
        image: i
        run: 'test ! -e /run/secrets && test -z "${EXPOSED-}" && touch /tmp/ready; exec sleep 100'
        ready: { exec: 'test -e /tmp/ready' }
"#;

fn run(user: &User, checkout: &Checkout, arguments: &[&str]) -> std::process::Output {
    let mut command = user.command(checkout.path(), arguments.iter().copied());
    command.env("FROM_ENV", value("env")).env("OUTER", value("exposed")).env("CULLET_LOG", "trace");
    command.output().unwrap()
}

fn checkout() -> Checkout {
    let checkout = Checkout::of_pipeline(PIPELINE);
    Image::default().layout(&checkout.path().join("image"));
    checkout
}

#[test]
fn a_service_has_the_secrets_that_it_names_and_what_it_prints_is_masked() {
    let (user, checkout) = (User::new(), checkout());
    let output = run(&user, &checkout, &["run", "--progress", "json"]);
    let outcome = Outcome::of(&output);
    outcome.assert_success();
    let lines = outcome.events.iter().filter(|event| event["event"] == "step_log");
    let lines: Vec<&str> = lines.map(|line| line["text"].as_str().unwrap()).collect();
    for said in ["db | EXPOSED", "db | FROM_ENV", "db | 400 0", "db | ***"] {
        assert!(lines.contains(&said), "{said:?} is not in {lines:?}");
    }
    assert!(lines.iter().filter(|line| **line == "db | ***").count() >= 6, "{lines:?}");
    assert_clean_text(
        &String::from_utf8_lossy(&[output.stdout, output.stderr].concat()),
        &["env", "exposed"],
    );
    assert_clean(user.cache(), &["env", "exposed"], &[]);
    assert_clean(checkout.path(), &["env", "exposed"], &[]);
    // Which it gets is part of the key, and the value is not.
    assert_eq!(Outcome::of(&run(&user, &checkout, &["run", "--progress", "json"])).cached(), ["s"]);
    checkout.edit("cullet.yaml", "secrets: [FROM_ENV, EXPOSED]", "secrets: [EXPOSED, FROM_ENV, OTHER]");
    assert_eq!(Outcome::of(&run(&user, &checkout, &["run", "--progress", "json"])).executed(), ["s"]);
    let why = run(&user, &checkout, &["why", "s"]);
    let why = String::from_utf8_lossy(&why.stdout).into_owned();
    assert!(why.contains("'db': secrets") && why.contains("EXPOSED, FROM_ENV, OTHER"), "{why}");
}

#[test]
fn what_a_service_says_before_it_fails_is_masked() {
    let (user, checkout) = (User::new(), checkout());
    checkout.edit(
        "cullet.yaml",
        "exec busybox nc -ll",
        "cat /run/secrets/FROM_ENV; exit 3; exec busybox nc -ll",
    );
    let output = run(&user, &checkout, &["run", "--progress", "plain"]);
    let text = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains("the service 'db' ended with exit code 3") && text.contains("***"), "{text}");
    assert_clean_text(&text, &["env", "exposed"]);
    assert_clean(user.cache(), &["env", "exposed"], &[]);
}

#[test]
fn a_service_without_its_secret_does_not_start_anything() {
    let (user, checkout) = (User::new(), checkout());
    let mut command = user.command(checkout.path(), ["run", "--progress", "plain"]);
    let output = command.env("FROM_ENV", value("env")).output().unwrap();
    let text = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert_eq!(output.status.code(), Some(2), "{text}");
    assert!(
        text.contains("the secret `EXPOSED` cannot be had: the environment variable OUTER is not set"),
        "{text}"
    );
}
