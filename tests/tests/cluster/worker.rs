//! Workers that are told to end, and workers without space.

use std::path::{Path, PathBuf};
use std::process::Command;

use cullet_tests::cluster::{Cluster, until};

/// A small file system at the place of a worker's directory.
struct Tmpfs(PathBuf);

impl Tmpfs {
    /// None where this user cannot mount.
    fn mount(dir: &Path) -> Option<Self> {
        std::fs::create_dir_all(dir).unwrap();
        let mounted =
            Command::new("mount").args(["-t", "tmpfs", "-o", "size=24m", "tmpfs"]).arg(dir).output();
        mounted.is_ok_and(|output| output.status.success()).then(|| Self(dir.to_owned()))
    }
}

impl Drop for Tmpfs {
    fn drop(&mut self) {
        // Lazily: a process that is just dying may still stand in it.
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

#[test]
fn a_second_signal_stops_what_runs_and_it_runs_elsewhere() {
    let mut cluster = Cluster::start(1, 2);
    cluster.with_workers(2);
    let text = "cullet: 1\nname: w\nsteps:\n  long: { run: 'echo begun; sleep 6' }\n";
    let dir = cluster.pipeline("w", text);
    let mut run = cluster.begin_run(&dir, &[]);
    let on_first = run.until("step_started").contains("\"worker\":\"w0\"");
    run.until("begun");
    let mut worker = cluster.take_worker(usize::from(!on_first));
    worker.signal("-TERM");
    until("it drains", || cluster.logs().contains("takes nothing more").then_some(()));
    worker.signal("-TERM");
    run.until("step_started");
    until("it ends", || worker.has_ended().then_some(()));
    run.outcome().assert_success();
}

#[test]
fn a_worker_works_on_when_it_has_used_more_than_its_cache_holds() {
    const STEPS: usize = 20;
    let mut cluster = Cluster::start(1, 1);
    cluster.kill_worker(0);
    cluster.run_worker(0, &["--cache-size", "4MiB"]);
    cluster.with_workers(1);
    // Half a MiB each, one after the other.
    let steps: String = (1..=STEPS)
        .map(|number| {
            let after =
                if number == 1 { String::new() } else { format!("inputs: {{ i: s{}.o }}, ", number - 1) };
            format!("  s{number}: {{ {after}run: 'seq {number} 90000 > o', outputs: {{ o: o }} }}\n")
        })
        .collect();
    let dir = cluster.pipeline("u", &format!("cullet: 1\nname: u\nsteps:\n{steps}"));
    let outcome = cluster.run(&dir, &[]);
    outcome.assert_success();
    assert_eq!(outcome.executed().len(), STEPS);
}

#[test]
fn a_step_that_finds_a_disk_full_runs_elsewhere_and_the_worker_waits_for_room() {
    let mut cluster = Cluster::start(1, 2);
    cluster.kill_worker(0);
    let Some(disk) = Tmpfs::mount(&cluster.dir().join("worker-0")) else {
        println!("skipped: this user cannot mount");
        return;
    };
    cluster.run_worker(0, &[]);
    cluster.with_workers(2);
    let text = "cullet: 1\nname: f\nsteps:\n  \
                fill: { matrix: { n: [1, 2, 3, 4, 5, 6] }, run: 'head -c 40000000 /dev/zero > x; wc -c < x > o; echo ${{ matrix.n }}', outputs: { o: o } }\n";
    let dir = cluster.pipeline("f", text);
    let outcome = cluster.run(&dir, &[]);
    outcome.assert_success();
    let elsewhere = outcome.events.iter().filter(|event| event["event"] == "step_started").count();
    assert!(elsewhere > 6, "one of them began on the small disk: {:?}", outcome.events);

    // It is told of in the status.
    cluster.with_workers(1);
    assert!(cluster.logs().contains("takes no more steps until there is room"), "{}", cluster.logs());
    // As soon as there is room again it takes steps again, but not before.
    let filler = disk.0.join("filler");
    std::fs::write(&filler, vec![1; 30_000_000]).unwrap_err();
    cluster.run(&dir, &["--no-cache"]).assert_success();
    std::fs::remove_file(&filler).unwrap();
    cluster.with_workers(2);
}
