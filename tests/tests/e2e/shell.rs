//! Somebody looks into a step.

pub(crate) mod person;

use cullet_tests::{Checkout, User};

use self::person::{Person, deaf};
use super::interrupt::{sleeping, wait_until};

const PIPELINE: &str = "\
cullet: 1
name: looking
steps:
  prepare:
    run: echo prepared > out
    outputs: { out: out }
  build:
    inputs: { in: prepare.out }
    caches: { /tmp/volume: volume }
    run: |
      echo half > made
      echo what went wrong
      exit 3
    outputs: { made: made }
  many:
    matrix: { n: [1, 2], m: [x, y] }
    run: 'true'
  deploy:
    effects: true
    run: 'true'
  after:
    needs: [deploy]
    run: 'true'
";

#[test]
fn a_shell_is_where_the_step_would_be() {
    let (user, checkout) = (User::new(), Checkout::of_pipeline(PIPELINE));
    let mut person = Person::starts(&user, &checkout, &["shell", "build"]);
    person.sees("a shell in the root of 'build'");
    person.types("cat in; ls; echo mine > /tmp/volume/mine; echo seen-$((6*7)); tty; exit 4\n");
    person.sees("seen-42");
    let (code, screen) = person.ends();
    assert_eq!(code, Some(0), "{screen}");
    assert!(
        screen.contains("prepared") && screen.contains("/dev/pts/") && !screen.contains("went wrong"),
        "{screen}"
    );
    // Nothing was cached for the step, and nothing of the person's is in its volume.
    let volumes = user.cullet(&checkout, ["cache", "volumes"]);
    let listed = String::from_utf8_lossy(&volumes.stdout).into_owned();
    assert!(listed.contains("volume") && listed.contains(" 0 B "), "{listed}");
    let outcome = user.run(&checkout);
    assert_eq!((outcome.steps["build"].status.as_str(), outcome.steps["prepare"].cached), ("failed", true));
}

#[test]
fn after_a_failure_a_person_finds_what_the_step_left() {
    let (user, checkout) = (User::new(), Checkout::of_pipeline(PIPELINE));
    for arguments in [&["shell", "build", "--on-failure"][..], &["run", "build", "--shell-on-failure"]] {
        let mut person = Person::starts(&user, &checkout, arguments);
        person.sees("what went wrong");
        person.sees("'build' failed. This is a shell in its root");
        person.types("cat made; sh -c 'echo seen-$((6*7)); sleep 1000'\n");
        person.sees("seen-42");
        // Ctrl-C is for what runs in the shell, not for the run.
        person.types("\x03");
        person.types("echo still-$((1+1)); exit\n");
        person.sees("still-2");
        let (code, screen) = person.ends();
        assert_eq!(code, Some(1), "{screen}");
        assert!(screen.contains("half") && screen.contains("exit code 3"), "{screen}");
    }
}

#[test]
fn a_terminal_that_goes_away_leaves_nothing_behind() {
    let (user, checkout) = (User::new(), Checkout::of_pipeline(PIPELINE));
    let nap = format!("35{:06}", std::process::id());
    let shell = user.command(checkout.path(), ["shell", "build"]);
    for shell in [&shell, &deaf(&shell)] {
        let mut person = Person::of(shell);
        person.types(&format!("trap '' HUP; echo here-$((6*7)); sleep {nap}\n"));
        person.sees("here-42");
        wait_until(|| sleeping(&nap));
        person.script.kill().unwrap();
        person.script.wait().unwrap();
        wait_until(|| !sleeping(&nap));
    }
}

#[test]
fn a_command_in_place_of_the_shell_says_how_it_went() {
    let (user, checkout) = (User::new(), Checkout::of_pipeline(PIPELINE));
    let (code, screen) = Person::starts(&user, &checkout, &["shell", "build", "--", "cat", "in"]).ends();
    assert_eq!(code, Some(0), "{screen}");
    assert!(screen.contains("prepared"), "{screen}");
    // As `cullet run` takes it.
    let (code, screen) =
        Person::starts(&user, &checkout, &["shell", "many[m=x,n=2]", "--", "echo", "among-many"]).ends();
    assert!(code == Some(0) && screen.contains("among-many"), "{screen}");
    let (code, screen) = Person::starts(&user, &checkout, &["shell", "build", "--", "false"]).ends();
    assert_eq!(code, Some(1), "{screen}");
}

#[test]
fn what_cannot_be_visited_is_refused() {
    let (user, checkout) = (User::new(), Checkout::of_pipeline(PIPELINE));
    let output = user.cullet(&checkout, ["shell", "build"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("a shell needs a terminal"), "{output:?}");
    let acting = ("after", "step 'deploy' acts on the outside world, and 'after' needs it");
    for (step, wanted) in
        [("many", "several steps"), ("many[m=y]", "several steps"), ("nothing", "nothing"), acting]
    {
        let (code, screen) = Person::starts(&user, &checkout, &["shell", step]).ends();
        assert_eq!(code, Some(2), "{screen}");
        assert!(screen.contains(wanted), "{screen}");
    }
    let arguments = ["run", "--shell-on-failure", "--cluster", "http://127.0.0.1:1"];
    assert_eq!(user.cullet(&checkout, arguments).status.code(), Some(2));
}
