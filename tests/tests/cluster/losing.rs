//! Losing any node costs time only.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use cullet_tests::cluster::{Cluster, until};
use cullet_tests::{Outcome, cullet_binary};

/// A step of some seconds, and one that needs it.
fn long(cluster: &Cluster, more: &str) -> PathBuf {
    let text = format!(
        "cullet: 1\nname: w\nsteps:\n  long: {{ run: 'echo begun; sleep 6; echo done > o', outputs: {{ o: o }}{more} }}\n  \
         after: {{ inputs: {{ i: long.o }}, run: 'cat i' }}\n"
    );
    cluster.pipeline("w", &text)
}

fn attempts(outcome: &Outcome, step: &str) -> usize {
    outcome.events.iter().filter(|event| event["event"] == "step_started" && event["step"] == step).count()
}

#[test]
fn a_leader_that_dies_costs_no_step() {
    let mut cluster = Cluster::start(3, 1);
    cluster.with_workers(1);
    let dir = long(&cluster, "");
    let mut child = cluster.begin_run(&dir, &[]);
    child.until("begun");
    let led = cluster.leader_of(&cluster.agreed());
    cluster.kill_coordinator(led);
    let ended = child.outcome();
    ended.assert_success();
    assert_eq!(attempts(&ended, "long"), 1);
    let again = cluster.run(&dir, &[]);
    assert_eq!(again.cached().len(), 2);
}

#[test]
fn leaders_that_are_taken_out_cost_no_step_and_keep_no_worker() {
    let cluster = Cluster::start(5, 1);
    cluster.with_workers(1);
    let mut out = Vec::new();
    let mut take_out_the_leader = || {
        let leads = |position: &usize| {
            let status = cluster.status(*position)?;
            (status["ready"] == true && status["leader"] == status["id"]).then_some(())
        };
        let led =
            until("a leader", || (0..5).filter(|one| !out.contains(one)).find(|one| leads(one).is_some()));
        out.push(led);
        let through = (0..5).find(|one| !out.contains(one)).unwrap();
        let removal =
            cluster.cullet(&["cluster", "remove", &cluster.id(led), "--cluster", &cluster.url(through)]);
        assert_eq!(removal.exit_code, 0, "{}", removal.stderr);
    };
    let dir = long(&cluster, "");
    let mut child = cluster.begin_run(&dir, &[]);
    child.until("begun");
    take_out_the_leader();
    let ended = child.outcome();
    ended.assert_success();
    assert_eq!(attempts(&ended, "long"), 1);
    // With nothing going on that would tell it who leads now.
    for number in 0..2 {
        take_out_the_leader();
        let text = format!("cullet: 1\nname: w\nsteps: {{ s: {{ run: 'echo {number}' }} }}\n");
        let began = Instant::now();
        cluster.run(&cluster.pipeline(&format!("w{number}"), &text), &[]).assert_success();
        assert!(began.elapsed() < Duration::from_secs(8), "{:?}: {}", began.elapsed(), cluster.logs());
    }
}

#[test]
fn a_worker_that_dies_has_its_step_run_elsewhere() {
    let mut cluster = Cluster::start(3, 2);
    cluster.with_workers(2);
    let dir = long(&cluster, "");
    let mut child = cluster.begin_run(&dir, &[]);
    let on_first = child.until("step_started").contains("\"worker\":\"w0\"");
    child.until("begun");
    cluster.kill_worker(usize::from(!on_first));
    let ended = child.outcome();
    ended.assert_success();
    assert_eq!(attempts(&ended, "long"), 2);
    let said = ended.events.iter().any(|event| {
        event["event"] == "note" && event["text"].as_str().is_some_and(|text| text.contains("was lost"))
    });
    assert!(said, "{:?}", ended.events);
}

#[test]
fn what_acts_on_the_outside_world_is_not_started_twice() {
    let mut cluster = Cluster::start(1, 2);
    cluster.with_workers(2);
    let dir = long(&cluster, ", effects: true");
    let mut child = cluster.begin_run(&dir, &[]);
    let on_first = child.until("step_started").contains("\"worker\":\"w0\"");
    child.until("begun");
    cluster.kill_worker(usize::from(!on_first));
    let ended = child.outcome();
    assert_eq!((ended.exit_code, &*ended.steps["long"].status), (3, "infra_failed"), "{}", ended.stderr);
    assert!(ended.steps["long"].reason.as_ref().unwrap().contains("not started twice"));
}

#[test]
fn a_worker_that_is_told_to_end_finishes_what_it_runs() {
    let mut cluster = Cluster::start(1, 1);
    cluster.with_workers(1);
    let dir = long(&cluster, "");
    let mut child = cluster.begin_run(&dir, &[]);
    child.until("begun");
    let worker = cluster.take_worker(0);
    assert_eq!(worker.terminate(Duration::from_secs(30)), Some(0), "{}", cluster.logs());
    until("it is gone", || {
        let status = cluster.status(0)?;
        status["workers"].as_array()?.is_empty().then_some(())
    });
    // The rest waits for another worker.
    cluster.run_worker(0, &[]);
    let ended = child.outcome();
    ended.assert_success();
    assert_eq!(attempts(&ended, "long"), 1);
}

#[test]
fn a_run_whose_last_worker_is_gone_for_good_ends_and_says_why() {
    let mut cluster = Cluster::prepare(cullet_binary().clone(), 1, 1);
    cluster.run_coordinator_with(0, &["--absence-grace", "2"]);
    cluster.agreed();
    cluster.run_worker(0, &[]);
    cluster.with_workers(1);
    let dir = long(&cluster, "");
    let mut child = cluster.begin_run(&dir, &[]);
    child.until("begun");
    cluster.kill_worker(0);
    let ended = child.outcome();
    assert_eq!((ended.exit_code, &*ended.steps["long"].status), (3, "infra_failed"), "{}", ended.stderr);
    let reason = ended.steps["long"].reason.as_ref().unwrap();
    assert!(reason.starts_with("no worker has labels") && reason.contains("image=host:"), "{reason}");
    assert_eq!(ended.steps["after"].status, "skipped");
}

#[test]
fn a_whole_cluster_that_stops_goes_on_where_it_was() {
    let mut cluster = Cluster::start(3, 1);
    cluster.with_workers(1);
    let dir = long(&cluster, "");
    let mut child = cluster.begin_run(&dir, &[]);
    child.until("begun");
    (0..3).for_each(|position| cluster.kill_coordinator(position));
    std::thread::sleep(Duration::from_secs(1));
    (0..3).for_each(|position| cluster.run_coordinator(position));
    let ended = child.outcome();
    ended.assert_success();
    assert_eq!(attempts(&ended, "long"), 1);
}

#[test]
fn a_worker_that_ends_with_nothing_to_do_is_gone_at_once() {
    let mut cluster = Cluster::prepare(cullet_binary().clone(), 1, 2).leasing("60");
    cluster.run_coordinator(0);
    cluster.agreed();
    (0..2).for_each(|worker| cluster.run_worker(worker, &[]));
    cluster.with_workers(2);
    assert_eq!(cluster.take_worker(0).terminate(Duration::from_secs(10)), Some(0), "{}", cluster.logs());
    let began = Instant::now();
    until("it is gone", || (cluster.status(0)?["workers"].as_array()?.len() == 1).then_some(()));
    assert!(began.elapsed() < Duration::from_secs(10), "long before its lease: {:?}", began.elapsed());
}
