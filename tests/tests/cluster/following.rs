//! Following runs from elsewhere, and ending them.

use cullet_tests::cluster::{Cluster, until};

#[test]
fn a_detached_run_is_followed_and_its_log_read_from_any_coordinator() {
    let cluster = Cluster::start(3, 1);
    cluster.with_workers(1);
    let lines = "cullet: 1\nname: p\nsteps:\n  talk: { run: 'for i in 1 2 3 4 5; do echo line $i; echo err $i >&2; sleep 0.3; done' }\n";
    let dir = cluster.pipeline("p", lines);
    let mut command = cluster.command();
    command.current_dir(&dir).args(["run", "--detach", "--progress", "json"]);
    let detached = command.args(["--cluster", &cluster.urls()]).output().unwrap();
    assert!(detached.status.success(), "{}", String::from_utf8_lossy(&detached.stderr));
    let said: serde_json::Value = serde_json::from_slice(&detached.stdout).unwrap();
    let run = said["run"].as_str().unwrap();
    let log = cluster.cullet(&["logs", run, "talk", "-f", "--cluster", &cluster.url(1)]);
    assert_eq!(log.exit_code, 0, "{}", log.stderr);
    let expected: Vec<String> = (1..=5).flat_map(|i| [format!("line {i}"), format!("err {i}")]).collect();
    assert_eq!(log.stdout.lines().collect::<Vec<_>>(), expected);
    let attached = cluster.cullet(&["attach", run, "--progress", "json", "--cluster", &cluster.url(2)]);
    assert_eq!(attached.exit_code, 0, "{}", attached.stderr);
    assert!(attached.stdout.contains("\"run_finished\""), "{}", attached.stdout);
    let later = cluster.cullet(&["logs", run, "talk", "--cluster", &cluster.url(0)]);
    assert_eq!(later.stdout, log.stdout);
    let listed = cluster.cullet(&["runs", "--cluster", &cluster.url(0)]);
    assert!(listed.stdout.contains(&run[..12]), "{}", listed.stdout);
    let status = cluster.cullet(&["status", &run[..12], "--cluster", &cluster.url(0)]);
    assert!(status.stdout.contains("talk"), "{}{}", status.stdout, status.stderr);
}

#[test]
fn a_cancelled_run_ends_and_stays_cancelled() {
    let cluster = Cluster::start(3, 1);
    cluster.with_workers(1);
    let dir = cluster.pipeline("p", "cullet: 1\nname: p\nsteps:\n  long: { run: 'sleep 600' }\n");
    let child = cluster.begin_run(&dir, &[]);
    let run = until("it runs", || {
        let listed = cluster.cullet(&["runs", "--format", "json", "--cluster", &cluster.url(0)]);
        let run: serde_json::Value = serde_json::from_str(listed.stdout.lines().next()?).ok()?;
        let run = run["run"].as_str()?.to_owned();
        let status = cluster.status(0)?;
        (status["workers"][0]["running"] == 1).then_some(run)
    });
    let cancelled = cluster.cullet(&["cancel", &run, "--cluster", &cluster.url(1)]);
    assert_eq!(cancelled.exit_code, 0, "{}", cancelled.stderr);
    let ended = child.outcome();
    assert_eq!((ended.exit_code, &*ended.steps["long"].status), (130, "cancelled"), "{}", ended.stderr);
    let again = cluster.cullet(&["cancel", &run, "--cluster", &cluster.url(2)]);
    assert_eq!(again.exit_code, 2, "a run that is over cannot be cancelled: {}", again.stdout);
}

#[test]
fn a_run_of_fifty_thousand_steps_can_be_seen_from_every_coordinator() {
    let cluster = Cluster::start(3, 1);
    cluster.with_workers(1);
    let numbers = (0..100).map(|number| number.to_string()).collect::<Vec<_>>().join(", ");
    let steps = (0..5).map(|step| {
        format!("  s{step}: {{ matrix: {{ a: [{numbers}], b: [{numbers}] }}, if: 'false', run: 'true' }}\n")
    });
    let text = format!("cullet: 1\nname: wide\nsteps:\n{}", steps.collect::<String>());
    let run = cluster.detach(&cluster.pipeline("wide", &text));
    for position in 0..3 {
        let url = cluster.url(position);
        let status = cluster.cullet(&["status", &run, "--format", "json", "--cluster", &url]);
        assert_eq!(status.exit_code, 0, "{}", status.stderr);
        let lines = status.stdout.lines().filter(|line| line.contains("\"step_finished\"")).count();
        assert_eq!(lines, 50_000);
    }
}
