//! Somebody looks into a step in a container.

use cullet_tests::{Checkout, User};

use super::engine::{Engine, checkout};
use super::person::{Person, deaf};

const PIPELINE: &str = r#"
cullet: 1
steps:
  prepare: { image: 'oci-layout:app', run: 'echo prepared > out', outputs: { out: out } }
  build:
    image: 'oci-layout:app'
    inputs: { in: prepare.out }
    env: { DECLARED: "yes" }
    secrets: { TOKEN: { file: secret.txt, expose: env } }
    services: { db: { image: 'oci-layout:app', run: 'exec busybox nc -ll -p 5432 -e echo served', ready: { tcp: 5432 } } }
    run: |
      echo half > made; echo temporary > /tmp/left
      echo what went wrong
      exit 3
    outputs: { made: made }
"#;

fn project() -> Checkout {
    let checkout = checkout(PIPELINE);
    checkout.write("secret.txt", "open-sesame\n");
    checkout
}

fn person(engine: &Engine, user: &User, project: &Checkout, arguments: &[&str]) -> Person {
    Person::of(&engine.command(user, project, arguments))
}

#[test]
fn a_shell_is_where_the_step_would_be() {
    let Some(engine) = Engine::own() else { return };
    let (user, project) = (User::new(), project());
    let mut person = person(&engine, &user, &project, &["shell", "build", "--executor", "docker"]);
    person.sees("a shell in the root of 'build'");
    person.types("cat in; busybox nc db 5432 < /dev/null; echo $DECLARED-$TERM-$FROM_IMAGE; busybox tty; busybox pwd\n");
    person.types("test \"$TOKEN\" = \"$(cat /run/secrets/TOKEN)\" && echo same-$((6*7)); sleep 1000\n");
    person.sees("same-42");
    // Ctrl-C is for what runs in the shell, not for the run.
    person.types("\x03");
    person.types("echo still-$((1+1)); exit 4\n");
    person.sees("still-2");
    let (code, screen) = person.ends();
    assert_eq!(code, Some(0), "{screen}");
    for seen in ["prepared", "served", "yes-xterm-yes", "/dev/pts/", "/workspace"] {
        assert!(screen.contains(seen), "no {seen} in {screen}");
    }
    assert!(!screen.contains("what went wrong"), "{screen}");
    assert_eq!((engine.all(), engine.volumes()), (0, 0));
}

#[test]
fn after_a_failure_a_person_finds_what_the_step_left() {
    let Some(engine) = Engine::shared() else { return };
    let (user, project) = (User::new(), project());
    let arguments = ["run", "build", "--executor", "docker", "--shell-on-failure"];
    let mut person = person(&engine, &user, &project, &arguments);
    person.sees("what went wrong");
    person.sees("'build' failed. This is a shell in its root");
    person.types("cat made /tmp/left in; echo seen-$((6*7)); exit\n");
    person.sees("seen-42");
    let (code, screen) = person.ends();
    assert_eq!(code, Some(1), "{screen}");
    for seen in ["half", "temporary", "prepared", "exit code 3"] {
        assert!(screen.contains(seen), "no {seen} in {screen}");
    }
}

#[test]
fn a_command_in_place_of_the_shell_says_how_it_went() {
    let Some(engine) = Engine::shared() else { return };
    let (user, project) = (User::new(), project());
    for (command, code) in [(&["cat", "in"][..], 0), (&["sh", "-c", "exit 9"], 1), (&["no-such-program"], 1)]
    {
        let arguments = [&["shell", "build", "--executor", "docker", "--"], command].concat();
        let (ended, screen) = person(&engine, &user, &project, &arguments).ends();
        assert_eq!(ended, Some(code), "{screen}");
    }
}

#[test]
fn who_leaves_the_terminal_leaves_nothing_behind() {
    let Some(engine) = Engine::own() else { return };
    let (user, project) = (User::new(), project());
    let shell = engine.command(&user, &project, &["shell", "build", "--executor", "docker"]);
    for shell in [&shell, &deaf(&shell)] {
        let mut person = Person::of(shell);
        person.types("trap '' HUP; echo here-$((6*7)); sleep 1000\n");
        person.sees("here-42");
        person.script.kill().unwrap();
        person.script.wait().unwrap();
        super::engine::in_time("all containers are gone", || engine.all() == 0);
        assert_eq!(engine.volumes(), 0);
    }
}
