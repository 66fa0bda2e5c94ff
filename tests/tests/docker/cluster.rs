//! A worker of a cluster that runs steps in containers.

use cullet_tests::cluster::Cluster;
use cullet_tests::{Outcome, cullet_binary};

use super::engine::{Engine, log};
use super::made::Image;
use super::stub::{Fault, Stub};

#[test]
fn a_worker_on_docker_takes_steps_in_images_with_their_usual_keys_and_no_others() {
    let Some(engine) = Engine::shared() else { return };
    let mut cluster =
        Cluster::prepare(cullet_binary().clone(), 1, 1).with_variable("DOCKER_HOST", &engine.host());
    cluster.run_coordinator_with(0, &["--absence-grace", "2"]);
    cluster.agreed();
    cluster.run_worker(0, &["--executor", "docker"]);
    cluster.with_workers(1);
    let layout = cluster.dir().join("layout");
    let digest = Image::default().layout(&layout);
    let registry = Stub::new(&layout, |_, _| Fault::None);
    let image = registry.reference(&format!("@{digest}"));
    let text = format!(
        "cullet: 1\nsteps:\n  a: {{ image: '{image}', run: 'cat /layer > o', outputs: {{ o: o }} }}\n  \
         b: {{ image: '{image}', inputs: {{ i: a.o }}, run: 'cat i; test -e /.dockerenv && echo contained' }}\n"
    );
    let dir = cluster.pipeline("p", &text);
    let there = cluster.run(&dir, &[]);
    there.assert_success();
    assert_eq!(log(&there, "b"), "onecontained\n");
    let local = ["run", "--progress", "json", "--executor", "sandbox", "--no-cache", "a"];
    let here = Outcome::of(&cluster.command().current_dir(&dir).args(local).output().unwrap());
    here.assert_success();
    assert_eq!(here.steps["a"].action_digest, there.steps["a"].action_digest);

    let host = cluster.run(&cluster.pipeline("host", "cullet: 1\nsteps: { a: { run: 'true' } }\n"), &[]);
    let reason = host.steps["a"].reason.as_deref().unwrap_or_default();
    assert_eq!(host.exit_code, 3, "{}", host.stderr);
    assert!(reason.starts_with("no worker has labels") && reason.contains("image=host:"), "{reason}");
}
