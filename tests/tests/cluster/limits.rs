//! What a cluster takes in and keeps is what the flags of the coordinator say that leads.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::process::Command;
use std::time::Duration;

use cullet_tests::cluster::{Cluster, Process, until};
use cullet_tests::{HTTP2_HELLO, cullet_binary};
use serde_json::Value;

/// One coordinator with these flags, and a worker.
fn cluster(flags: &[&str]) -> Cluster {
    let mut cluster = Cluster::prepare(cullet_binary().clone(), 1, 1);
    cluster.run_coordinator_with(0, flags);
    cluster.agreed();
    cluster.run_worker(0, &[]);
    cluster.with_workers(1);
    cluster
}

/// Submits a run that takes long: the HTTP status, the headers and the body of the answer.
fn submit(cluster: &Cluster, tenant: &str) -> (u16, String, Value) {
    let pipeline = "{cullet: 1, name: w, steps: {wait: {run: \\\"sleep 600\\\"}}}";
    let body = format!(r#"{{"pipeline": "{pipeline}", "tenant": "{tenant}"}}"#);
    let url = format!("{}/api/v1/runs", cluster.url(0));
    let mut command = Command::new("curl");
    command.args(["-sSi", "-m", "30", "-H", "Content-Type: application/json", "-d", &body, &url]);
    let text = String::from_utf8(command.output().unwrap().stdout).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no answer: {text:?}"));
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap();
    (status, head.to_lowercase(), serde_json::from_str(body).unwrap())
}

/// Refused, with words that say why and a time after which to come back.
fn assert_refused(cluster: &Cluster, tenant: &str, words: &str) {
    let (status, head, body) = submit(cluster, tenant);
    let error = &body["error"];
    assert_eq!((status, error["code"].as_str()), (429, Some("resource_exhausted")), "{body}");
    assert!(error["message"].as_str().unwrap().contains(words), "{body}");
    let wait = error["retry_after_ms"].as_u64().unwrap();
    assert!((1000..=30_000).contains(&wait) && head.contains("\r\nretry-after: "), "{head} {body}");
}

#[test]
fn what_is_too_much_is_refused_with_a_time_and_other_flags_hold_after_a_restart() {
    let mut cluster = cluster(&["--max-live-runs", "3", "--max-live-runs-per-tenant", "1"]);
    assert_eq!(submit(&cluster, "a").0, 201);
    assert_refused(&cluster, "a", "1 runs of the tenant are under way");
    assert_eq!([submit(&cluster, "b").0, submit(&cluster, "c").0], [201, 201]);
    assert_refused(&cluster, "d", "3 runs are under way");
    cluster.kill_coordinator(0);
    cluster.run_coordinator_with(0, &["--max-live-steps", "5", "--max-live-steps-per-tenant", "2"]);
    cluster.agreed();
    cluster.with_workers(1);
    // It leads before it brings its flags.
    until("the new limits hold", || (submit(&cluster, "a").0 == 201).then_some(()));
    assert_refused(&cluster, "a", "the runs of one tenant together may have 2 steps");
    assert_eq!(submit(&cluster, "d").0, 201);
    assert_refused(&cluster, "e", "all runs together may have 5 steps");
}

#[test]
fn the_flags_of_whoever_leads_hold() {
    let mut cluster = Cluster::prepare(cullet_binary().clone(), 3, 1);
    for (position, limit) in ["3", "4", "5"].into_iter().enumerate() {
        cluster.run_coordinator_with(position, &["--max-live-runs", limit]);
    }
    cluster.agreed();
    cluster.run_worker(0, &[]);
    cluster.with_workers(1);
    let mut led = Vec::new();
    for _ in 0..2 {
        let leader = cluster.leader_of(&cluster.agreed_leader());
        let words = format!("{} runs are under way", leader + 3);
        until("it is refused as the leader's flags say", || {
            let (_, _, body) = submit(&cluster, "a");
            body["error"]["message"].as_str().is_some_and(|said| said.contains(&words)).then_some(())
        });
        led.push(leader);
        let moved = cluster.cullet(&["cluster", "transfer", "--cluster", &cluster.urls()]);
        assert_eq!(moved.exit_code, 0, "{}", moved.stderr);
        until("another one leads", || {
            let now = cluster.leader_of(&cluster.agreed_leader());
            (now != leader).then_some(())
        });
    }
    assert_ne!(led[0], led[1]);
}

#[test]
fn only_so_many_runs_are_kept_of_all_and_of_each_tenant() {
    let cluster = cluster(&["--keep-runs", "3", "--keep-runs-per-tenant", "2"]);
    let dir = cluster.pipeline("p", "cullet: 1\nname: p\nsteps: { a: { run: 'true' } }\n");
    for tenant in ["a", "a", "a", "b", "b"] {
        cluster.run(&dir, &["--tenant", tenant]).assert_success();
    }
    let listed = cluster.cullet(&["runs", "--format", "json", "--cluster", &cluster.urls()]);
    let runs: Vec<Value> = listed.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let tenants: Vec<_> = runs.iter().map(|run| run["tenant"].as_str().unwrap_or_default()).collect();
    assert_eq!(tenants, ["b", "b", "a"], "{}", listed.stdout);
}

#[test]
fn flags_that_make_no_sense_are_refused() {
    let cluster = Cluster::prepare(cullet_binary().clone(), 1, 0);
    for (flags, words) in [
        (&["--max-live-runs", "0"][..], "0 is not in 1..=1000000"),
        (&["--tenant-weight", "a"], "write NAME=W, such as release=3"),
        (&["--tenant-weight", "a=1", "--tenant-weight", "a=2"], "--tenant-weight gives 'a' 1 and 2"),
    ] {
        let output = cluster.coordinator_command(0).args(flags).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.contains(words), "{said}");
    }
}

/// Processor time that a process has taken, in hundredths of a second.
fn taken(process: u32) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap();
    let (_, fields) = stat.rsplit_once(") ").unwrap();
    fields.split(' ').skip(11).take(2).map(|ticks| ticks.parse::<u64>().unwrap()).sum()
}

#[test]
fn connections_leave_files_to_the_coordinator_and_those_that_wait_cost_nothing() {
    let mut cluster = Cluster::prepare(cullet_binary().clone(), 1, 1);
    let command = cluster.coordinator_command(0);
    let mut limited = Command::new("sh");
    limited.args(["-c", "ulimit -n 100 && exec \"$0\" \"$@\""]);
    limited.arg(command.get_program()).args(command.get_args());
    limited.env_clear().envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let log = cluster.dir().join("limited.log");
    cluster.put_coordinator(0, Process::start(limited, &log));
    cluster.agreed();
    cluster.run_worker(0, &[]);
    cluster.with_workers(1);
    let process = cluster.coordinator(0).unwrap().id();
    let address = cluster.url(0).trim_start_matches("http://").to_owned();
    let connect = |_| {
        let mut connection = TcpStream::connect(&address).unwrap();
        connection.write_all(HTTP2_HELLO).unwrap();
        connection
    };
    let mut connections: Vec<TcpStream> = (0..200).map(connect).collect();
    // The first one was taken in, and then as many as may be.
    connections[0].read_exact(&mut [0; 9]).unwrap();
    std::thread::sleep(Duration::from_secs(1));
    let open = std::fs::read_dir(format!("/proc/{process}/fd")).unwrap().count();
    assert!((50..95).contains(&open), "{open} files are open");
    let before = taken(process);
    std::thread::sleep(Duration::from_secs(2));
    let took = taken(process) - before;
    assert!(took < 100, "{took} hundredths of a second in two seconds");
    assert!(std::fs::read_to_string(&log).unwrap().contains("no more connections are taken in"));
    drop(connections);
    let dir = cluster.pipeline("p", "{cullet: 1, name: p, steps: {a: {run: \"true\"}}}");
    cluster.run(&dir, &[]).assert_success();
    assert_eq!(cluster.coordinator(0).unwrap().id(), process);
}
