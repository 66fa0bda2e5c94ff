//! What every gRPC service is expected to have: health and deadlines.

use std::io::Write as _;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use cullet_tests::cluster::{Cluster, until};
use tokio::runtime::Runtime;
use tonic::Code;
use tonic::transport::{Channel, Endpoint};
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse};

/// What is asked about in turn; the first is the whole server.
const SERVICES: [&str; 3] = ["", "cullet.v1.Runs", "cullet.v1.Workers"];

/// The deadline of calls that get no answer, and what they may take on a busy machine: far less than a coordinator waits
/// for a quorum by itself.
const DEADLINE: &str = "300m";
const SLOWEST: Duration = Duration::from_millis(2500);

fn channel(cluster: &Cluster, position: usize) -> Channel {
    let endpoint = Endpoint::from_shared(cluster.url(position)).unwrap();
    endpoint.timeout(Duration::from_secs(10)).connect_lazy()
}

fn about(service: &str) -> HealthCheckRequest {
    HealthCheckRequest { service: service.to_owned() }
}

/// What a coordinator says of all its services, where it says the same.
fn health(runtime: &Runtime, cluster: &Cluster, position: usize) -> Option<ServingStatus> {
    let mut client = runtime.block_on(async { HealthClient::new(channel(cluster, position)) });
    let mut check =
        |service| Some(runtime.block_on(client.check(about(service))).ok()?.into_inner().status());
    let said = SERVICES.map(&mut check);
    said[0].filter(|status| said.iter().all(|other| *other == Some(*status)))
}

fn is_ready(cluster: &Cluster, position: usize) -> bool {
    let url = format!("{}/readyz", cluster.url(position));
    let output = Command::new("curl").args(["-s", "-o", "/dev/null", "-w", "%{http_code}", &url]).output();
    String::from_utf8(output.unwrap().stdout).unwrap() == "200"
}

/// Waits until health and readiness say this, each for itself.
fn becomes(runtime: &Runtime, cluster: &Cluster, position: usize, status: ServingStatus) {
    until("health", || (health(runtime, cluster, position) == Some(status)).then_some(()));
    until("readiness", || (is_ready(cluster, position) == (status == ServingStatus::Serving)).then_some(()));
}

#[test]
fn a_coordinator_serves_while_it_has_a_quorum_and_says_when_that_changes() {
    let runtime = Runtime::new().unwrap();
    let mut cluster = Cluster::start(3, 0);
    cluster.agreed();
    (0..3).for_each(|position| becomes(&runtime, &cluster, position, ServingStatus::Serving));
    let mut client = runtime.block_on(async { HealthClient::new(channel(&cluster, 0)) });
    let unknown = runtime.block_on(client.check(about("cullet.v1.Nothing"))).unwrap_err();
    assert_eq!(unknown.code(), Code::NotFound);
    let endpoint = Endpoint::from_shared(cluster.url(0)).unwrap();
    let mut watching = runtime.block_on(async { HealthClient::new(endpoint.connect_lazy()) });
    let mut changes = runtime.block_on(watching.watch(about(""))).unwrap().into_inner();
    let mut next = || {
        let change = async { tokio::time::timeout(Duration::from_secs(60), changes.message()).await };
        runtime.block_on(change).expect("a change").unwrap().as_ref().map(HealthCheckResponse::status)
    };
    assert_eq!(next(), Some(ServingStatus::Serving));
    (1..3).for_each(|position| cluster.kill_coordinator(position));
    assert_eq!(next(), Some(ServingStatus::NotServing));
    becomes(&runtime, &cluster, 0, ServingStatus::NotServing);
    assert!(!cluster.status(0).unwrap()["ready"].as_bool().unwrap());
    cluster.run_coordinator(1);
    assert_eq!(next(), Some(ServingStatus::Serving));
    becomes(&runtime, &cluster, 0, ServingStatus::Serving);
    becomes(&runtime, &cluster, 1, ServingStatus::Serving);
}

#[test]
fn one_that_has_not_found_its_cluster_does_not_serve() {
    let runtime = Runtime::new().unwrap();
    let mut cluster = Cluster::prepare(cullet_tests::cullet_binary().clone(), 3, 0);
    cluster.run_coordinator(0);
    becomes(&runtime, &cluster, 0, ServingStatus::NotServing);
    cluster.run_coordinator(1);
    cluster.run_coordinator(2);
    becomes(&runtime, &cluster, 0, ServingStatus::Serving);
}

/// The status of an empty call with this deadline, as it is in the answer, and how long it took.
fn list_runs(cluster: &Cluster, position: usize, deadline: &str) -> (Code, Duration) {
    let url = format!("{}/cullet.v1.Runs/ListRuns", cluster.url(position));
    let mut command = Command::new("curl");
    command.args(["-sS", "--http2-prior-knowledge", "-m", "60", "-D", "-", "-o", "/dev/null"]);
    command.args(["-H", "content-type: application/grpc", "-H", "te: trailers", "--data-binary", "@-"]);
    let began = Instant::now();
    let mut curl = command
        .arg("-H")
        .arg(format!("grpc-timeout: {deadline}"))
        .arg(url)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    // A message without fields: not compressed, no bytes.
    curl.stdin.take().unwrap().write_all(&[0; 5]).unwrap();
    let output = curl.wait_with_output().unwrap();
    let took = began.elapsed();
    let headers = String::from_utf8(output.stdout).unwrap();
    let status = headers.lines().find_map(|line| line.strip_prefix("grpc-status: ")).unwrap_or_default();
    (Code::from_bytes(status.trim().as_bytes()), took)
}

fn open_files(cluster: &Cluster, position: usize) -> usize {
    let process = cluster.coordinator(position).unwrap().id();
    std::fs::read_dir(format!("/proc/{process}/fd")).unwrap().count()
}

#[test]
fn a_call_without_an_answer_ends_at_its_deadline_and_leaves_nothing() {
    let mut cluster = Cluster::start(3, 0);
    let led = cluster.leader_of(&cluster.agreed_leader());
    assert_eq!(list_runs(&cluster, led, "30S").0, Code::Ok);
    // They take what they are sent, and say nothing.
    let others: Vec<usize> = (0..3).filter(|position| *position != led).collect();
    others.iter().for_each(|other| cluster.coordinator(*other).unwrap().signal("-STOP"));
    let before = open_files(&cluster, led);
    let asked: Vec<(Code, Duration)> = std::thread::scope(|scope| {
        let cluster = &cluster;
        let ask = |_| scope.spawn(move || list_runs(cluster, led, DEADLINE));
        let asking: Vec<_> = (0..20).map(ask).collect();
        asking.into_iter().map(|one| one.join().unwrap()).collect()
    });
    for (code, took) in &asked {
        assert!(matches!(code, Code::DeadlineExceeded | Code::Unavailable), "{asked:?}");
        assert!(*took < SLOWEST, "{asked:?}");
    }
    assert!(asked.iter().any(|(code, _)| *code == Code::DeadlineExceeded), "{asked:?}");
    until("connections end", || (open_files(&cluster, led) <= before + 4).then_some(()));
    others.iter().for_each(|other| cluster.coordinator(*other).unwrap().signal("-CONT"));
    cluster.agreed();
    assert_eq!(list_runs(&cluster, led, "30S").0, Code::Ok);
    for other in others {
        cluster.kill_coordinator(other);
    }
}
