//! A pipeline on a cluster behaves as on one machine.

use cullet_tests::cluster::Cluster;

const PIPELINE: &str = "\
cullet: 1
name: demo
sources: { src: { path: ., include: ['*.txt'] } }
steps:
  copy: { inputs: { .: src }, run: 'echo copying; cat x.txt > out', outputs: { o: out } }
  count: { inputs: { in: copy.o }, run: 'wc -c < in > res', outputs: { r: res } }
  show: { matrix: { n: [1, 2, 3] }, inputs: { in: count.r }, run: 'cat in; echo ${{ matrix.n }}' }
outputs: { res: count.r }
";

#[test]
fn steps_run_once_and_their_results_come_back() {
    let cluster = Cluster::start(3, 2);
    cluster.with_workers(2);
    let dir = cluster.pipeline("p", PIPELINE);
    std::fs::write(dir.join("x.txt"), "hello\n").unwrap();
    let first = cluster.run(&dir, &["--output", "out"]);
    first.assert_success();
    assert_eq!((first.executed().len(), first.cached().len()), (5, 0));
    assert_eq!(std::fs::read_to_string(dir.join("out/res")).unwrap().trim(), "6");
    let lines = first.events.iter().filter(|event| event["event"] == "step_log");
    assert!(lines.clone().any(|line| line["step"] == "copy" && line["text"] == "copying"), "{lines:?}");
    let ends = |run: &cullet_tests::Outcome| {
        let ends = run.events.iter().filter(|event| event["event"] == "step_finished");
        ends.filter(|end| end["usage"]["peak_memory_bytes"].as_u64() > Some(100_000)).count()
    };
    assert_eq!(ends(&first), 5, "{:?}", first.events);
    let second = cluster.run(&dir, &[]);
    second.assert_success();
    assert_eq!(ends(&second), 0, "nothing was taken");
    assert_eq!((second.executed().len(), second.cached().len()), (0, 5));
    // The same bytes for whoever comes after: nothing but what changed runs again.
    std::fs::write(dir.join("x.txt"), "hallo\n").unwrap();
    let third = cluster.run(&dir, &[]);
    third.assert_success();
    assert_eq!(third.executed(), ["copy", "count"]);
}

#[test]
fn two_that_submit_under_one_name_follow_one_run() {
    let cluster = Cluster::start(1, 1);
    cluster.with_workers(1);
    let dir = cluster.pipeline("p", "cullet: 1\nname: p\nsteps: { a: { run: 'sleep 2; echo done' } }\n");
    let both = [0, 1].map(|_| cluster.begin_run(&dir, &["--request-id", "one"]));
    for run in both.map(cullet_tests::cluster::Running::outcome) {
        run.assert_success();
        assert_eq!(run.executed(), ["a"]);
        assert!(!run.stderr.contains("not remembered"), "{}", run.stderr);
    }
    let runs = cluster.cullet(&["runs", "--format", "json"]);
    let runs: serde_json::Value = serde_json::from_str(runs.stdout.lines().next().unwrap()).unwrap();
    assert_eq!(runs["status"], "succeeded", "{runs}");
}

#[test]
fn the_keys_are_those_of_one_machine() {
    let cluster = Cluster::start(1, 1);
    cluster.with_workers(1);
    let dir = cluster.pipeline("p", PIPELINE);
    std::fs::write(dir.join("x.txt"), "hello\n").unwrap();
    let there = cluster.run(&dir, &[]);
    there.assert_success();
    let mut here = cluster.command();
    let here = here.current_dir(&dir).args(["run", "--progress", "json"]).output().unwrap();
    let here = cullet_tests::Outcome::of(&here);
    here.assert_success();
    let keys = |outcome: &cullet_tests::Outcome| -> Vec<_> {
        outcome.steps.iter().map(|(name, step)| (name.clone(), step.action_digest.clone())).collect()
    };
    assert_eq!(keys(&there), keys(&here));
}

#[test]
fn failures_have_the_exit_codes_of_one_machine() {
    let cluster = Cluster::start(1, 1);
    cluster.with_workers(1);
    let fails = "cullet: 1\nname: f\nsteps:\n  bad: { run: 'echo why >&2; exit 7' }\n  after: { needs: [bad], run: 'true' }\n";
    let failed = cluster.run(&cluster.pipeline("fails", fails), &[]);
    assert_eq!(failed.exit_code, 1, "{}", failed.stderr);
    assert_eq!((&*failed.steps["bad"].status, &*failed.steps["after"].status), ("failed", "skipped"));
    let bad = failed.events.iter().find(|e| e["event"] == "step_finished" && e["step"] == "bad").unwrap();
    assert_eq!(bad["exit_code"], 7);
    let wrong =
        cluster.run(&cluster.pipeline("wrong", "cullet: 1\nname: w\nsteps: { a: { rum: x } }\n"), &[]);
    assert_eq!(wrong.exit_code, 2, "{}", wrong.stderr);
    assert!(wrong.stderr.contains("cullet.yaml:3"), "{}", wrong.stderr);
    let nowhere = cluster.cullet(&["runs", "--cluster", "http://127.0.0.1:1"]);
    assert_eq!(nowhere.exit_code, 3, "{}", nowhere.stderr);
    let said =
        "the cluster cannot be reached: http://127.0.0.1:1 (Connection refused (os error 111)); trying for ";
    assert_eq!(nowhere.stderr.matches(said).count(), 1, "{}", nowhere.stderr);
    let slow = "cullet: 1\nname: t\nsteps:\n  slow: { run: 'sleep 60', timeout: 1s }\n";
    let slow = cluster.run(&cluster.pipeline("slow", slow), &[]);
    assert_eq!((slow.exit_code, &*slow.steps["slow"].status), (1, "timed_out"), "{}", slow.stderr);
}

#[test]
fn the_same_request_is_the_same_run() {
    let cluster = Cluster::start(3, 1);
    cluster.with_workers(1);
    let dir = cluster.pipeline("p", "cullet: 1\nname: p\nsteps:\n  a: { run: 'date +%N' }\n");
    let run = |outcome: &cullet_tests::Outcome| outcome.events[0]["run"].as_str().unwrap().to_owned();
    let first = cluster.run(&dir, &["--request-id", "nightly-7"]);
    let second = cluster.run(&dir, &["--request-id", "nightly-7"]);
    first.assert_success();
    second.assert_success();
    assert_eq!(run(&first), run(&second));
    let third = cluster.run(&dir, &["--request-id", "nightly-8", "--no-cache"]);
    assert_ne!(run(&first), run(&third));
    assert_eq!(third.executed(), ["a"]);
    // Its result would be taken for that of something else.
    let other = cluster.pipeline("other", "cullet: 1\nname: p\nsteps:\n  b: { run: 'exit 3' }\n");
    let refused = cluster.run(&other, &["--request-id", "nightly-7"]);
    assert_eq!(refused.exit_code, 2, "{}", refused.stderr);
    assert!(
        refused.stderr.contains(&run(&first)) && refused.stderr.contains("use another request id"),
        "{}",
        refused.stderr
    );
}

#[test]
fn a_run_of_many_steps_keeps_nobody_waiting() {
    let cluster = Cluster::start(1, 1);
    cluster.with_workers(1);
    let numbers = (0..100).map(|number| number.to_string()).collect::<Vec<_>>().join(", ");
    let text = format!(
        "cullet: 1\nname: wide\nsteps:\n  s: {{ matrix: {{ a: [{numbers}], b: [{numbers}] }}, run: 'sleep 1; true ${{{{ matrix.a }}}} ${{{{ matrix.b }}}}' }}\n"
    );
    let wide = cluster.detach(&cluster.pipeline("wide", &text));
    let small = cluster.pipeline("small", "cullet: 1\nname: small\nsteps:\n  s: { run: 'true' }\n");
    cluster.run(&small, &["--tenant", "other"]).assert_success();
    // Only so few of the many steps have been looked up meanwhile, or executed, that the small one had its turn among them.
    let status = cluster.cullet(&["status", &wide, "--format", "json", "--cluster", &cluster.urls()]);
    let started = status.stdout.lines().filter(|line| line.contains("\"step_started\"")).count();
    assert!(started < 100, "{started} of 10,000 steps came before it");
    let cancelled = cluster.cullet(&["cancel", &wide, "--cluster", &cluster.urls()]);
    assert_eq!(cancelled.exit_code, 0, "{}", cancelled.stderr);
}

#[test]
fn identical_steps_of_two_runs_are_executed_once() {
    let cluster = Cluster::start(3, 2);
    cluster.with_workers(2);
    let text = "cullet: 1\nname: p\nsteps:\n  slow: { run: 'sleep 2; date +%N > o', outputs: { o: o } }\n";
    let dir = cluster.pipeline("p", text);
    let both = [cluster.begin_run(&dir, &[]), cluster.begin_run(&dir, &[])];
    let both = both.map(cullet_tests::cluster::Running::outcome);
    both.iter().for_each(cullet_tests::Outcome::assert_success);
    assert_eq!(both.iter().map(|outcome| outcome.executed().len()).sum::<usize>(), 1);
}

#[test]
fn workers_that_only_say_that_they_are_there_move_nothing() {
    let cluster = Cluster::start(3, 3);
    cluster.with_workers(3);
    let before = cluster.agreed();
    // Some dozen heartbeats, at a fifth of the lease.
    std::thread::sleep(std::time::Duration::from_secs(5));
    let after = cluster.agreed();
    assert_eq!(after["last_log_index"], before["last_log_index"]);
}

#[test]
fn who_breaks_the_glass_of_a_cluster_that_is_up_is_told_so() {
    let mut cluster = Cluster::start(1, 1);
    let dir = cluster.pipeline("p", "cullet: 1\nname: p\nsteps: { a: { run: 'echo done' } }\n");
    let broken = |cluster: &Cluster| {
        let mut command = cluster.command();
        command.env("CULLET_CLUSTER", cluster.url(0)).current_dir(&dir);
        command.args(["run", "--progress", "json", "--break-glass", "--reason", "x"]);
        cullet_tests::Outcome::of(&command.output().unwrap())
    };
    let up = broken(&cluster);
    up.assert_success();
    assert!(up.stderr.contains("warning: the cluster") && up.stderr.contains("answers"), "{}", up.stderr);
    // There is no worker: it ran here.
    assert_eq!(up.executed(), ["a"]);
    cluster.kill_coordinator(0);
    let down = broken(&cluster);
    down.assert_success();
    let url = cluster.url(0);
    let said = format!("not there for this run: the cluster {url}, which does not answer");
    assert!(down.stderr.contains(&said), "{}", down.stderr);
}
