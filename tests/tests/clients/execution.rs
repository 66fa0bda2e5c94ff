//! Bazel with its actions executed by a cluster.

use std::fs;
use std::process::Stdio;
use std::thread;
use std::time::Duration;

use cullet_tests::cluster::Cluster;

use super::bazel::{Built, Somebody};
use super::{configuration, has};

fn guide(cluster: &Cluster, position: usize) -> String {
    let url = cluster.url(position);
    configuration("bazel.md", "bazelrc", url.trim_start_matches("http://"))[4].clone()
}

/// What is built at all: four actions.
const ALL: &[&str] = &["//..."];

#[test]
fn what_is_built_is_executed_once_for_everybody() {
    if !has("bazel") {
        return;
    }
    let cluster = Cluster::start(1, 2);
    cluster.agreed();
    cluster.with_workers(2);
    let guide = guide(&cluster, 0);
    let (one, another) = (Somebody::new(), Somebody::new());
    let built = one.builds_anew(&guide, ALL);
    assert!(built.success && built.count("remote") == 4, "{}", built.said);
    // Bazel has a link in a directory that is an input for what it points to.
    assert_eq!(one.made(), [one_made(), "1\n1\n2\n"]);
    for who in [&one, &another] {
        let found = who.builds_anew(&guide, ALL);
        assert!(found.success && found.count("remote cache hit") == 4, "{}", found.said);
        assert_eq!(who.made(), one.made());
    }
    fs::write(another.workspace().join("in.txt"), "bye\n").unwrap();
    let changed = another.builds_anew(&guide, ALL);
    let counts = (changed.count("remote cache hit"), changed.count("remote"));
    assert!(changed.success && counts == (2, 2), "{}", changed.said);
}

#[test]
fn what_fails_says_why_and_is_not_kept() {
    if !has("bazel") {
        return;
    }
    let cluster = Cluster::start(1, 1);
    cluster.agreed();
    cluster.with_workers(1);
    let guide = guide(&cluster, 0);
    let one = Somebody::new();
    let targets = "genrule(name = \"f\", outs = [\"f.txt\"], cmd = \"echo out; echo err >&2; exit 3\")\n\
                   genrule(name = \"m\", outs = [\"m.txt\"], cmd = \"true\")\n\
                   genrule(name = \"t\", outs = [\"t.txt\"], cmd = \"sleep 60\")\n";
    fs::write(one.workspace().join("BUILD"), targets).unwrap();
    for _ in 0..2 {
        let failed = one.builds_anew(&guide, &["//:f"]);
        assert!(!failed.success && failed.said.contains("(Exit 3)"), "{}", failed.said);
        assert!(failed.said.contains("\nout\n") && failed.said.contains("\nerr\n"), "{}", failed.said);
    }
    // What an action does not leave is no failure of it; Bazel says what it misses.
    let missing = one.builds_anew(&guide, &["//:m"]);
    assert!(!missing.success && missing.said.contains("m.txt"), "{}", missing.said);
    let nobody = one.builds_anew(
        &format!("{guide}build --remote_retries=0\n"),
        &["--remote_default_exec_properties=Pool=large", "//:f"],
    );
    assert!(!nobody.success && nobody.said.contains("Pool=large"), "{}", nobody.said);
}

/// Twelve actions in three layers, each of which takes a second.
fn slow_targets() -> String {
    let target = |number: usize| {
        let source = if number < 4 { "in.txt".to_owned() } else { format!(":s{}", number - 4) };
        format!(
            "genrule(name = \"s{number}\", srcs = [\"{source}\"], outs = [\"s{number}.txt\"], \
             cmd = \"sleep 1; cat $(SRCS) > $@; echo {number} >> $@\")\n"
        )
    };
    (0..12).map(target).collect()
}

#[test]
fn a_build_goes_on_while_the_leader_dies() {
    if !has("bazel") {
        return;
    }
    let mut cluster = Cluster::start(3, 2);
    let leader = cluster.leader_of(&cluster.agreed());
    cluster.with_workers(2);
    let next = (leader + 1) % 3;
    let one = Somebody::new();
    fs::write(one.workspace().join("BUILD"), slow_targets()).unwrap();
    fs::write(one.workspace().join(".bazelrc"), guide(&cluster, next)).unwrap();
    let mut command = one.command(&["build", "--color=no", "--curses=no", "--verbose_failures", "//..."]);
    let building = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    // Some have ended by then, some run, some wait.
    let output = one.workspace().join("bazel-bin/s0.txt");
    cullet_tests::cluster::until("the first action's output", || output.exists().then_some(()));
    thread::sleep(Duration::from_millis(300));
    cluster.kill_coordinator(leader);
    let output = building.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let built = Built { success: output.status.success(), said };
    assert!(built.success && built.count("remote") == 12, "{}", built.said);
    // Whatever was executed is a result now, also what was executing when the leader died.
    let again = one.builds_anew(&guide(&cluster, next), ALL);
    assert!(again.success && again.count("remote cache hit") == 12, "{}", again.said);
}

#[test]
fn a_step_that_builds_with_bazel_shares_its_only_slot() {
    if !has("bazel") {
        return;
    }
    let mut cluster = Cluster::prepare(cullet_tests::cullet_binary().clone(), 1, 1);
    cluster.run_coordinator(0);
    cluster.run_worker(0, &[]);
    cluster.agreed();
    cluster.with_workers(1);
    let one = Somebody::new();
    // Debian's Bazel does not start without it, and steps do not see it.
    let machine = fs::read_to_string("/etc/bazel/bazelrc").unwrap_or_default();
    let guide = format!("{machine}\n{}", guide(&cluster, 0)).replace('\n', "\n          ");
    let pipeline = format!(
        r#"
cullet: 1
name: bazel
sources: {{ src: {{ path: . }} }}
steps:
  build:
    inputs: {{ .: src }}
    network: full
    # All that the only worker has.
    resources: {{ cpu: 4 }}
    timeout: 3m
    env: {{ HOME: /tmp/home }}
    run: |
          mkdir -p "$HOME"
          cat > .bazelrc <<END
          {guide}
          END
          sed -i 's/^ *//' .bazelrc
          bazel --batch --output_user_root=/tmp/out build --color=no --curses=no //... 2> log || cat log >&2
          cp bazel-bin/b.txt built
    outputs: {{ built: built, log: log }}
outputs: {{ built: build.built, log: build.log }}
"#
    );
    let dir = cluster.pipeline("p", &pipeline);
    for name in ["WORKSPACE", "BUILD", "rules.bzl", "in.txt"] {
        fs::copy(one.workspace().join(name), dir.join(name)).unwrap();
    }
    cluster.run(&dir, &["--output", "o"]).assert_success();
    assert_eq!(fs::read_to_string(dir.join("o/built")).unwrap(), one_made());
    let said = fs::read_to_string(dir.join("o/log")).unwrap();
    assert_eq!(Built { success: true, said: said.clone() }.count("remote"), 4, "{said}");
}

fn one_made() -> &'static str {
    "hello\na\nhello\na\nb\n"
}
