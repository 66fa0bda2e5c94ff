//! Networks that part coordinators from each other.

use std::time::Duration;

use cullet_tests::cluster::{Cluster, Running, until};

use super::support::{ask, get, led_among, networked, submit, timed, unique};

#[test]
fn a_leader_cut_off_is_replaced_and_refuses_what_it_cannot_decide() {
    let cluster = networked(3, 1);
    let led = cluster.leader_of(&cluster.agreed_leader());
    let others: Vec<usize> = (0..3).filter(|position| *position != led).collect();
    let network = cluster.network().unwrap();
    network.part(&[led], &[others[0], others[1], cluster.worker_host(0)]);
    let (_, took) = timed(|| until("another leader", || led_among(&cluster, &others)));
    println!("another leader {took:?} after the fault");
    assert!(took < Duration::from_secs(5), "{took:?}");
    cluster.run(&unique(&cluster, "meanwhile", "true"), &[]).assert_success();
    // Reads are linearizable, so the one that is cut off has no answer, and neither takes anything in. It says so in
    // bounded time: the first may wait for a quorum, five seconds.
    for number in 0..3 {
        let (read, took) = timed(|| ask(&cluster, led, "/api/v1/runs", &[]));
        refused(read, took);
        let (written, took) = timed(|| submit(&cluster, led, &format!("minority-{number}")));
        refused(written, took);
    }
    network.heal();
    cluster.agreed();
    let runs = cluster.cullet(&["runs", "--format", "json", "--cluster", &cluster.url(led)]);
    assert!(!runs.stdout.contains("minority"), "what was refused was done: {}", runs.stdout);
    assert_eq!(get(&cluster, led, "/api/v1/runs"), Some(200));
}

fn refused(answer: Option<(u16, String)>, took: Duration) {
    println!("refused after {took:?}");
    let (code, body) = answer.unwrap_or_else(|| panic!("it hangs: no answer after {took:?}"));
    assert_eq!(code, 503, "{body}");
    assert!(body.contains("\"unavailable\""), "{body}");
    assert!(took < Duration::from_secs(15), "{took:?}");
}

/// How long it takes from now on until one of these coordinators takes something in.
fn first_commit(cluster: &Cluster, positions: &[usize]) {
    let mut number = 0;
    let (_, took) = timed(|| {
        until("a run is taken in", || {
            number += 1;
            let name = format!("after-the-fault-{number}");
            let mut answers = positions.iter().filter_map(|position| submit(cluster, *position, &name));
            answers.find(|(code, _)| *code == 201)
        })
    });
    println!("the first commit {took:?} after the fault");
    // A leader that hears too few goes on for less than three seconds, and another one is elected one later. Five are
    // promised; the sixth is for a machine with other things to do, and still less than one more patient would take.
    assert!(took < Duration::from_secs(6), "{took:?}");
}

#[test]
fn a_follower_cut_off_disturbs_nobody() {
    let cluster = networked(3, 1);
    let before = cluster.agreed_leader();
    let follower = (cluster.leader_of(&before) + 1) % 3;
    let rest: Vec<usize> = (0..3).filter(|position| *position != follower).collect();
    let network = cluster.network().unwrap();
    network.part(&[follower], &rest);
    cluster.run(&unique(&cluster, "meanwhile", "sleep 3"), &[]).assert_success();
    network.heal();
    let after = cluster.agreed();
    assert_eq!(
        (&after["leader"], &after["term"]),
        (&before["leader"], &before["term"]),
        "pre-vote keeps the leader"
    );
}

#[test]
fn a_leader_that_hears_nobody_is_replaced() {
    let cluster = networked(3, 1);
    let led = cluster.leader_of(&cluster.agreed_leader());
    let others: Vec<usize> = (0..3).filter(|position| *position != led).collect();
    // What it says arrives; no answer does.
    cluster.network().unwrap().drop_from(&others, &[led]);
    first_commit(&cluster, &others);
    until("another leader", || led_among(&cluster, &others));
    cluster.run(&unique(&cluster, "meanwhile", "true"), &[]).assert_success();
    cluster.network().unwrap().heal();
    cluster.agreed();
}

/// Neither the leader that was, nor one that only that one reaches, tells anything new from then on.
#[test]
fn a_client_of_a_coordinator_that_is_cut_off_asks_another() {
    let cluster = networked(5, 1);
    let led = cluster.leader_of(&cluster.agreed_leader());
    let follower = (led + 1) % 5;
    // Each begins with one of the two.
    let mut followed: Vec<Running> = [("one", led), ("another", follower)]
        .into_iter()
        .map(|(name, first)| {
            let dir = unique(&cluster, name, "sleep 4");
            let urls: Vec<String> = (0..5).map(|offset| cluster.url((first + offset) % 5)).collect();
            let mut command = cluster.command();
            command.current_dir(dir).args(["run", "--progress", "json", "--cluster", &urls.join(",")]);
            Running::start(command)
        })
        .collect();
    followed.iter_mut().for_each(|run| drop(run.until("step_started")));
    let mut rest: Vec<usize> = (0..5).filter(|position| ![led, follower].contains(position)).collect();
    rest.push(cluster.worker_host(0));
    cluster.network().unwrap().part(&[led, follower], &rest);
    for run in followed {
        let (outcome, took) = timed(|| run.outcome());
        outcome.assert_success();
        assert!(took < Duration::from_secs(60), "{took:?}");
    }
    assert_eq!(get(&cluster, follower, "/readyz"), Some(503));
    cluster.network().unwrap().heal();
    cluster.agreed();
    assert_eq!(get(&cluster, follower, "/readyz"), Some(200));
}

#[test]
fn a_bridge_between_two_halves_is_enough() {
    let cluster = networked(5, 1);
    let led = cluster.leader_of(&cluster.agreed_leader());
    // With the bridge each half is a majority, and the leader is in one of them.
    let bridge = (led + 1) % 5;
    let rest: Vec<usize> = (0..5).filter(|position| *position != bridge).collect();
    let (some, others) = rest.split_at(2);
    let network = cluster.network().unwrap();
    network.part(some, others);
    first_commit(&cluster, &[bridge]);
    network.heal();
    cluster.agreed();
}

/// The leader that was still reaches the bridge, which would go on believing in it.
#[test]
fn a_bridge_that_alone_reaches_a_majority_leads() {
    let cluster = networked(5, 1);
    let led = cluster.leader_of(&cluster.agreed_leader());
    let bridge = (led + 1) % 5;
    let rest: Vec<usize> = (0..5).filter(|position| *position != bridge).collect();
    let network = cluster.network().unwrap();
    rest.iter().for_each(|host| network.drop_from(&rest, &[*host]));
    first_commit(&cluster, &[bridge]);
    let status = cluster.status(bridge).unwrap();
    assert_eq!(status["leader"], status["id"], "nobody else can: {status}");
    network.heal();
    cluster.agreed();
}

#[test]
fn a_lossy_network_causes_no_elections() {
    let cluster = networked(3, 1);
    let before = cluster.agreed_leader();
    let network = cluster.network().unwrap();
    (0..3).for_each(|host| network.lose(host, 50));
    let dir = unique(&cluster, "lossy", "sleep 15");
    cluster.run(&dir, &[]).assert_success();
    network.heal();
    let after = cluster.agreed();
    assert!(term(&after) <= term(&before) + 1, "{before} {after}");
}

fn term(status: &serde_json::Value) -> u64 {
    status["term"].as_u64().unwrap()
}

#[test]
fn a_slow_network_causes_no_elections() {
    let cluster = networked(3, 1);
    let before = cluster.agreed_leader();
    let network = cluster.network().unwrap();
    // A hundred times what heartbeats take; a run of a thousand steps has to wait in the queue between the coordinators.
    (0..3).for_each(|host| network.slow(host, "2mbit"));
    let steps: Vec<String> = (0..1000).map(|number| number.to_string()).collect();
    let text = format!(
        "cullet: 1\nname: slow\nsteps:\n  s:\n    matrix: {{ n: [{}] }}\n    run: 'true ${{{{ matrix.n }}}}'\n",
        steps.join(", ")
    );
    let dir = cluster.pipeline("slow", &text);
    let (outcome, took) = timed(|| cluster.run(&dir, &[]));
    outcome.assert_success();
    network.heal();
    let after = cluster.agreed();
    let minutes = took.as_secs() / 60 + 1;
    assert!(term(&after) <= term(&before) + minutes, "{took:?}: {before} {after}");
}
