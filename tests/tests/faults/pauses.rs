//! Processes that stop for a while and go on as if nothing had been.

use std::time::Duration;

use cullet_tests::cluster::{Cluster, until};

use super::support::{get, led_among, unique};

#[test]
fn a_leader_that_stood_still_knows_that_it_leads_no_more() {
    let cluster = Cluster::start(3, 1);
    cluster.with_workers(1);
    let led = cluster.leader_of(&cluster.agreed_leader());
    let others: Vec<usize> = (0..3).filter(|position| *position != led).collect();
    cluster.coordinator(led).unwrap().signal("-STOP");
    until("another leader", || led_among(&cluster, &others));
    let dir = unique(&cluster, "meanwhile", "true");
    let meanwhile = cluster.run(&dir, &[]);
    meanwhile.assert_success();
    std::thread::sleep(Duration::from_secs(8));
    cluster.coordinator(led).unwrap().signal("-CONT");
    // From its first answer on it knows the run that it slept through.
    let run = meanwhile.events[0]["run"].as_str().unwrap();
    let path = format!("/api/v1/runs/{run}");
    let answer = until("an answer", || get(&cluster, led, &path));
    assert!(answer == 200 || answer == 503, "it answered {answer}");
    until("it answers", || (get(&cluster, led, &path) == Some(200)).then_some(()));
    cluster.agreed();
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
