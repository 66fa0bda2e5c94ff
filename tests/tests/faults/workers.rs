//! Steps that cost workers their life.

use cullet_tests::cluster::Cluster;

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
