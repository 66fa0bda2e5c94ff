//! Steps in images on a cluster.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use cullet_tests::cluster::Cluster;
use cullet_tests::{Outcome, cullet_binary};

use super::made::Image;
use super::stub::{Fault, Stub};

/// What is in the image and how far the step is isolated, and a step outside of it.
fn pipeline(cluster: &Cluster, image: &str) -> PathBuf {
    let text = format!(
        "cullet: 1\nname: images\nsteps:\n  inside:\n    image: '{image}'\n    \
         run: 'test ! -e /usr; cat /layer > o; echo $FROM_IMAGE >> o'\n    outputs: {{ o: o }}\n  \
         outside: {{ inputs: {{ i: inside.o }}, run: 'cat i; ls /usr > /dev/null' }}\n"
    );
    cluster.pipeline("p", &text)
}

/// A registry with an image.
pub(super) struct Registry {
    stub: Stub,
    /// How a pipeline names the image.
    pub(super) reference: String,
    layers: Vec<String>,
}

/// `script` is asked for requests of layers: clients ask for the rest to know what the image is.
pub(super) fn registry(dir: &Path, script: impl Fn() -> Fault + Send + Sync + 'static) -> Registry {
    let layout = dir.join("layout");
    let digest = Image::default().layout(&layout);
    let manifest = std::fs::read(layout.join("blobs").join(digest.replace(':', "/"))).unwrap();
    let manifest: serde_json::Value = serde_json::from_slice(&manifest).unwrap();
    let layers = manifest["layers"].as_array().unwrap().iter();
    let layers: Vec<String> = layers.map(|layer| layer["digest"].as_str().unwrap().to_owned()).collect();
    let scripted = layers.clone();
    let stub = Stub::new(&layout, move |request, _| {
        if scripted.iter().any(|layer| request.path.ends_with(layer)) { script() } else { Fault::None }
    });
    Registry { reference: stub.reference(&format!("@{digest}")), stub, layers }
}

impl Registry {
    /// How often each layer was asked for.
    fn pulls(&self) -> Vec<usize> {
        let requests = self.stub.requests();
        let pulls = |layer: &String| requests.iter().filter(|request| request.path.ends_with(layer)).count();
        self.layers.iter().map(pulls).collect()
    }
}

pub(super) fn keys(outcome: &Outcome) -> Vec<(String, Option<String>)> {
    outcome.steps.iter().map(|(name, step)| (name.clone(), step.action_digest.clone())).collect()
}

pub(super) fn log(outcome: &Outcome, step: &str) -> Vec<String> {
    let lines = outcome.events.iter().filter(|event| event["event"] == "step_log" && event["step"] == step);
    lines.map(|line| line["text"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn a_step_in_an_image_runs_on_any_worker_with_the_key_of_one_machine() {
    let cluster = Cluster::start(3, 2);
    cluster.with_workers(2);
    let registry = registry(cluster.dir(), || Fault::None);
    let dir = pipeline(&cluster, &registry.reference);
    let there = cluster.run(&dir, &[]);
    there.assert_success();
    assert_eq!(log(&there, "outside"), ["oneyes"], "{:?}", there.events);
    assert_eq!(registry.pulls(), [1, 1]);
    let again = cluster.run(&dir, &["--no-cache"]);
    again.assert_success();
    assert_eq!(again.executed().len(), 2);
    assert_eq!(cluster.run(&dir, &[]).cached().len(), 2);
    let text = "cullet: 1\nsteps:\n  many:\n    matrix: { n: [1, 2, 3, 4, 5, 6, 7, 8] }\n    image: 'IMAGE'\n    \
                run: 'echo ${{ matrix.n }}'\n";
    let many = cluster.run(&cluster.pipeline("many", &text.replace("IMAGE", &registry.reference)), &[]);
    many.assert_success();
    let pulls = registry.pulls();
    assert!(pulls.iter().all(|pulls| *pulls <= 2), "each worker pulls once: {pulls:?}");
    let here = cluster.command().current_dir(&dir).args(["run", "--progress", "json"]).output().unwrap();
    let here = Outcome::of(&here);
    here.assert_success();
    assert_eq!(keys(&there), keys(&here));
}

#[test]
fn an_image_that_cannot_be_had_fails_the_step_and_says_why() {
    let cluster = Cluster::start(1, 1);
    cluster.with_workers(1);
    let broken = Arc::new(AtomicBool::new(true));
    let is_broken = Arc::clone(&broken);
    let registry = registry(cluster.dir(), move || {
        if is_broken.load(Ordering::Relaxed) { Fault::status(403) } else { Fault::None }
    });
    let dir = pipeline(&cluster, &registry.reference);
    let failed = cluster.run(&dir, &[]);
    assert_eq!((failed.exit_code, &*failed.steps["inside"].status), (3, "infra_failed"), "{}", failed.stderr);
    let reason = failed.steps["inside"].reason.as_deref().unwrap();
    assert!(reason.contains("the step's image cannot be had") && reason.contains("403"), "{reason}");
    let started = failed.events.iter().filter(|event| event["event"] == "step_started").count();
    assert_eq!(started, 1, "what stays as it is is not tried again");
    broken.store(false, Ordering::Relaxed);
    cluster.run(&dir, &[]).assert_success();
}

#[test]
fn an_image_in_a_file_is_refused_and_workers_that_isolate_nothing_take_no_image() {
    let mut cluster = Cluster::prepare(cullet_binary().clone(), 1, 1);
    cluster.run_coordinator_with(0, &["--absence-grace", "2"]);
    cluster.agreed();
    cluster.run_worker(0, &["--executor", "plain"]);
    cluster.with_workers(1);
    let dir = pipeline(&cluster, "oci-layout:app");
    Image::default().layout(&dir.join("app"));
    let refused = cluster.run(&dir, &[]);
    assert_eq!(refused.exit_code, 2, "{}", refused.stderr);
    let said = "cullet.yaml:4: step 'inside': the image 'oci-layout:app' is on this machine";
    assert!(refused.stderr.contains(said) && refused.stderr.contains("registry"), "{}", refused.stderr);
    let registry = registry(cluster.dir(), || Fault::None);
    let nowhere = cluster.run(&pipeline(&cluster, &registry.reference), &[]);
    let reason = nowhere.steps["inside"].reason.as_deref().unwrap_or_default();
    assert_eq!(nowhere.exit_code, 3, "{}", nowhere.stderr);
    assert!(reason.starts_with("no worker has labels") && reason.contains("images=oci"), "{reason}");
}

#[test]
fn an_image_for_another_platform_is_refused_at_once_and_its_steps_get_no_other_workers() {
    let cluster = Cluster::start(1, 1);
    cluster.with_workers(1);
    let layout = cluster.dir().join("layout");
    let digest = Image { architecture: "riscv64", ..Image::default() }.layout(&layout);
    let stub = Stub::new(&layout, |_, _| Fault::None);
    let reference = stub.reference(&format!("@{digest}"));
    let text = format!("cullet: 1\nname: p\nsteps: {{ inside: {{ image: '{reference}', run: 'true' }} }}\n");
    let dir = cluster.pipeline("other", &text);
    // Whoever submits sees it, and a lock that says otherwise is found out by the worker.
    let refused = cluster.run(&dir, &[]);
    assert_eq!(refused.exit_code, 2, "{}", refused.stderr);
    let here = super::made::architecture();
    let said = format!("is not there for linux/{here}, only for linux/riscv64");
    assert!(refused.stderr.contains(&said), "{}", refused.stderr);
    let lock =
        serde_json::json!({ "version": 1, "images": { &reference: { format!("linux/{here}"): &digest } } });
    std::fs::write(dir.join("cullet.lock"), lock.to_string()).unwrap();
    let failed = cluster.run(&dir, &["--locked"]);
    assert_eq!((failed.exit_code, &*failed.steps["inside"].status), (3, "infra_failed"), "{}", failed.stderr);
    let reason = failed.steps["inside"].reason.as_deref().unwrap();
    assert!(reason.contains(&said), "{reason}");
    let started = failed.events.iter().filter(|event| event["event"] == "step_started").count();
    assert_eq!(started, 1, "{:?}", failed.events);
}

#[test]
fn a_pipeline_runs_on_the_platform_that_it_says() {
    let cluster = Cluster::start(1, 1);
    cluster.with_workers(1);
    let registry = registry(cluster.dir(), || Fault::None);
    let of = |name: &str, platform: &str| {
        let text = format!(
            "cullet: 1\nname: p\nplatform: {platform}\nsteps: {{ inside: {{ image: '{}', run: 'cat /layer' }} }}\n",
            registry.reference
        );
        (cluster.pipeline(name, &text), text)
    };
    let here = format!("linux/{}", super::made::architecture());
    let (dir, _) = of("here", &here);
    cluster.run(&dir, &[]).assert_success();
    let (dir, text) = of("there", "linux/riscv64");
    let alone = cluster.command().current_dir(&dir).args(["run"]).output().unwrap();
    let stderr = String::from_utf8_lossy(&alone.stderr);
    assert_eq!(alone.status.code(), Some(2), "{stderr}");
    let said = format!("the pipeline is for linux/riscv64, and this machine is {here}");
    assert!(stderr.contains(&said), "{stderr}");
    // A client would wait for such a worker, as it does for the first one.
    let digest = registry.reference.split_once('@').unwrap().1;
    let submitted = |platform: &str| {
        let submission = serde_json::json!({
            "pipeline": text, "images": { &registry.reference: digest }, "platform": platform
        });
        let mut command = std::process::Command::new("curl");
        command.args(["-sS", "-m", "30", "-H", "Content-Type: application/json", "-d"]);
        command.arg(submission.to_string()).arg(format!("{}/api/v1/runs", cluster.url(0)));
        String::from_utf8(command.output().unwrap().stdout).unwrap()
    };
    let nobody = submitted("");
    assert!(nobody.contains("no worker of the cluster is for linux/riscv64"), "{nobody}");
    let other = submitted(&here);
    assert!(other.contains("the pipeline is for linux/riscv64, and the digests"), "{other}");
    let wrong = submitted("riscv64");
    assert!(wrong.contains("the platform of the images cannot be used"), "{wrong}");
}
