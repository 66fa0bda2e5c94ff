//! Coordinators come, go, and are lost.

use std::process::Command;
use std::time::Duration;

use cullet_tests::cluster::{Cluster, until};

#[test]
fn three_processes_are_one_cluster_that_survives_any_of_them() {
    let mut cluster = Cluster::start(3, 0);
    let status = cluster.agreed();
    assert_eq!(status["members"].as_array().unwrap().len(), 3);
    for _ in 0..3 {
        let before = cluster.agreed();
        let led = cluster.leader_of(&before);
        cluster.kill_coordinator(led);
        let after = until("another leader", || {
            let status = cluster.status((led + 1) % 3)?;
            (status["ready"] == true && status["leader"] != before["leader"] && !status["leader"].is_null())
                .then_some(status)
        });
        assert_ne!(cluster.leader_of(&after), led);
        cluster.run_coordinator(led);
        cluster.agreed();
    }
}

#[test]
fn a_wiped_coordinator_comes_back_as_another_one() {
    let mut cluster = Cluster::start(3, 0);
    let before = cluster.agreed();
    let wiped = (cluster.leader_of(&before) + 1) % 3;
    let old = cluster.id(wiped);
    cluster.kill_coordinator(wiped);
    std::fs::remove_dir_all(cluster.data(wiped)).unwrap();
    cluster.run_coordinator(wiped);
    let after = cluster.agreed();
    assert_ne!(cluster.id(wiped), old);
    let ids: Vec<&str> =
        after["members"].as_array().unwrap().iter().map(|m| m["id"].as_str().unwrap()).collect();
    assert!(ids.len() == 3 && !ids.contains(&&*old), "{after}");
}

#[test]
fn operators_commands_work_through_any_coordinator() {
    let cluster = Cluster::start(3, 0);
    let before = cluster.agreed();
    let led = cluster.leader_of(&before);
    let through = cluster.url((led + 1) % 3);
    let moved = cluster.cullet(&["cluster", "transfer", "--cluster", &through]);
    assert_eq!(moved.exit_code, 0, "{}", moved.stderr);
    let after = cluster.agreed();
    assert_ne!(after["leader"], before["leader"]);
    let nowhere = cluster.cullet(&["cluster", "add", "foo", "--cluster", &through]);
    assert_eq!(nowhere.exit_code, 2, "{}", nowhere.stderr);
    assert!(nowhere.stderr.contains("'foo' is no address") && nowhere.stderr.contains("http://c-3:7400"));
    let unknown = cluster.cullet(&["cluster", "remove", "00000000000000aa", "--cluster", &through]);
    assert_eq!(unknown.exit_code, 2, "{}", unknown.stderr);
    assert!(unknown.stderr.contains("there is no member"), "{}", unknown.stderr);
    let removed = cluster.id(led);
    let removal = cluster.cullet(&["cluster", "remove", &removed, "--cluster", &through]);
    assert_eq!(removal.exit_code, 0, "{}", removal.stderr);
    until("two members", || {
        let status = cluster.status((led + 1) % 3)?;
        (status["members"].as_array()?.len() == 2).then_some(())
    });
    // What was passed on is no error of the one that passed it on.
    let passed_on = std::fs::read_to_string(cluster.dir().join(format!("c{}.log", (led + 1) % 3))).unwrap();
    assert!(!passed_on.contains("ERROR"), "{passed_on}");
}

#[test]
fn the_status_says_who_is_down() {
    let mut cluster = Cluster::start(3, 0);
    let led = cluster.leader_of(&cluster.agreed());
    let (dead, other) = ((led + 1) % 3, (led + 2) % 3);
    let say =
        |cluster: &Cluster| cluster.cullet(&["cluster", "status", "--cluster", &cluster.url(other)]).stdout;
    let all = say(&cluster);
    assert_eq!(
        all.lines().filter(|line| line.starts_with("voter ") && line.ends_with(" s ago")).count(),
        2,
        "{all}"
    );
    cluster.kill_coordinator(dead);
    let dead_url = cluster.url(dead);
    // Whoever is asked says what the leader knows.
    let line = until("it is missed", || {
        let all = say(&cluster);
        all.lines().find(|line| line.contains("  not heard for ")).map(str::to_owned)
    });
    assert!(line.starts_with("voter ") && line.contains(&dead_url), "{line}");
    let status = cluster.status(other).unwrap();
    let heard = |position: usize| {
        let members = status["members"].as_array().unwrap();
        members.iter().find(|m| m["address"] == cluster.url(position).as_str()).unwrap()["heard_ms_ago"]
            .as_u64()
    };
    assert!(heard(dead) > Some(1_500) && heard(other) < Some(1_500) && heard(led) == Some(0), "{status}");
    // The next leader never heard of that one, and one that is alone does not know.
    cluster.kill_coordinator(led);
    until("nobody leads", || {
        say(&cluster).contains("not known whether it is there: no leader says").then_some(())
    });
}

#[test]
fn a_removed_coordinator_says_so_and_is_not_taken_in_again() {
    let mut cluster = Cluster::start(3, 0);
    let led = cluster.leader_of(&cluster.agreed());
    let (gone, other) = ((led + 1) % 3, (led + 2) % 3);
    let id = cluster.id(gone);
    let removal = cluster.cullet(&["cluster", "remove", &id, "--cluster", &cluster.url(other)]);
    assert_eq!(removal.exit_code, 0, "{}", removal.stderr);
    let says_so = |cluster: &Cluster| {
        until("it knows", || {
            let status = cluster.status(gone)?;
            (status["reason"].as_str()?.contains("it was removed from the cluster")).then_some(())
        });
        let readyz = format!("{}/readyz", cluster.url(gone));
        let asked = Command::new("curl").args(["-sS", "-w", "%{http_code}", &readyz]).output().unwrap();
        let said = String::from_utf8(asked.stdout).unwrap();
        assert!(said.contains("it was removed from the cluster") && said.ends_with("503"), "{said}");
    };
    says_so(&cluster);
    let log = |cluster: &Cluster| {
        let logs = cluster.logs();
        logs.matches("start it with an empty data directory to join again").count()
    };
    until("it is in its log", || (log(&cluster) == 1).then_some(()));
    // It stays, so that it can be asked, and ends as any other.
    assert_eq!(cluster.take_coordinator(gone).terminate(Duration::from_secs(10)), Some(0));
    cluster.run_coordinator(gone);
    says_so(&cluster);
    for position in [led, other] {
        assert_eq!(cluster.status(position).unwrap()["members"].as_array().unwrap().len(), 2);
    }
    let added = cluster.cullet(&["cluster", "add", &cluster.url(gone), "--cluster", &cluster.url(led)]);
    assert_eq!(added.exit_code, 2, "{}", added.stderr);
    assert!(added.stderr.contains("stays removed"), "{}", added.stderr);
    // An empty directory makes it another one.
    cluster.kill_coordinator(gone);
    std::fs::remove_dir_all(cluster.data(gone)).unwrap();
    cluster.run_coordinator(gone);
    assert_eq!(cluster.agreed()["members"].as_array().unwrap().len(), 3);
    assert_ne!(cluster.id(gone), id);
}

/// The first one is dead by then, the second one leads.
#[test]
fn of_three_that_become_one_the_last_one_serves() {
    let mut cluster = Cluster::start(3, 1);
    cluster.with_workers(1);
    let status = cluster.agreed_leader();
    let led = cluster.leader_of(&status);
    let (dead, last) = ((led + 1) % 3, (led + 2) % 3);
    let (dead_id, led_id) = (cluster.id(dead), cluster.id(led));
    cluster.kill_coordinator(dead);
    for id in [dead_id, led_id] {
        let removal = cluster.cullet(&["cluster", "remove", &id, "--cluster", &cluster.url(last)]);
        assert_eq!(removal.exit_code, 0, "{}", removal.stderr);
    }
    let left = until("one member that leads", || {
        let status = cluster.status(last)?;
        (status["ready"] == true && status["leader"] == status["id"]).then_some(status)
    });
    assert_eq!(left["members"].as_array().unwrap().len(), 1, "{left}");
    until("the other one knows", || {
        cluster.status(led)?["reason"].as_str()?.contains("was removed").then_some(())
    });
    let pipeline = "cullet: 1\nname: p\nsteps: { a: { run: echo still served } }\n";
    let run = cluster.run(&cluster.pipeline("p", pipeline), &[]);
    run.assert_success();
    // The dead one comes back, and two that were removed are no majority of what was.
    cluster.run_coordinator(dead);
    until("it knows", || cluster.status(dead)?["reason"].as_str()?.contains("was removed").then_some(()));
    assert_eq!(cluster.status(last).unwrap()["leader"], left["leader"]);
    let run = cluster.run(&cluster.pipeline("p", pipeline), &[]);
    run.assert_success();
}

#[test]
fn who_belongs_elsewhere_or_is_not_there_is_not_taken_in() {
    let (one, other) = (Cluster::start(1, 1), Cluster::start(1, 0));
    let (before, _) = (one.agreed(), other.agreed());
    let add = |url: &str| {
        let answer = one.cullet(&["cluster", "add", url, "--cluster", &one.url(0)]);
        (answer.exit_code, answer.stderr)
    };
    let (code, said) = add(&other.url(0));
    assert!(code == 2 && said.contains("belongs to cluster") && said.contains("--peer"), "{code}: {said}");
    one.with_workers(1);
    let status = one.status(0).unwrap();
    assert_eq!(status["members"], one.agreed()["members"]);
    assert_eq!(status["leader"], before["leader"]);
    let (code, said) = add("http://127.0.0.1:9");
    assert!(code == 3 && said.contains("no coordinator answers at http://127.0.0.1:9"), "{code}: {said}");
    let pipeline = "cullet: 1\nname: p\nsteps: { a: { run: echo still served } }\n";
    one.run(&one.pipeline("p", pipeline), &[]).assert_success();
}

#[test]
fn a_coordinator_that_comes_back_at_another_address_is_found_there() {
    let mut cluster = Cluster::start(3, 0);
    let led = cluster.leader_of(&cluster.agreed());
    let moved = (led + 1) % 3;
    let id = cluster.id(moved);
    assert_eq!(cluster.take_coordinator(moved).terminate(Duration::from_secs(10)), Some(0));
    cluster.move_coordinator(moved);
    cluster.run_coordinator(moved);
    let new = cluster.url(moved);
    until("it is heard there", || {
        let status = cluster.status(led)?;
        let member = status["members"].as_array()?.iter().find(|member| member["id"] == id.as_str())?;
        (member["address"] == new.as_str() && member["heard_ms_ago"].as_u64()? < 1_000).then_some(())
    });
    let status = cluster.agreed();
    assert_eq!(status["members"].as_array().unwrap().len(), 3);
}

#[test]
fn a_signal_ends_a_coordinator_cleanly() {
    let mut cluster = Cluster::start(1, 0);
    cluster.agreed();
    assert_eq!(cluster.take_coordinator(0).terminate(Duration::from_secs(10)), Some(0));
}
