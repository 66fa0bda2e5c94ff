//! Processes that stop for a while and go on as if nothing had been.

use std::time::Duration;

use cullet_tests::cluster::{Cluster, until};

use super::support::{ask, led_among, metric_of, submit, unique};

/// Asked while it stands still and from its first moment on, it tells nothing that has changed meanwhile.
fn stands_still(longer: Duration) {
    let cluster = Cluster::start(3, 1);
    cluster.with_workers(1);
    let led = cluster.leader_of(&cluster.agreed_leader());
    let others: Vec<usize> = (0..3).filter(|position| *position != led).collect();
    let mut before = cluster.begin_run(&unique(&cluster, "before", "echo begun; sleep 2"), &[]);
    before.until("begun");
    let runs = cluster.cullet(&["runs", "--format", "json", "--cluster", &cluster.url(led)]).stdout;
    let run = serde_json::from_str::<serde_json::Value>(runs.lines().next().unwrap()).unwrap();
    let path = format!("/api/v1/runs/{}", run["run"].as_str().unwrap());
    let (_, body) = ask(&cluster, led, &path, &[]).unwrap();
    assert!(body.contains("\"running\""), "{body}");
    let started = |position| metric_of(&cluster, position, "cullet_attempts_started_total");
    let by_it = started(led);

    cluster.coordinator(led).unwrap().signal("-STOP");
    until("another leader", || led_among(&cluster, &others));
    before.outcome().assert_success();
    std::thread::scope(|scope| {
        let asked: Vec<_> = (0..20).map(|_| scope.spawn(|| ask(&cluster, led, &path, &[]))).collect();
        let submitted = scope.spawn(|| submit(&cluster, led, "while-it-stands-still"));
        std::thread::sleep(longer);
        cluster.coordinator(led).unwrap().signal("-CONT");
        let mut answers: Vec<_> = asked.into_iter().map(|asked| asked.join().unwrap()).collect();
        until("it answers", || {
            answers.push(ask(&cluster, led, &path, &[]));
            answers.last()?.as_ref().filter(|(code, _)| *code == 200).map(|_| ())
        });
        for (code, body) in answers.into_iter().flatten() {
            assert!(code == 503 || code == 200 && body.contains("\"succeeded\""), "{code}: {body}");
            assert!(!body.contains("\"running\""), "what it says is old: {body}");
        }
        // It was taken in by the one that leads, or by nobody.
        if let Some((code, body)) = submitted.join().unwrap() {
            assert!(code == 201 || code == 503, "{code}: {body}");
        }
    });
    assert_eq!(started(led), by_it, "it has started nothing");
    cluster.agreed();
}

#[test]
fn a_leader_that_stood_still_for_a_moment_tells_nothing_old_and_starts_nothing() {
    // So that it is asked before it goes on.
    stands_still(Duration::from_millis(300));
}

#[test]
fn a_leader_that_stood_still_for_long_tells_nothing_old_and_starts_nothing() {
    stands_still(Duration::from_secs(20));
}

#[test]
fn a_worker_that_stood_still_has_lost_its_step() {
    let cluster = Cluster::start(1, 2);
    cluster.with_workers(2);
    let dir = unique(&cluster, "zombie", "echo begun; sleep 3; date +%N");
    let mut run = cluster.begin_run(&dir, &[]);
    let on_first = run.until("step_started").contains("\"worker\":\"w0\"");
    run.until("begun");
    let stopped = cluster.worker(usize::from(!on_first)).unwrap();
    stopped.signal("-STOP");
    let ended = run.outcome();
    ended.assert_success();
    stopped.signal("-CONT");
    // What it finishes now is of no interest any more; it is welcome all the same.
    cluster.with_workers(2);
    let starts = ended.events.iter().filter(|event| event["event"] == "step_started").count();
    assert_eq!(starts, 2);
    let again = cluster.run(&dir, &[]);
    assert_eq!(again.cached(), ["s"], "one result is recorded");
}
