//! Images on their way to workers, while something happens to whoever waits for them.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use cullet_tests::cluster::{Cluster, Running, until};
use cullet_tests::{Outcome, cullet_binary};
use serde_json::Value;

use super::gate::Registry;
use super::made::Image;

/// A registry with the image of the tests, and how pipelines name that.
fn registry(cluster: &Cluster) -> (Registry, String) {
    let registry = Registry::start();
    let layout = cluster.dir().join("layout");
    let digest = Image::default().layout(&layout);
    let reference = registry.push(&layout, "app", &digest);
    (registry, reference)
}

fn pipeline(cluster: &Cluster, name: &str, image: &str) -> PathBuf {
    let text = format!(
        "cullet: 1\nname: pulling\nsteps:\n  inside: {{ image: '{image}', run: 'cat /layer; echo {name}' }}\n"
    );
    cluster.pipeline(name, &text)
}

fn images(cluster: &Cluster, worker: usize) -> PathBuf {
    cluster.dir().join(format!("worker-{worker}/images"))
}

fn names(dir: &Path) -> Vec<String> {
    let Ok(entries) = fs::read_dir(dir) else { return Vec::new() };
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

/// Layers that are unpacked.
fn layers(images: &Path) -> usize {
    let forms = images.join("layers");
    names(&forms).iter().map(|form| names(&forms.join(form)).len()).sum()
}

fn nothing_half_made(images: &Path, places: &[&str]) {
    for place in places {
        until(&format!("{place} is empty"), || names(&images.join(place)).is_empty().then_some(()));
    }
}

fn started(outcome: &Outcome) -> usize {
    outcome.events.iter().filter(|event| event["event"] == "step_started").count()
}

/// Begins a run and waits until its image is on its way.
fn begin(cluster: &Cluster, registry: &Registry, dir: &Path) -> (Running, String) {
    registry.close();
    let mut running = cluster.begin_run(dir, &[]);
    let begun: Value = serde_json::from_str(&running.until("run_started")).unwrap();
    running.until("step_started");
    until("a layer waits at the gate", || registry.holds().then_some(()));
    (running, begun["run"].as_str().unwrap().to_owned())
}

#[test]
fn a_run_is_cancelled_while_its_image_is_pulled_and_the_next_one_goes_on_with_it() {
    let cluster = Cluster::start(1, 1);
    cluster.with_workers(1);
    let (registry, reference) = registry(&cluster);
    let dir = pipeline(&cluster, "one", &reference);
    let (running, run) = begin(&cluster, &registry, &dir);
    let cancelled = cluster.cullet(&["cancel", &run, "--cluster", &cluster.urls()]);
    assert_eq!(cancelled.exit_code, 0, "{}", cancelled.stderr);
    // The registry has said nothing more, and nobody waits for it.
    let ended = running.outcome();
    assert_eq!((started(&ended), &*ended.steps["inside"].status), (1, "cancelled"), "{}", ended.stderr);
    let images = images(&cluster, 0);
    nothing_half_made(&images, &["unpacking"]);
    registry.open();
    let done = cluster.run(&dir, &[]);
    done.assert_success();
    assert_eq!(started(&done), 1);
    nothing_half_made(&images, &["unpacking", "partial"]);
}

#[test]
fn a_worker_that_dies_while_it_pulls_leaves_nothing_that_its_next_life_does_not_clean_up_or_go_on_with() {
    let mut cluster = Cluster::start(3, 1);
    cluster.with_workers(1);
    let (registry, reference) = registry(&cluster);
    let dir = pipeline(&cluster, "one", &reference);
    let (running, _) = begin(&cluster, &registry, &dir);
    cluster.kill_worker(0);
    registry.open();
    // What it could have left besides: a layer half unpacked, and a part of one that nobody will ask for again.
    let images = images(&cluster, 0);
    fs::create_dir_all(images.join("unpacking/trusted-00/tree")).unwrap();
    fs::write(images.join("partial/00"), "old").unwrap();
    let old = SystemTime::now() - Duration::from_secs(2 * 24 * 60 * 60);
    fs::File::options().write(true).open(images.join("partial/00")).unwrap().set_modified(old).unwrap();
    cluster.run_worker(0, &[]);
    let ended = running.outcome();
    ended.assert_success();
    assert_eq!(started(&ended), 2);
    nothing_half_made(&images, &["unpacking", "partial"]);
    assert_eq!(layers(&images), 2);
}

#[test]
fn a_worker_cleans_up_when_it_starts_and_gc_does_when_it_is_asked() {
    let mut cluster = Cluster::prepare(cullet_binary().clone(), 1, 1);
    cluster.run_coordinator(0);
    let images = images(&cluster, 0);
    let leave = || {
        fs::create_dir_all(images.join("unpacking/trusted-00/tree")).unwrap();
        fs::create_dir_all(images.join("partial")).unwrap();
        fs::create_dir_all(images.join("locks")).unwrap();
        fs::write(images.join("partial/00"), vec![0; 3 << 20]).unwrap();
    };
    leave();
    cluster.run_worker(0, &[]);
    cluster.with_workers(1);
    nothing_half_made(&images, &["unpacking"]);
    assert_eq!(names(&images.join("partial")), ["00"], "somebody may go on with it");
    leave();
    let data = images.parent().unwrap().display().to_string();
    let collected = cluster.cullet(&["cache", "gc", "--cache-dir", &data]);
    assert_eq!(collected.exit_code, 0, "{}", collected.stderr);
    assert!(collected.stdout.starts_with("freed 3.0 MiB"), "{}", collected.stdout);
    nothing_half_made(&images, &["unpacking", "partial"]);
}

#[test]
fn a_leader_that_dies_while_an_image_is_pulled_costs_no_step() {
    let mut cluster = Cluster::start(3, 1);
    cluster.with_workers(1);
    let (registry, reference) = registry(&cluster);
    let dir = pipeline(&cluster, "one", &reference);
    let (running, _) = begin(&cluster, &registry, &dir);
    let led = cluster.leader_of(&cluster.agreed());
    cluster.kill_coordinator(led);
    cluster.agreed_leader();
    registry.open();
    let ended = running.outcome();
    ended.assert_success();
    assert_eq!(started(&ended), 1);
}

#[test]
fn an_image_that_is_larger_than_all_may_be_is_told_of_once_and_removed_when_no_step_is_in_it() {
    let mut cluster = Cluster::prepare(cullet_binary().clone(), 1, 1);
    cluster.run_coordinator(0);
    cluster.run_worker(0, &["--cache-size", "1MiB"]);
    cluster.with_workers(1);
    let (_registry, reference) = registry(&cluster);
    let images = images(&cluster, 0);
    // Longer than it takes until the worker looks: it runs in its image to the end.
    let text = format!(
        "cullet: 1\nname: p\nsteps:\n  inside: {{ image: '{reference}', run: 'sleep 65; cat /layer; /bin/busybox true' }}\n"
    );
    cluster.run(&cluster.pipeline("long", &text), &[]).assert_success();
    let deadline = Instant::now() + Duration::from_secs(150);
    while layers(&images) > 1 {
        assert!(Instant::now() < deadline, "nothing is removed: {:?}", names(&images));
        std::thread::sleep(Duration::from_millis(200));
    }
    cluster.run(&pipeline(&cluster, "one", &reference), &[]).assert_success();
    let said = "unpacked, more than the 1.0 MiB that images may take";
    assert_eq!(cluster.logs().matches(said).count(), 1, "{}", cluster.logs());
}
