//! Disks that are full, stand still, fail, or lose what was not synced.

use std::process::Command;
use std::time::{Duration, Instant};

use cullet_tests::cluster::{Cluster, Process, until};
use cullet_tests::cullet_binary;

use super::support::{Filesystem, get, led_among, submit, timed, unique};

/// Three coordinators, each with a small filesystem, and one worker.
fn small_disks(mebibytes: u32) -> (Cluster, Vec<Filesystem>) {
    let mut cluster = Cluster::prepare(cullet_binary().clone(), 3, 1);
    let disks = (0..3).map(|position| Filesystem::ext4(cluster.data(position), mebibytes)).collect();
    (0..3).for_each(|position| cluster.run_coordinator(position));
    cluster.agreed();
    cluster.run_worker(0, &[]);
    cluster.with_workers(1);
    (cluster, disks)
}

#[test]
fn a_full_disk_costs_one_coordinator_its_part_until_there_is_room() {
    let (cluster, disks) = small_disks(64);
    let led = cluster.leader_of(&cluster.agreed_leader());
    let filler = disks[led].at.join("filler");
    // Until nothing fits; what is wanted is the failure.
    let _ =
        Command::new("dd").args(["if=/dev/zero", "bs=64k"]).arg(format!("of={}", filler.display())).output();
    let others: Vec<usize> = (0..3).filter(|position| *position != led).collect();
    // Whatever a filesystem keeps for itself: a run of two thousand steps takes half a megabyte of the log.
    let steps = (0..2000).map(|step| step.to_string()).collect::<Vec<_>>().join(", ");
    for number in 0.. {
        let text = format!(
            "cullet: 1\nname: large\nsteps:\n  s: {{ matrix: {{ n: [{steps}] }}, if: '${{{{ false }}}}', run: 'true {number}' }}\n"
        );
        cluster.run(&cluster.pipeline("large", &text), &[]).assert_success();
        if led_among(&cluster, &others).is_some() {
            break;
        }
        assert!(number < 30, "it still leads: {}", cluster.logs());
    }
    cluster.run(&unique(&cluster, "meanwhile", "true"), &[]).assert_success();
    std::fs::remove_file(&filler).unwrap();
    cluster.agreed();
}

#[test]
fn a_disk_that_stands_still_acknowledges_nothing() {
    let (cluster, disks) = small_disks(64);
    let led = cluster.leader_of(&cluster.agreed_leader());
    let followers: Vec<usize> = (0..3).filter(|position| *position != led).collect();
    // Without the disks of both followers there is no majority.
    followers.iter().for_each(|follower| disks[*follower].freeze());
    let run = cluster.begin_run(&unique(&cluster, "frozen", "true"), &[]);
    std::thread::sleep(Duration::from_secs(4));
    let frozen = cluster.status(led).unwrap()["live_runs"].as_u64().unwrap();
    assert_eq!(frozen, 0, "nothing is accepted that is not durable");
    followers.iter().for_each(|follower| disks[*follower].thaw());
    run.outcome().assert_success();
    cluster.agreed();
}

/// A leader need not be one of the majority that has an entry on its disk.
#[test]
fn a_leader_whose_disk_stands_still_acknowledges_only_what_the_others_have_on_theirs() {
    let (mut cluster, disks) = small_disks(128);
    let led = cluster.leader_of(&cluster.agreed_leader());
    let others: Vec<usize> = (0..3).filter(|position| *position != led).collect();
    disks[led].freeze();
    // Two thousand steps each, so that what waits for the disk grows.
    let steps = (0..2000).map(|step| step.to_string()).collect::<Vec<_>>().join(", ");
    let mut runs = Vec::new();
    for number in 0..8 {
        let text = format!(
            "cullet: 1\nname: large\nsteps:\n  s: {{ matrix: {{ n: [{steps}] }}, if: '${{{{ false }}}}', run: 'true {number}' }}\n"
        );
        let dir = cluster.pipeline("large", &text);
        let (ended, took) = timed(|| cluster.run(&dir, &[]));
        ended.assert_success();
        println!("a run took {took:?} while the leader's disk stood still");
        assert!(took < Duration::from_secs(60), "{took:?}");
        runs.push(ended.events[0]["run"].as_str().unwrap().to_owned());
    }
    // Without the leader, the others have nothing but their disks.
    cluster.coordinator(led).unwrap().signal("-STOP");
    others.iter().for_each(|other| cluster.kill_coordinator(*other));
    others.iter().for_each(|other| cluster.run_coordinator(*other));
    let (_, took) = timed(|| until("another leader", || led_among(&cluster, &others)));
    println!("another one leads {took:?} after that");
    for run in &runs {
        let known = until("an answer", || {
            get(&cluster, others[0], &format!("/api/v1/runs/{run}")).filter(|code| *code != 503)
        });
        assert_eq!(known, 200, "{run} was acknowledged");
    }
    cluster.coordinator(led).unwrap().signal("-CONT");
    disks[led].thaw();
    let status = cluster.agreed();
    assert_ne!(cluster.leader_of(&status), led, "it follows: {status}");
    for run in &runs {
        assert_eq!(get(&cluster, led, &format!("/api/v1/runs/{run}")), Some(200));
    }
}

#[test]
fn a_power_cut_loses_nothing_that_was_acknowledged() {
    let (mut cluster, disks) = small_disks(128);
    let submitted = |number| cluster.detach(&unique(&cluster, &format!("acknowledged-{number}"), "true"));
    let runs: Vec<String> = (0..5).map(submitted).collect();
    disks.iter().for_each(Filesystem::cut_power);
    (0..3).for_each(|position| cluster.kill_coordinator(position));
    disks.iter().for_each(Filesystem::mount_again);
    (0..3).for_each(|position| cluster.run_coordinator(position));
    cluster.agreed();
    cluster.with_workers(1);
    for run in runs {
        let attached = cluster.cullet(&["attach", &run, "--cluster", &cluster.urls()]);
        assert_eq!(attached.exit_code, 0, "{run}: {}", attached.stderr);
    }
}

/// The same command with something else happening when it syncs a file.
fn traced(inner: Command, happens: &str) -> Command {
    let mut command = Command::new("strace");
    command.args(["-D", "-f", "-qq", "-o", "/dev/null", "--seccomp-bpf", "-e", "trace=fdatasync,fsync"]);
    command.arg("-e").arg(format!("inject=fdatasync,fsync:{happens}")).arg(inner.get_program());
    command.args(inner.get_args()).env_clear();
    command.envs(inner.get_envs().filter_map(|(name, value)| Some((name, value?))));
    command
}

/// A heartbeat waits behind what is being written, for longer than the leader waits for its answer.
#[test]
fn a_leader_of_slow_disks_leads_on() {
    let mut cluster = Cluster::prepare(cullet_binary().clone(), 3, 1);
    for position in 0..3 {
        let command = traced(cluster.coordinator_command(position), "delay_exit=200000");
        let log = cluster.dir().join(format!("c{position}.log"));
        cluster.put_coordinator(position, Process::start(command, &log));
    }
    cluster.run_worker(0, &[]);
    cluster.with_workers(1);
    let before = cluster.agreed_leader();
    let led = cluster.leader_of(&before);
    let began = Instant::now();
    // Many at a time: there is always something to write.
    std::thread::scope(|scope| {
        for client in 0..24 {
            let cluster = &cluster;
            scope.spawn(move || {
                for number in 0.. {
                    if began.elapsed() > Duration::from_secs(12) {
                        break;
                    }
                    let (code, body) = submit(cluster, led, &format!("slow-{client}-{number}")).unwrap();
                    assert_eq!(code, 201, "{body}");
                }
            });
        }
    });
    let after = cluster.agreed();
    assert_eq!((&after["leader"], &after["term"]), (&before["leader"], &before["term"]));
    assert!(!cluster.logs().contains("leads no more"), "{}", cluster.logs());
}

#[test]
fn a_sync_that_fails_once_ends_the_coordinator_for_good() {
    let mut cluster = Cluster::start(3, 1);
    cluster.with_workers(1);
    let follower = (cluster.leader_of(&cluster.agreed_leader()) + 1) % 3;
    let before = cluster.take_coordinator(follower);
    before.kill();
    let command = traced(cluster.coordinator_command(follower), "error=EIO:when=20");
    let log = cluster.dir().join(format!("c{follower}.log"));
    let mut failing = Process::start(command, &log);
    let mut acknowledged = 0;
    for number in 0.. {
        if failing.has_ended() {
            break;
        }
        assert!(number < 60, "it goes on: {}", cluster.logs());
        acknowledged += 1;
        cluster.run(&unique(&cluster, &format!("eio-{number}"), "true"), &[]).assert_success();
    }
    let said = std::fs::read_to_string(&log).unwrap();
    assert!(said.contains("cannot be written any more"), "{said}");
    assert!(said.contains("nothing that was acknowledged is lost"), "{said}");
    assert_eq!(failing.exit_code(), Some(3), "as docs/cluster.md says: {said}");
    // It has tried nothing again, and the others have gone on.
    let runs = |cluster: &Cluster, position: usize| {
        cluster.cullet(&["runs", "--limit", "100", "--format", "json", "--cluster", &cluster.url(position)])
    };
    let known = runs(&cluster, (follower + 1) % 3);
    assert!(known.stdout.lines().count() >= acknowledged, "{}", known.stdout);
    cluster.run_coordinator(follower);
    cluster.agreed();
    let answer = runs(&cluster, follower);
    assert_eq!(answer.stdout, known.stdout, "{}", answer.stderr);
}
