//! The same pipeline in the sandbox, as root and as an ordinary user, and on Docker: the same keys, the same outputs.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use cullet_tests::{Outcome, User};

use super::engine::{Engine, checkout};
use super::guest::Guest;
use super::made::Image;
use super::support::{shell, skip};

/// Every output is the input of a step, so that its digest is in a key; what steps see of their world is an output.
const PIPELINE: &str = r#"
cullet: 1
name: same
sources: { text: { path: ., include: [/text, /tool] } }
images: { app: 'oci-layout:app' }
steps:
  world:
    image: app
    env: { B: two words, A: "1" }
    run: |
      busybox env | busybox sort > env
      { id -u; id -g; pwd; umask; busybox hostname; ulimit -c; ulimit -n; } > who
      cat /etc/hosts /etc/hostname /etc/resolv.conf > etc
      busybox stat -c '%n %F %a %u %g' . / /tmp /var/tmp /dev/shm > places
      busybox grep -E 'NoNewPrivs|CapEff|CapBnd' /proc/self/status > rights
      busybox readlink /proc/self/fd/0 > stdin
    outputs: { world: [env, who, etc, places, rights, stdin] }
  inputs:
    image: app
    inputs: { .: text }
    run: |
      busybox find . -exec busybox stat -c '%n %F %a %u %g %Y' {} + | busybox grep -v '^\. ' | busybox sort > /tmp/seen; cp /tmp/seen seen
      ./tool < text > made
      busybox chmod u+w text && echo more >> text
      cp text changed
    outputs: { seen: seen, made: made, changed: changed }
  tree:
    image: app
    inputs: { sub/text: inputs.changed }
    run: |
      test "$(cat sub/text)" = "$(busybox printf 'sand\nmore')"
      busybox mkdir -p d/deep/er d/empty
      echo file > d/deep/file; echo '#!/bin/sh' > d/run; busybox chmod 755 d/run
      busybox ln -s deep/file d/link; busybox ln d/deep/file d/hard
      busybox dd if=/dev/zero of=d/holes bs=1 count=1 seek=1000000 2> /dev/null
      i=0; while test $i -lt 300; do echo $i > d/deep/er/n$i; i=$((i+1)); done
      busybox chmod 0 d/deep/file d/empty; busybox chmod 500 d/deep/er
      echo out; echo err >&2
    outputs: { d: d }
  use: { image: app, inputs: { d: tree.d, w: world.world, s: inputs.seen, m: inputs.made }, run: "cat s m w/* > all", outputs: { all: all } }
  last: { image: app, inputs: { all: use.all }, run: "true" }
outputs: { all: use.all, d: tree.d, world: world.world, seen: inputs.seen }
"#;

fn project(dir: &Path) {
    Image { layers: &["one", "two"], ..Image::default() }.layout(&dir.join("app"));
    fs::write(dir.join("text"), "sand\n").unwrap();
    shell(dir, "printf '#!/bin/sh\\nbusybox tr a-z A-Z\\n' > tool; chmod 755 tool");
}

type Keys = BTreeMap<String, Option<String>>;

fn keys(outcome: &Outcome) -> Keys {
    outcome.assert_success();
    outcome.steps.iter().map(|(name, step)| (name.clone(), step.action_digest.clone())).collect()
}

#[test]
fn sandbox_of_root_sandbox_of_a_user_and_docker_agree() {
    let Some(engine) = Engine::shared() else { return };
    let Some(guest) = Guest::arrive(PIPELINE) else { return skip("only root can become somebody else") };
    let checkout = checkout(PIPELINE);
    project(checkout.path());
    let (root, docker) = (User::new(), User::new());
    let sandbox = root.run_with(&checkout, ["--executor", "sandbox", "--output", "sandbox"]);
    let contained = engine.run(&docker, &checkout, &["--output", "docker"]);
    let known = keys(&sandbox);
    shell(checkout.path(), "diff -r --no-dereference sandbox docker");
    assert_eq!(keys(&contained), known, "on Docker");
    assert_eq!((sandbox.executed().len(), contained.executed().len()), (5, 5));

    project(&guest.project());
    shell(&guest.project(), "chown -R 65532:65532 .");
    let arguments = ["run", "--progress", "json", "--executor", "sandbox", "--output", "user"];
    let user = Outcome::of(&guest.cullet(&arguments));
    shell(checkout.path(), &format!("cp -a {} user", guest.project().join("user").display()));
    shell(checkout.path(), "diff -r --no-dereference sandbox user");
    assert_eq!(keys(&user), known, "as an ordinary user");
    for other in ["docker", "user"] {
        shell(checkout.path(), &format!("diff -r --no-dereference sandbox {other}"));
        let modes = "find . -printf '%P %y %m %l\\n' | sort";
        shell(
            checkout.path(),
            &format!("(cd sandbox && {modes}) > a; (cd {other} && {modes}) > b; diff a b"),
        );
    }

    // What one has made is there for the others.
    let hit = engine.run(&root, &checkout, &[]);
    assert_eq!((hit.exit_code, hit.cached().len()), (0, 5), "{}", hit.stderr);
    let hit = docker.run_with(&checkout, ["--executor", "sandbox"]);
    assert_eq!((hit.exit_code, hit.cached().len()), (0, 5), "{}", hit.stderr);
}

#[test]
fn users_of_images_are_who_they_are_in_the_sandbox() {
    let Some(engine) = Engine::shared() else { return };
    let text = "cullet: 1\nsources: { text: { path: ., include: [/text] } }\nsteps:\n  a:\n    image: 'oci-layout:app'\n    \
                inputs: { .: text }\n    run: 'id -u > id; id -g >> id; busybox env >> id; busybox stat -c \"%u %g\" . text >> id; touch made'\n    \
                outputs: { id: id, made: made }\n  b: { image: 'oci-layout:app', inputs: { id: a.id, m: a.made }, run: cat id }\n";
    for user in ["app", "500", "app:root", "77", "12:34"] {
        let checkout = checkout(text);
        checkout.write("text", "sand\n");
        Image { user, ..Image::default() }.layout(&checkout.path().join("app"));
        let sandbox = User::new().run_with(&checkout, ["--executor", "sandbox"]);
        let docker = engine.run(&User::new(), &checkout, &[]);
        assert_eq!(super::engine::log(&docker, "b"), super::engine::log(&sandbox, "b"), "{user}");
        assert_eq!(keys(&docker), keys(&sandbox), "{user}");
    }
    let checkout = checkout(text);
    checkout.write("text", "sand\n");
    Image { user: "nobody-knows", ..Image::default() }.layout(&checkout.path().join("app"));
    let run = engine.run(&User::new(), &checkout, &[]);
    assert_eq!(run.exit_code, 3);
    assert!(super::engine::reason(&run, "a").contains("nobody-knows"), "{:?}", run.steps);
}
