//! Services beside steps on a cluster.

use cullet_tests::cluster::Cluster;
use cullet_tests::{Outcome, cullet_binary};

use super::images::{keys, log, registry};
use super::stub::Fault;

/// A step on the machine's own root and one in an image, each with a service that answers with what the image has.
const PIPELINE: &str = "
cullet: 1
name: services
images: { app: 'IMAGE' }
steps:
  outside:
    run: 'busybox nc data 7 < /dev/null > o'
    outputs: { o: o }
    services: { data: { image: app, run: [busybox, nc, -ll, -p, 7, -e, cat, /layer], ready: { tcp: 7 } } }
  inside:
    image: app
    inputs: { i: outside.o }
    run: 'cat i; busybox nc other 80 < /dev/null'
    services: { other: { image: app, run: 'echo up >&2; exec busybox nc -ll -p 80 -e echo two', ready: { tcp: 80 } } }
";

#[test]
fn services_run_beside_steps_on_any_worker_with_the_key_of_one_machine() {
    let cluster = Cluster::start(1, 2);
    cluster.with_workers(2);
    let registry = registry(cluster.dir(), || Fault::None);
    let dir = cluster.pipeline("p", &PIPELINE.replace("IMAGE", &registry.reference));
    let there = cluster.run(&dir, &[]);
    there.assert_success();
    let mut said = log(&there, "inside");
    said.sort();
    assert_eq!(said, ["onetwo", "other | up"], "{:?}", there.events);
    assert_eq!(cluster.run(&dir, &[]).cached().len(), 2);
    let here = cluster.command().current_dir(&dir).args(["run", "--progress", "json"]).output().unwrap();
    let here = Outcome::of(&here);
    here.assert_success();
    assert_eq!(keys(&there), keys(&here));

    let never =
        PIPELINE.replace("IMAGE", &registry.reference).replace("{ tcp: 7 }", "{ tcp: 8, timeout: 1s }");
    let failed = cluster.run(&cluster.pipeline("never", &never), &[]);
    assert_eq!(failed.exit_code, 1, "{}", failed.stderr);
    let reason = failed.steps["outside"].reason.as_deref().unwrap();
    assert_eq!(reason, "the service 'data' was not ready within 1s: nothing listens at port 8");
}

#[test]
fn workers_that_isolate_nothing_take_no_step_with_services() {
    let mut cluster = Cluster::prepare(cullet_binary().clone(), 1, 1);
    cluster.run_coordinator_with(0, &["--absence-grace", "2"]);
    cluster.agreed();
    cluster.run_worker(0, &["--executor", "plain"]);
    cluster.with_workers(1);
    let registry = registry(cluster.dir(), || Fault::None);
    let nowhere = cluster.run(&cluster.pipeline("p", &PIPELINE.replace("IMAGE", &registry.reference)), &[]);
    let reason = nowhere.steps["outside"].reason.as_deref().unwrap_or_default();
    assert_eq!(nowhere.exit_code, 3, "{}", nowhere.stderr);
    assert!(reason.starts_with("no worker has labels") && reason.contains("images=oci"), "{reason}");
}
