//! Clients that repeat themselves.

use cullet_tests::cluster::{Cluster, Running, until};
use serde_json::{Value, json};

use super::support::{ask, metric, unique};

#[test]
fn a_hundred_submissions_of_one_request_are_one_run() {
    let cluster = Cluster::start(3, 1);
    cluster.with_workers(1);
    let pipeline = "cullet: 1\nname: once\nsteps:\n  s: { run: 'sleep 1; date +%N' }\n";
    let body = json!({ "request_id": "same", "pipeline": pipeline }).to_string();
    let arguments = ["-H", "Content-Type: application/json", "-d", &body];
    // Each asks one coordinator, which passes on what is not its own, and asks again where it is not taken in.
    let submit = |number: usize| {
        until("it is taken in", || {
            let (code, answer) = ask(&cluster, number % 3, "/api/v1/runs", &arguments)?;
            assert!([200, 201, 503].contains(&code), "{code}: {answer}");
            (code != 503).then(|| serde_json::from_str::<Value>(&answer).unwrap())
        })
    };
    let answers: Vec<Value> = std::thread::scope(|scope| {
        let all: Vec<_> = (0..100).map(|number| scope.spawn(move || submit(number))).collect();
        all.into_iter().map(|one| one.join().unwrap()).collect()
    });
    assert!(answers.iter().all(|answer| answer["run"] == answers[0]["run"]), "{answers:?}");
    let new = answers.iter().filter(|answer| answer["existed"] == false).count();
    assert!(new <= 1, "at most one made it: {answers:?}");
    let run = answers[0]["run"].as_str().unwrap();
    let attached = cluster.cullet(&["attach", run, "--cluster", &cluster.urls(), "--progress", "json"]);
    assert_eq!(attached.exit_code, 0, "{}", attached.stderr);
    let listed = cluster.cullet(&["runs", "--format", "json", "--cluster", &cluster.url(0)]);
    assert_eq!(listed.stdout.lines().count(), 1, "{}", listed.stdout);
    assert_eq!(metric(&cluster, 3, "cullet_attempts_started_total"), 1);
}

#[test]
fn commands_with_one_request_id_follow_one_run() {
    let cluster = Cluster::start(3, 1);
    cluster.with_workers(1);
    let dir = unique(&cluster, "once", "sleep 1; date +%N");
    let submit = |number: usize| {
        let mut command = cluster.command();
        let url = cluster.url(number % 3);
        command.current_dir(&dir).args([
            "run",
            "--progress",
            "json",
            "--request-id",
            "same",
            "--cluster",
            &url,
        ]);
        Running::start(command)
    };
    let all: Vec<Running> = (0..15).map(submit).collect();
    let mut runs: Vec<String> = all
        .into_iter()
        .map(|run| {
            let ended = run.outcome();
            ended.assert_success();
            let starts = ended.events.iter().filter(|event| event["event"] == "step_started").count();
            assert_eq!(starts, 1, "{:?}", ended.events);
            ended.events[0]["run"].as_str().unwrap().to_owned()
        })
        .collect();
    runs.dedup();
    assert_eq!(runs.len(), 1);
    assert_eq!(metric(&cluster, 3, "cullet_attempts_started_total"), 1);
    let listed = cluster.cullet(&["runs", "--format", "json", "--cluster", &cluster.url(0)]);
    assert_eq!(listed.stdout.lines().count(), 1, "{}", listed.stdout);
}
