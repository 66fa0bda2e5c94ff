//! Steps that continue each other's roots on different workers, and the image that comes of it.

use std::path::Path;

use cullet_tests::Outcome;
use cullet_tests::cluster::Cluster;

use super::made::Image;
use super::stub::{Fault, Stub};

const PIPELINE: &str = "cullet: 1
name: roots
steps:
  install: { image: 'IMAGE', run: 'echo tool > /tool; busybox rm /layer' }
  build: { from: install, run: 'cat /tool /tool > /built', outputs: { image: rootfs } }
  test: { from: build, run: 'test ! -e /layer; cat /built' }
outputs: { app: build.image, app.tar: { from: build.image, format: docker-archive } }
";

fn manifest(dir: &Path) -> String {
    let index = std::fs::read_to_string(dir.join("app/index.json")).unwrap();
    let index: serde_json::Value = serde_json::from_str(&index).unwrap();
    index["manifests"][0]["digest"].as_str().unwrap().to_owned()
}

#[test]
fn roots_travel_between_workers_and_images_come_to_whoever_asks() {
    let cluster = Cluster::start(3, 2);
    cluster.with_workers(2);
    let layout = cluster.dir().join("layout");
    let digest = Image::default().layout(&layout);
    let registry = Stub::new(&layout, |_, _| Fault::None);
    let text = PIPELINE.replace("IMAGE", &registry.reference(&format!("@{digest}")));
    let dir = cluster.pipeline("p", &text);
    let out = |name: &str| dir.join(name).to_str().unwrap().to_owned();
    let there = cluster.run(&dir, &["--output", &out("there")]);
    there.assert_success();
    assert_eq!(there.executed().len(), 3);
    let again = cluster.run(&dir, &["--output", &out("again")]);
    again.assert_success();
    assert_eq!((again.executed().len(), again.cached().len()), (0, 3));
    // Often enough that both workers have run each of them.
    for _ in 0..3 {
        cluster.run(&dir, &["--no-cache"]).assert_success();
    }
    let here = cluster
        .command()
        .current_dir(&dir)
        .args(["run", "--progress", "json", "--output", &out("here")])
        .output()
        .unwrap();
    let here = Outcome::of(&here);
    here.assert_success();
    let key = |outcome: &Outcome, step: &str| outcome.steps[step].action_digest.clone();
    for step in ["install", "build", "test"] {
        assert_eq!(key(&there, step), key(&here, step), "{step}");
    }
    assert_eq!(manifest(&dir.join("there")), manifest(&dir.join("here")));
    assert_eq!(manifest(&dir.join("there")), manifest(&dir.join("again")));
    let archive = |name: &str| std::fs::read(dir.join(name).join("app.tar")).unwrap();
    assert_eq!(archive("there"), archive("here"));
}
