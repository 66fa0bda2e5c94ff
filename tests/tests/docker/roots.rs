//! Steps in containers that continue each other's roots: the same layers as in the sandbox, to the byte.

use std::path::Path;

use cullet_tests::{Checkout, Outcome, User};

use super::engine::{Engine, checkout, log, reason};
use super::made::Image;
use super::support::shell;

const PIPELINE: &str = r#"
cullet: 1
name: roots
sources: { text: { path: ., include: [/text] } }
images: { base: 'oci-layout:app' }
steps:
  install:
    image: base
    run: |
      busybox mkdir -p /opt/app/old/deep /opt/app/emptied /opt/other /srv/moved/in
      echo tool > /opt/app/tool; busybox chmod 4755 /opt/app/tool
      busybox ln /opt/app/tool /opt/app/also; busybox ln /opt/app/tool /opt/aaa
      busybox ln -s /opt/app/tool /opt/link; busybox ln -s nowhere /opt/app-link
      busybox chown 7:8 /opt/app/old; busybox chmod 2750 /opt/other
      busybox rm /layer
      echo private > /opt/app/old/private; busybox chmod 0 /opt/app/old/private
      echo deep > /opt/app/old/deep/file; echo gone > /opt/app/emptied/a; echo gone > /opt/app/emptied/b
      echo inner > /srv/moved/in/file; echo beside > /srv/moved/beside
      echo lost > /tmp/lost; echo lost > /var/tmp/lost; echo lost > lost
      busybox mkfifo /opt/pipe
      busybox chown 5:6 /etc
  build:
    from: install
    inputs: { .: text }
    run: |
      test ! -e /layer; test ! -e /tmp/lost; test ! -e lost; test ! -e /opt/pipe
      test "$(busybox stat -c %a:%h /opt/app/tool)" = 4755:3
      test "$(busybox stat -c %u:%g /opt/app/old /etc | busybox xargs echo)" = "7:8 5:6"
      cat /opt/app/tool text > /opt/app/built
      busybox rm -r /opt/app/old; busybox mkdir /opt/app/old; echo new > /opt/app/old/new
      busybox rm /opt/app/emptied/a; busybox rm /opt/app/also
      busybox chown 9:9 /opt/other
      busybox mkdir -p /usr/lib/new/below; echo x > /usr/lib/new/below/x
      touch built
    outputs: { image: rootfs, built: built }
  move:
    from: build
    run: |
      busybox mv /srv/moved /srv/there; busybox rm /srv/there/beside
      test "$(cat /srv/there/in/file)" = inner
    outputs: { image: rootfs }
  test:
    from: move
    run: |
      test "$(cat /opt/app/built /opt/app/old/new)" = "$(busybox printf 'tool\nsand\nnew')"
      test ! -e /opt/app/old/private; test ! -e /opt/app/old/deep; test ! -e /layer; test ! -e /opt/app/also
      test "$(busybox ls /opt/app/emptied)" = b
      test ! -e /srv/moved; test ! -e /srv/there/beside
      test "$(busybox stat -c %u:%g:%a /opt/other)" = 9:9:2750
      test "$(cat /srv/there/in/file /usr/lib/new/below/x)" = "$(busybox printf 'inner\nx')"
      echo tested
outputs: { app: build.image, moved: move.image }
"#;

fn project(text: &str) -> Checkout {
    let checkout = checkout(text);
    checkout.write("text", "sand\n");
    checkout
}

fn keys(outcome: &Outcome) -> Vec<(String, Option<String>)> {
    outcome.assert_success();
    outcome.steps.iter().map(|(name, step)| (name.clone(), step.action_digest.clone())).collect()
}

/// The layers of an image, by their digests, and what is in them.
fn contents(dir: &Path, image: &str) -> String {
    let list = format!(
        "for layer in $(python3 -c 'import json,sys; i=json.load(open(\"{image}/index.json\")); \
         p=lambda d: json.load(open(\"{image}/blobs/\"+d.replace(\":\",\"/\"))); \
         print(*[l[\"digest\"].replace(\":\",\"/\") for l in p(i[\"manifests\"][0][\"digest\"])[\"layers\"]])'); \
         do echo $layer; tar tvf {image}/blobs/$layer; done"
    );
    let output = std::process::Command::new("sh").args(["-c", &list]).current_dir(dir).output().unwrap();
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

#[test]
fn roots_in_containers_are_those_of_the_sandbox() {
    let Some(engine) = Engine::own() else { return };
    let project = project(PIPELINE);
    let (user, contained) = (User::new(), User::new());
    let sandbox = user.run_with(&project, ["--executor", "sandbox", "--output", "sandbox"]);
    let docker = engine.run(&contained, &project, &["--output", "docker"]);
    let said = |dir: &str| contents(&project.path().join(dir), "moved");
    docker.assert_success();
    assert_eq!(said("docker"), said("sandbox"));
    assert_eq!(keys(&docker), keys(&sandbox));
    shell(project.path(), "diff -r --no-dereference sandbox docker");
    assert_eq!(docker.executed().len(), 4);
    assert_eq!(log(&docker, "test"), "tested\n");
    // What one has made is there for the other to go on with.
    project.edit("cullet.yaml", "echo tested", "echo tested again");
    for (outcome, what) in [
        (engine.run(&user, &project, &[]), "on Docker above the sandbox"),
        (contained.run_with(&project, ["--executor", "sandbox"]), "in the sandbox above Docker"),
    ] {
        outcome.assert_success();
        assert_eq!(outcome.executed(), ["test"], "{what}");
    }
    // Nothing is left in the engine but images.
    assert_eq!((engine.containers(""), engine.volumes()), (0, 0));
}

#[test]
fn a_root_that_is_lost_is_made_again_in_containers() {
    let Some(engine) = Engine::own() else { return };
    let text = "cullet: 1\nsteps:\n  a: { image: 'oci-layout:app', run: 'echo from-a > /srv-a' }\n  \
                b: { from: a, run: 'cat /srv-a; echo 1' }\n";
    let (user, project) = (User::new(), checkout(text));
    let first = engine.run(&user, &project, &[]);
    first.assert_success();
    assert_eq!(log(&first, "b"), "from-a\n1\n");
    // The archive is gone and so is the image that was made of it.
    shell(
        user.cache(),
        "n=0; for f in $(find . -type f -size +1k); do if tar tf $f 2>/dev/null | grep -q '^srv-a$'; then rm $f; n=$((n+1)); fi; done; test $n -ge 1",
    );
    for image in engine.images() {
        engine.delete(&format!("images/{image}"));
    }
    project.edit("cullet.yaml", "echo 1", "echo 2");
    let again = engine.run(&user, &project, &[]);
    again.assert_success();
    assert_eq!((again.executed(), log(&again, "b")), (vec!["a", "b"], "from-a\n2\n".to_owned()));
}

#[test]
fn what_no_layer_can_hold_is_said_as_in_the_sandbox() {
    let Some(engine) = Engine::shared() else { return };
    let text = "cullet: 1\nsteps:\n  a: { image: 'oci-layout:app', run: 'echo > /.wh.x' }\n  b: { from: a, run: 'true' }\n";
    let project = checkout(text);
    let docker = engine.run(&User::new(), &project, &[]);
    let sandbox = User::new().run_with(&project, ["--executor", "sandbox"]);
    assert_eq!((docker.exit_code, sandbox.exit_code), (1, 1), "{}", docker.stderr);
    assert_eq!(reason(&docker, "a"), reason(&sandbox, "a"));
    assert!(reason(&docker, "a").contains(".wh."), "{}", reason(&docker, "a"));
}

#[test]
fn roots_of_steps_with_secrets_are_those_of_the_sandbox() {
    let Some(engine) = Engine::shared() else { return };
    let text = "cullet: 1\nname: signed\nsteps:\n  quiet:\n    image: 'oci-layout:app'\n    secrets: { TOKEN: { file: secret.txt } }\n    \
                run: 'test -s /run/secrets/TOKEN; echo made > /made'\n    outputs: { image: rootfs }\n  \
                busy:\n    from: quiet\n    secrets: { TOKEN: { file: secret.txt } }\n    \
                run: 'test -s /run/secrets/TOKEN; echo more > /run/more'\n    outputs: { image: rootfs }\n  \
                last: { from: busy, run: 'cat /made /run/more; ls -A /run' }\n\
                outputs: { quiet: quiet.image, busy: busy.image }\n";
    // Images without /run, with one, and with one that has a place for secrets already.
    for owned in [&[][..], &["run"], &["run", "run/secrets"]] {
        let project = checkout(text);
        project.write("secret.txt", "open-sesame\n");
        Image { owned, ..Image::default() }.layout(&project.path().join("app"));
        let sandbox = User::new().run_with(&project, ["--executor", "sandbox", "--output", "sandbox"]);
        let docker = engine.run(&User::new(), &project, &["--output", "docker"]);
        docker.assert_success();
        for image in ["quiet", "busy"] {
            let said = |dir: &str| contents(&project.path().join(dir), image);
            assert_eq!(said("docker"), said("sandbox"), "{owned:?}");
        }
        assert_eq!(keys(&docker), keys(&sandbox), "{owned:?}");
        let there = if owned.len() > 1 { "more\nsecrets\n" } else { "more\n" };
        assert_eq!(log(&docker, "last"), format!("made\nmore\n{there}"));
        assert_eq!(log(&sandbox, "last"), log(&docker, "last"));
    }
}

#[test]
fn roots_and_caches_have_nothing_of_each_other() {
    let Some(engine) = Engine::shared() else { return };
    let text = "cullet: 1\nname: both\nsteps:\n  a:\n    image: 'oci-layout:app'\n    caches: { /var/cache/made: c }\n    \
                run: 'echo cached > /var/cache/made/f; echo kept > /kept'\n    outputs: { image: rootfs }\n  \
                b: { from: a, run: 'cat /kept; test ! -e /var/cache/made/f' }\noutputs: { app: a.image }\n";
    let project = checkout(text);
    let sandbox = User::new().run_with(&project, ["--executor", "sandbox", "--output", "sandbox"]);
    let docker = engine.run(&User::new(), &project, &["--output", "docker"]);
    docker.assert_success();
    let said = |dir: &str| contents(&project.path().join(dir), "app");
    assert_eq!(said("docker"), said("sandbox"));
    assert_eq!(keys(&docker), keys(&sandbox));
}
