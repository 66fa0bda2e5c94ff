//! What coordinators and workers tell Prometheus.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;
use std::process::{Command, Stdio};

use cullet_tests::cluster::{Cluster, until};

fn get(address: &str, path: &str) -> String {
    let url = format!("{address}{path}");
    let output = Command::new("curl").args(["-sSf", "-m", "30", &url]).output().unwrap();
    assert!(output.status.success(), "{url}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn scrape(address: &str) -> String {
    get(address, "/metrics")
}

/// The type of every metric.
fn types(text: &str) -> BTreeMap<String, String> {
    let types = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' '));
    types.map(|(name, kind)| (name.to_owned(), kind.to_owned())).collect()
}

/// What docs/observability.md says of metrics in its sections under these headings.
fn documented(headings: &[&str]) -> BTreeMap<String, String> {
    let page =
        std::fs::read_to_string(cullet_tests::repository_root().join("docs/observability.md")).unwrap();
    let page = page.split("\n## ").find(|part| part.starts_with("Metrics\n")).unwrap();
    let sections = page.split("\n### ").filter(|section| headings.contains(&section.lines().next().unwrap()));
    let mut all = BTreeMap::new();
    for row in sections.flat_map(str::lines).filter(|line| line.starts_with("| `")) {
        let columns: Vec<&str> = row.split(" | ").collect();
        for name in columns[0].split('`').skip(1).step_by(2) {
            all.insert(name.to_owned(), columns[1].to_owned());
        }
    }
    all
}

/// The sum of all series whose name and labels contain this.
fn value(text: &str, series: &str) -> f64 {
    let lines = text.lines().filter(|line| !line.starts_with('#') && line.contains(series));
    lines.map(|line| line.rsplit_once(' ').unwrap().1.parse::<f64>().unwrap()).sum()
}

fn promtool(text: &str) {
    let mut command = Command::new("promtool");
    command.args(["check", "metrics"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("promtool, which ./test installs");
    child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    assert!(output.status.success() && said.is_empty(), "{}\n{text}", String::from_utf8_lossy(&said));
}

fn worker_address(cluster: &Cluster) -> String {
    let status: serde_json::Value = serde_json::from_str(&get(&cluster.url(0), "/api/v1/status")).unwrap();
    status["workers"][0]["address"].as_str().unwrap().to_owned()
}

#[test]
fn metrics_are_those_of_the_documentation_and_good_prometheus() {
    let cluster = Cluster::start(1, 1);
    cluster.with_workers(1);
    let dir = cluster.pipeline(
        "p",
        "cullet: 1\nname: m\nsteps:\n  a: { run: 'echo x > out', outputs: { o: out } }\n  b: { run: 'exit 3' }\n",
    );
    assert_eq!(cluster.run(&dir, &["--keep-going"]).exit_code, 1);
    let worker = worker_address(&cluster);
    let text = until("the report is acknowledged, and the streams end", || {
        let text = scrape(&cluster.url(0));
        (value(&text, "cullet_attempts_finished_total") == 2.0 && value(&text, "cullet_watchers") == 0.0)
            .then_some(text)
    });
    promtool(&text);
    assert_eq!(types(&text), documented(&["Of a coordinator", "Of both"]));
    for (series, expected) in [
        ("cullet_raft_is_leader", 1.0),
        ("cullet_raft_leader_changes_total", 1.0),
        ("cullet_attempts_started_total", 2.0),
        ("cullet_attempts_finished_total{outcome=\"failed\"}", 1.0),
        ("cullet_action_cache_lookups_total{result=\"miss\"}", 2.0),
        ("cullet_workers{state=\"active\"}", 1.0),
        ("cullet_worker_cpus ", 4.0),
        ("cullet_running_steps", 0.0),
        ("cullet_live_runs", 0.0),
        ("method=\"cullet.v1.Runs/Submit\",code=\"ok\"", 1.0),
        ("path=\"/api/v1/status\",method=\"GET\",status=\"200\"", 1.0),
    ] {
        assert_eq!(value(&text, series), expected, "{series}: {text}");
    }
    let text = scrape(&worker);
    promtool(&text);
    assert_eq!(types(&text), documented(&["Of a worker", "Of both"]));
    for (series, expected) in [
        ("cullet_worker_attended", 1.0),
        ("cullet_worker_attempts_started_total", 2.0),
        ("cullet_worker_attempts_finished_total{outcome=\"succeeded\"}", 1.0),
        ("cullet_worker_unacknowledged_reports", 0.0),
    ] {
        assert_eq!(value(&text, series), expected, "{series}: {text}");
    }
    assert!(value(&text, "cullet_cache_uploaded_bytes_total") > 0.0, "{text}");
}

#[test]
fn coordinators_tell_the_same_hash_of_the_same_index() {
    let cluster = Cluster::start(3, 0);
    cluster.agreed();
    let hashes: BTreeSet<String> = until("all are at the same index", || {
        let info = |position| {
            let text = scrape(&cluster.url(position));
            text.lines().find(|line| line.starts_with("cullet_state_hash_info{")).map(str::to_owned)
        };
        let infos: BTreeSet<String> = (0..3).filter_map(info).collect();
        (infos.len() == 1).then_some(infos)
    });
    let hash = hashes.first().unwrap().split("hash=\"").nth(1).unwrap().split('"').next().unwrap();
    assert_eq!(hash.len(), 64);
    let leaders: f64 =
        (0..3).map(|position| value(&scrape(&cluster.url(position)), "cullet_raft_is_leader")).sum();
    assert_eq!(leaders, 1.0);
}

#[test]
fn a_worker_that_comes_back_too_late_is_counted_as_fenced() {
    let cluster = Cluster::start(1, 2);
    cluster.with_workers(2);
    let text = "cullet: 1\nname: w\nsteps:\n  long: { run: 'echo begun; sleep 8' }\n";
    let mut child = cluster.begin_run(&cluster.pipeline("w", text), &[]);
    let on_first = child.until("step_started").contains("\"worker\":\"w0\"");
    child.until("begun");
    let worker = cluster.worker(usize::from(!on_first)).unwrap();
    worker.signal("-STOP");
    let counted = |series: &str| value(&scrape(&cluster.url(0)), series);
    until("its lease is lost", || (counted("cullet_worker_leases_lost_total") == 1.0).then_some(()));
    until("its step runs elsewhere", || (counted("cullet_attempts_started_total") == 2.0).then_some(()));
    assert_eq!(counted("cullet_fenced_reports_total"), 0.0);
    worker.signal("-CONT");
    until("its report is refused", || (counted("cullet_fenced_reports_total") >= 1.0).then_some(()));
    child.outcome().assert_success();
}
