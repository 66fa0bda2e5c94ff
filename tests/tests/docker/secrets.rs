//! Secrets of steps in containers: as in the sandbox, and on no disk.

use std::fs;
use std::os::unix::fs::MetadataExt as _;

use cullet_tests::{Checkout, Outcome, User};

use super::engine::{Engine, checkout, in_time, log, reason};
use super::hidden::{MARK, assert_clean, assert_clean_text, value};
use super::made::Image;
use super::support::{nap, start_command};

const RUN: [&str; 5] = ["run", "--progress", "json", "--executor", "docker"];

const PLACES: [&str; 2] = ["file", "exposed"];

/// A step that prints what it must not, and then does something else.
fn project(then: &str) -> Checkout {
    let project = checkout(&format!(
        r#"
cullet: 1
steps:
  s:
    image: 'oci-layout:app'
    secrets:
      FROM_FILE: {{ file: secret.txt }}
      EXPOSED: {{ env: OUTER, expose: env }}
    run: |
      cat /run/secrets/FROM_FILE; busybox env | busybox sort; busybox base64 /run/secrets/FROM_FILE
      busybox stat -c '%n %F %a %u %g' /run/secrets/* > o; busybox stat -c %a /run/secrets >> o
      test "$EXPOSED" = "$(cat /run/secrets/EXPOSED)" && echo exposed >> o
      if touch /run/secrets/x 2> /dev/null; then echo writable >> o; fi
      ls -A /run/secrets >> o; busybox wc -c < /run/secrets/FROM_FILE >> o; ulimit -c >> o
      {then}
    outputs: {{ o: o }}
  last: {{ image: 'oci-layout:app', inputs: {{ o: s.o }}, run: 'cat o' }}
"#
    ));
    project.write("secret.txt", &format!("{}\n", value("file")));
    project
}

fn docker(engine: &Engine, user: &User, project: &Checkout) -> std::process::Command {
    let mut command = engine.command(user, project, &RUN);
    command.env("OUTER", value("exposed"));
    command
}

fn sandbox(user: &User, project: &Checkout) -> Outcome {
    let mut command = user.command(project.path(), ["run", "--progress", "json", "--executor", "sandbox"]);
    Outcome::of(&command.env("OUTER", value("exposed")).output().unwrap())
}

/// Fails where a value is on the disk on which the engine has its files. What it has mounted there is not looked into: among
/// that is the memory in which the values are.
fn assert_not_on_disk(engine: &Engine) {
    let device = fs::metadata(engine.dir()).unwrap().dev();
    let (mut pending, mut files) = (vec![engine.dir().to_owned()], 0);
    while let Some(dir) = pending.pop() {
        for entry in fs::read_dir(&dir).into_iter().flatten().flatten() {
            let path = entry.path();
            let Ok(found) = path.symlink_metadata() else { continue };
            if found.dev() != device {
                continue;
            }
            if found.is_dir() {
                pending.push(path);
            } else if found.is_file() {
                files += 1;
                let bytes = fs::read(&path).unwrap_or_default();
                let mark = format!("{MARK}/");
                let is_in = bytes.windows(mark.len()).any(|window| window == mark.as_bytes());
                assert!(!is_in, "a value is in {}", path.display());
            }
        }
    }
    assert!(files > 20, "there is little in {}", engine.dir().display());
}

fn assert_nothing_kept(user: &User, project: &Checkout) {
    assert_clean(user.cache(), &PLACES, &[]);
    assert_clean(project.path(), &PLACES, &["secret.txt"]);
}

#[test]
fn values_are_where_the_step_looks_and_nowhere_else() {
    let Some(engine) = Engine::own() else { return };
    let (user, nap) = (User::new(), nap(43));
    let project = project(&format!("sleep {nap}"));
    let run = start_command(&mut docker(&engine, &user, &project));
    in_time("the step sleeps", || {
        let told = engine.inspected();
        assert_clean_text(&told, &PLACES);
        told.contains(&format!("\"sleep {nap}\""))
    });
    assert_not_on_disk(&engine);
    assert_nothing_kept(&user, &project);
    run.signal("INT");
    let output = run.output();
    assert_eq!(output.status.code(), Some(130), "{}", super::engine::text(&output));
    assert_clean_text(&super::engine::text(&output), &PLACES);
    assert!(super::engine::text(&output).contains("***"));
    assert_eq!((engine.all(), engine.volumes()), (0, 0));
    assert_not_on_disk(&engine);
    assert_nothing_kept(&user, &project);
}

#[test]
fn steps_find_them_as_in_the_sandbox() {
    let Some(engine) = Engine::shared() else { return };
    for name in ["", "app"] {
        let project = project("true");
        Image { user: name, ..Image::default() }.layout(&project.path().join("app"));
        let (root, other) = (User::new(), User::new());
        let here = sandbox(&root, &project);
        let there = Outcome::of(&docker(&engine, &other, &project).output().unwrap());
        here.assert_success();
        there.assert_success();
        assert_eq!(log(&there, "last"), log(&here, "last"));
        assert!(log(&there, "last").contains("exposed\n") && !log(&there, "last").contains("writable"));
        assert_eq!(log(&there, "s"), log(&here, "s"), "and masked alike");
        assert_eq!(there.steps["last"].action_digest, here.steps["last"].action_digest);
        let warnings = there.events.iter().filter(|event| {
            event["event"] == "note"
                && event["text"].as_str().is_some_and(|text| text.contains("secrets of steps are in"))
        });
        assert_eq!(warnings.count(), 1, "it is said once");
        assert_nothing_kept(&other, &project);
    }
}

#[test]
fn they_take_the_place_of_variables_of_the_image() {
    let Some(engine) = Engine::shared() else { return };
    let project = checkout(
        "cullet: 1\nsteps:\n  s:\n    image: 'oci-layout:app'\n    secrets:\n      FROM_IMAGE: { env: OUTER, expose: env }\n      \
         HOME: { env: OUTER, expose: env }\n    run: 'busybox env | busybox sort; test \"$FROM_IMAGE$HOME\" = \"$(cat \
         /run/secrets/FROM_IMAGE)$(cat /run/secrets/HOME)\"'\n",
    );
    let there = Outcome::of(&docker(&engine, &User::new(), &project).output().unwrap());
    let here = sandbox(&User::new(), &project);
    there.assert_success();
    assert_eq!(log(&there, "s"), log(&here, "s"));
    assert!(log(&there, "s").contains("FROM_IMAGE=***\nHOME=***\n"), "{}", log(&there, "s"));
}

#[test]
fn outputs_with_a_value_are_not_kept() {
    let Some(engine) = Engine::shared() else { return };
    let (user, project) = (User::new(), project("cat /run/secrets/EXPOSED >> o"));
    let there = Outcome::of(&docker(&engine, &user, &project).output().unwrap());
    let here = sandbox(&User::new(), &project);
    assert_eq!((there.exit_code, reason(&there, "s")), (1, reason(&here, "s")));
    assert!(reason(&there, "s").contains("EXPOSED"), "{}", reason(&there, "s"));
    assert_nothing_kept(&user, &project);
}

#[test]
fn programs_that_cannot_be_run_end_as_without_secrets() {
    let Some(engine) = Engine::shared() else { return };
    let text = |run: &str| {
        format!(
            "cullet: 1\nsteps:\n  s: {{ image: 'oci-layout:app', run: {run}, secrets: {{ A: {{ env: OUTER, expose: env }} }} }}\n"
        )
    };
    for (run, code) in [
        ("[nothing-like-this]", 127),
        ("[/etc/passwd]", 126),
        ("[./no/prog]", 127),
        ("[sh, -c, 'exit 9']", 9),
    ] {
        let project = checkout(&text(run));
        let there = Outcome::of(&docker(&engine, &User::new(), &project).output().unwrap());
        let here = sandbox(&User::new(), &project);
        assert_eq!(log(&there, "s"), log(&here, "s"), "{run}");
        for run in [&there, &here] {
            let finished = run.events.iter().find(|event| event["event"] == "step_finished").unwrap();
            assert_eq!(finished["exit_code"], code, "{run:?}");
        }
    }
}

#[test]
fn a_killed_run_leaves_no_value() {
    let Some(engine) = Engine::own() else { return };
    let (user, nap) = (User::new(), nap(44));
    let sleeping = project(&format!("sleep {nap}"));
    let run = start_command(&mut docker(&engine, &user, &sleeping));
    in_time("the step sleeps", || engine.running(&nap) == 1);
    run.kill();
    assert_not_on_disk(&engine);
    let next = checkout("cullet: 1\nsteps: { a: { image: 'oci-layout:app', run: 'true' } }\n");
    engine.run(&user, &next, &[]).assert_success();
    assert_eq!((engine.all(), engine.volumes()), (0, 0));
    assert_not_on_disk(&engine);
    assert_nothing_kept(&user, &sleeping);
}
