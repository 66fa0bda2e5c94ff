//! Cache volumes of steps in containers: shared with the sandbox, and worth no step.

use cullet_tests::{Outcome, User};

use super::engine::{Engine, checkout, log};
use super::made::Image;

fn notes(outcome: &Outcome) -> Vec<&str> {
    let notes = outcome.events.iter().filter(|event| event["event"] == "note" && event["kind"] == "cache");
    notes.filter_map(|event| event["text"].as_str()).collect()
}

/// A step in an image, with a volume at a place.
fn one(place: &str, run: &str) -> String {
    format!(
        "cullet: 1\nname: caches\nparams: {{ n: 0 }}\nsteps:\n  a:\n    image: 'oci-layout:app'\n    caches: {{ {place}: v }}\n    \
         run: |\n      : ${{{{ params.n }}}}\n      {}\n",
        run.replace('\n', "\n      ")
    )
}

#[test]
fn the_sandbox_and_docker_share_what_a_step_wrote() {
    let Some(engine) = Engine::shared() else { return };
    let user = User::new();
    let count = "echo x >> /tmp/c/times\nbusybox wc -l < /tmp/c/times";
    let project = checkout(&one("/tmp/c", count));
    let docker = |n: &str| engine.run(&user, &project, &["--param", n]);
    let sandbox = |n: &str| user.run_with(&project, ["--executor", "sandbox", "--param", n]);
    for (n, outcome) in
        [docker("n=1"), sandbox("n=2"), docker("n=3"), docker("n=4"), sandbox("n=5")].into_iter().enumerate()
    {
        outcome.assert_success();
        assert_eq!((log(&outcome, "a"), notes(&outcome)), (format!("{}\n", n + 1), vec![]));
    }
    // A step that fails leaves nothing.
    project.edit("cullet.yaml", "busybox wc", "false; busybox wc");
    assert_eq!(docker("n=6").exit_code, 1);
    project.edit("cullet.yaml", "false; busybox wc", "busybox wc");
    assert_eq!(log(&docker("n=7"), "a"), "6\n");
}

#[test]
fn all_that_can_change_in_a_volume_is_kept() {
    let Some(engine) = Engine::shared() else { return };
    let user = User::new();
    let first = "cd /c; busybox mkdir -p d/deep gone empty; echo one > d/deep/f; echo two > d/g; echo three > gone/x\n\
                 busybox ln d/g d/h; busybox ln -s d/g l; echo same > same; busybox touch -d 200102030405 same d/g; busybox chmod 750 d; \
                 echo abcd > fixed; busybox touch -d 200102030405 fixed; echo file > kind";
    let second = "cd /c; busybox rm -r gone; echo more >> d/deep/f; busybox rm l; busybox ln -s same l; busybox rm kind; busybox mkdir kind; \
                  echo in > kind/in; echo abce > fixed; busybox touch -d 200102030405 fixed; busybox chmod 600 same; busybox mkdir new";
    let look = "cd /c; busybox find . | busybox sort | while read -r n; do busybox stat -c '%n %F %a' $n; test ! -f $n || cat $n; done; \
                busybox readlink l; busybox stat -c %Y same fixed d/g";
    let seen: Vec<String> = ["docker", "sandbox"]
        .into_iter()
        .map(|writer| {
            let project = checkout(&one("/c", first).replace("name: caches", &format!("name: {writer}")));
            let run = |text: &str, executor: &str| {
                project.write(
                    "cullet.yaml",
                    &one("/c", text).replace("name: caches", &format!("name: {writer}")),
                );
                let outcome = match executor {
                    "docker" => engine.run(&user, &project, &["--no-cache"]),
                    _ => user.run_with(&project, ["--executor", executor, "--no-cache"]),
                };
                outcome.assert_success();
                assert_eq!(notes(&outcome), Vec::<&str>::new());
                log(&outcome, "a")
            };
            run(first, writer);
            run(second, writer);
            let (one, other) = (run(look, "docker"), run(look, "sandbox"));
            assert_eq!(one, other, "written by {writer}");
            one
        })
        .collect();
    assert_eq!(seen[0], seen[1]);
    assert!(seen[0].contains("./fixed regular file 644\nabce\n"), "{}", seen[0]);
    assert!(!seen[0].contains("gone") && seen[0].contains("./kind/in"), "{}", seen[0]);
    // Whoever only looks makes no other version.
    let list = engine.cullet(&user, &checkout(&one("/c", look)), &["cache", "volumes", "--format", "json"]);
    let list = String::from_utf8_lossy(&list.stdout).into_owned();
    assert_eq!(list.matches("\"layers\":2").count(), 2, "{list}");
}

#[test]
fn volumes_in_the_workspace_are_none_of_its_files() {
    let Some(engine) = Engine::shared() else { return };
    let text = "cullet: 1\nname: within\nsources: { s: { path: src } }\nsteps:\n  a:\n    image: 'oci-layout:app'\n    inputs: { .: s }\n    \
                caches: { /workspace/out/cache: v }\n    \
                run: 'id -u >> out/cache/f; cat in >> out/result; test ! -e out/cache/input'\n    outputs: { all: '**' }\noutputs: { all: a.all }\n";
    let project = checkout(text);
    for (path, content) in [("src/in", "in\n"), ("src/out/cache/input", "hidden\n")] {
        project.write(path, content);
    }
    Image { user: "app", ..Image::default() }.layout(&project.path().join("app"));
    let user = User::new();
    for _ in 0..2 {
        let docker = engine.run(&user, &project, &["--no-cache", "--output", "docker"]);
        docker.assert_success();
        assert_eq!(notes(&docker), Vec::<&str>::new());
    }
    assert!(project.path().join("docker/all/out/result").exists());
    assert!(!project.path().join("docker/all/out/cache/f").exists());
}

#[test]
fn a_volume_that_cannot_be_had_or_kept_costs_a_note() {
    let Some(engine) = Engine::shared() else { return };
    let user = User::new();
    let project =
        checkout(&one("/c", "head -c 3000000 /dev/zero | busybox tr '\\0' x > /c/f; busybox ls /c"));
    let large = engine.run(&user, &project, &["--volume-size", "1MB"]);
    large.assert_success();
    assert!(notes(&large).len() == 1 && notes(&large)[0].contains("more than"), "{:?}", notes(&large));
    // There is a file in its place, and the step sees that.
    let project = checkout(&one("/layer", "cat /layer"));
    let odd = engine.run(&user, &project, &[]);
    odd.assert_success();
    assert_eq!(log(&odd, "a"), "one\n");
    assert!(notes(&odd).len() == 1 && notes(&odd)[0].contains("could not be mounted"), "{:?}", notes(&odd));
}

#[test]
fn who_verifies_a_step_gives_it_empty_ones() {
    let Some(engine) = Engine::shared() else { return };
    let text = "cullet: 1\nname: twice\nsteps:\n  a:\n    image: 'oci-layout:app'\n    caches: { /workspace/target: v, /var/cache/made: w }\n    \
                run: 'echo x > target/f; echo x > /var/cache/made/f; echo same > out; echo kept > /kept'\n    \
                outputs: { all: '**', image: rootfs }\n";
    let verified = engine.cullet(&User::new(), &checkout(text), &["verify", "--executor", "docker"]);
    let said = String::from_utf8_lossy(&verified.stdout);
    assert!(said.contains("1 step executed twice, all the same"), "{verified:?}");
}
