//! Steps that cost workers their life.

use cullet_tests::cluster::{Cluster, until};

use super::support::unique;

#[test]
fn a_step_that_has_cost_three_workers_is_not_tried_on_a_fourth() {
    let mut cluster = Cluster::start(1, 4);
    cluster.with_workers(4);
    let dir = unique(&cluster, "poison", "echo begun; sleep 600");
    let mut run = cluster.begin_run(&dir, &[]);
    for _ in 0..3 {
        let line = run.until("step_started");
        let worker = (0..4).find(|worker| line.contains(&format!("\"worker\":\"w{worker}\""))).unwrap();
        cluster.kill_worker(worker);
    }
    let ended = run.outcome();
    assert_eq!((ended.exit_code, &*ended.steps["s"].status), (3, "infra_failed"), "{}", ended.stderr);
    let reason = ended.steps["s"].reason.as_ref().unwrap();
    assert!(reason.contains('3') && reason.contains("worker"), "{reason}");
    // The rest of the fleet is well.
    cluster.run(&unique(&cluster, "healthy", "true"), &[]).assert_success();
}

#[test]
fn a_step_that_runs_out_of_memory_costs_its_worker_nothing() {
    let cluster = Cluster::start(1, 1);
    cluster.with_workers(1);
    let worker = cluster.worker(0).unwrap().id();
    let text =
        "cullet: 1\nname: greedy\nsteps:\n  s: { run: [tail, /dev/zero], limits: { memory: 32MiB } }\n";
    let run = cluster.run(&cluster.pipeline("greedy", text), &[]);
    assert_eq!(run.exit_code, 1, "{}", run.stderr);
    let end = run.events.iter().find(|it| it["event"] == "step_finished").unwrap();
    assert_eq!((end["status"].as_str(), end["exit_code"].as_i64()), (Some("failed"), Some(137)), "{end}");
    assert!(end["reason"].as_str().unwrap().contains("out of memory: it may have 32 MiB"), "{end}");
    assert!(end["usage"]["peak_memory_bytes"].as_u64().unwrap() > 16 << 20, "{end}");
    assert_eq!(run.events.iter().filter(|it| it["event"] == "step_started").count(), 1);
    cluster.run(&unique(&cluster, "next", "true"), &[]).assert_success();
    assert_eq!(cluster.worker(0).unwrap().id(), worker);
}

#[test]
fn nothing_of_a_killed_workers_step_goes_on() {
    let mut cluster = Cluster::start(1, 1);
    cluster.with_workers(1);
    let dir = unique(&cluster, "orphan", "echo begun; sleep 31415");
    let mut run = cluster.begin_run(&dir, &[]);
    run.until("begun");
    cluster.kill_worker(0);
    until("its processes are gone", || {
        let listed = std::process::Command::new("ps").args(["-eo", "args"]).output().unwrap();
        (!String::from_utf8_lossy(&listed.stdout).lines().any(|line| line == "sleep 31415")).then_some(())
    });
    let run_id = {
        let listed = cluster.cullet(&["runs", "--format", "json", "--cluster", &cluster.url(0)]);
        let first: serde_json::Value = serde_json::from_str(listed.stdout.lines().next().unwrap()).unwrap();
        first["run"].as_str().unwrap().to_owned()
    };
    assert_eq!(cluster.cullet(&["cancel", &run_id, "--cluster", &cluster.url(0)]).exit_code, 0);
    assert_eq!(run.outcome().exit_code, 130);
}
