//! Attempts at steps in images.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use cullet_cache::Action;
use cullet_worker::attempt::{AttemptReport, Worker, WorkerConfig};
use cullet_worker::logs::NoEvents;
use cullet_worker::{Exit, HeldRoot, ImageFault, ImageProgram, ImageRoot, ImageRoots};
use tokio_util::sync::CancellationToken;

use crate::fixture::{Fixture, action, attempt, run, succeeded};

const KNOWN: &str = "sha256:known";
const SLOW: &str = "sha256:slow";
const GONE: &str = "sha256:gone";

/// Has one image, and counts who holds it.
#[derive(Debug, Default)]
struct One(Arc<AtomicUsize>);

struct Hold(Arc<AtomicUsize>);

impl Drop for Hold {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

static HELD: std::sync::LazyLock<Arc<AtomicUsize>> = std::sync::LazyLock::new(Arc::default);

#[async_trait]
impl ImageRoots for One {
    async fn root(&self, manifest: &str, _: Option<&str>) -> Result<HeldRoot, ImageFault> {
        match manifest {
            KNOWN => {
                self.0.fetch_add(1, Ordering::SeqCst);
                let root = ImageRoot { user: "app".to_owned(), ..ImageRoot::default() };
                Ok(HeldRoot {
                    root,
                    program: ImageProgram::default(),
                    hold: Box::new(Hold(Arc::clone(&self.0))),
                })
            }
            SLOW => std::future::pending().await,
            GONE => Err(ImageFault::permanent("it was removed")),
            other => Err(ImageFault::passing(format!("there is no {other}"))),
        }
    }
}

fn with_one(config: &mut WorkerConfig) {
    config.images = Arc::new(One(Arc::clone(&HELD)));
}

fn action_in(image: &str) -> Action {
    Action { platform: vec![("image".to_owned(), image.to_owned())], ..action(&[]) }
}

async fn image(worker: &Worker, image: &str) -> AttemptReport {
    run(worker, action_in(image)).await
}

#[tokio::test]
async fn a_step_is_launched_in_its_image_which_is_held_until_it_has_ended() {
    let fixture = Fixture { change: with_one, ..Fixture::new() };
    let worker = fixture.worker(|sight, _| match &sight.launch.image {
        Some(root) if root.user == "app" => Exit::Code(i32::from(HELD.load(Ordering::SeqCst) != 1)),
        Some(_) => Exit::Code(2),
        None => Exit::Code(3),
    });
    succeeded(image(&worker, KNOWN).await);
    assert_eq!(HELD.load(Ordering::SeqCst), 0);
    for host in ["host", "host:fingerprint"] {
        let AttemptReport::Failed { result, .. } = image(&worker, host).await else { panic!("{host}") };
        assert_eq!(result.exit_code, 3, "{host}");
    }
    assert!(matches!(run(&worker, action(&[])).await, AttemptReport::Failed { .. }));
}

#[tokio::test]
async fn no_step_runs_without_its_image() {
    let fixture = Fixture { change: with_one, ..Fixture::new() };
    let worker = fixture.worker(|_, _| Exit::Code(0));
    let AttemptReport::Infra { reason, .. } = image(&worker, "sha256:other").await else { panic!() };
    assert_eq!(reason, "the step's image cannot be had: there is no sha256:other");
    let AttemptReport::Infra { .. } = image(&worker, "unresolved:a/b").await else { panic!() };
    let AttemptReport::Impossible { reason } = image(&worker, GONE).await else { panic!() };
    assert_eq!(reason, "the step's image cannot be had: it was removed");
    let fixture = Fixture::new();
    let worker = fixture.worker(|_, _| Exit::Code(0));
    let AttemptReport::Infra { reason, .. } = image(&worker, KNOWN).await else { panic!() };
    assert!(reason.ends_with("this worker runs no steps in images, and sha256:known is one"), "{reason}");
}

#[tokio::test]
async fn whoever_waits_for_an_image_can_be_cancelled() {
    let fixture = Fixture { change: with_one, ..Fixture::new() };
    let worker = fixture.worker(|_, _| Exit::Code(0));
    let cancel = CancellationToken::new();
    let running = worker.run(attempt(action_in(SLOW)), NoEvents, cancel.clone());
    let (report, ()) = tokio::join!(running, async { cancel.cancel() });
    assert!(matches!(report, AttemptReport::Cancelled { result: None }), "{report:?}");
}
