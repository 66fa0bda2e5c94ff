//! Clients that repeat themselves, and come in crowds.

use cullet_tests::cluster::{Cluster, Running};

use super::support::{metric, unique};

#[test]
fn a_hundred_submissions_of_one_request_are_one_run() {
    let cluster = Cluster::start(3, 1);
    cluster.with_workers(1);
    let dir = unique(&cluster, "once", "sleep 1; date +%N");
    // Each asks one coordinator, which passes on what is not its own.
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
    let all: Vec<Running> = (0..100).map(submit).collect();
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
