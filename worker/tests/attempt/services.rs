//! Attempts at steps with services.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use cullet_cache::Action;
use cullet_cache::services::{Check, Ready, Service, property};
use cullet_worker::attempt::{Attempt, AttemptReport, WorkerConfig};
use cullet_worker::logs::NoEvents;
use cullet_worker::{Exit, HeldRoot, ImageFault, ImageProgram, ImageRoot, ImageRoots};
use tokio_util::sync::CancellationToken;

use crate::fixture::{Fixture, action, attempt, run, succeeded};

/// Has every image but one, and knows who asked for what.
#[derive(Debug, Default)]
struct Any;

static ASKED: Mutex<Vec<(String, Option<String>)>> = Mutex::new(Vec::new());

#[async_trait]
impl ImageRoots for Any {
    async fn root(&self, manifest: &str, reference: Option<&str>) -> Result<HeldRoot, ImageFault> {
        ASKED.lock().unwrap().push((manifest.to_owned(), reference.map(str::to_owned)));
        if manifest == "sha256:gone" {
            return Err(ImageFault::passing("it is gone"));
        }
        let root = ImageRoot { user: manifest.to_owned(), ..ImageRoot::default() };
        let arguments = vec!["entrypoint".to_owned(), "server".to_owned()];
        let program = ImageProgram { arguments, working_directory: "/srv".to_owned() };
        Ok(HeldRoot { root, program, hold: Box::new(()) })
    }
}

fn with_any(config: &mut WorkerConfig) {
    config.images = Arc::new(Any);
}

fn service(name: &str, image: &str, command: Option<&str>) -> Service {
    let command = command.map(|command| vec![command.to_owned()]);
    let ready = Some(Ready { check: Check::Tcp { port: 7 }, timeout_ms: 5, interval_ms: 1 });
    let env = vec![("A".to_owned(), name.to_owned())];
    Service { name: name.to_owned(), image: image.to_owned(), command, env, ready, secrets: Vec::new() }
}

fn action_with(services: Vec<Service>) -> Action {
    Action { platform: property(services).into_iter().collect(), ..action(&[]) }
}

#[tokio::test]
async fn services_are_launched_in_their_images_as_those_or_the_pipeline_say() {
    let fixture = Fixture { change: with_any, ..Fixture::new() };
    let worker = fixture.worker(|sight, _| {
        let [one, two] = &sight.launch.services[..] else { panic!("{:?}", sight.launch) };
        assert_eq!((one.name.as_str(), one.image.user.as_str(), &*one.env[0].1), ("one", "sha256:a", "one"));
        assert_eq!(
            (&one.arguments[..], &*one.working_directory),
            (&["entrypoint".to_owned(), "server".to_owned()][..], "/srv")
        );
        assert_eq!((two.arguments.join(" "), two.ready.as_ref().unwrap().timeout_ms), ("run".to_owned(), 5));
        Exit::Code(0)
    });
    let action = action_with(vec![service("two", "sha256:b", Some("run")), service("one", "sha256:a", None)]);
    let references = [("one", "a/one:1"), ("other", "a/other")];
    let service_images: BTreeMap<String, String> =
        references.into_iter().map(|(name, image)| (name.to_owned(), image.to_owned())).collect();
    let attempt = Attempt { service_images, ..attempt(action) };
    succeeded(worker.run(attempt, NoEvents, CancellationToken::new()).await);
    let asked = ASKED.lock().unwrap().clone();
    for (manifest, reference) in [("sha256:a", Some("a/one:1")), ("sha256:b", None)] {
        assert!(asked.contains(&(manifest.to_owned(), reference.map(str::to_owned))), "{asked:?}");
    }
}

#[tokio::test]
async fn what_services_did_is_said_where_the_step_fails() {
    let fixture = Fixture { change: with_any, ..Fixture::new() };
    let action = || action_with(vec![service("a", "sha256:a", None), service("b", "sha256:b", None)]);
    let said = "'a' has gone; 'b' has gone";
    let worker = fixture.worker(|_, _| Exit::Code(7));
    let AttemptReport::Failed { reason, result, .. } = run(&worker, action()).await else { panic!() };
    assert_eq!((reason.as_deref(), result.exit_code), (Some(said), 7));
    let worker = fixture.worker(|_, _| Exit::TimedOut);
    let AttemptReport::TimedOut { warnings, .. } = run(&worker, action()).await else { panic!() };
    assert_eq!(warnings, [said]);
    let worker = fixture.worker(|_, _| Exit::Code(0));
    let AttemptReport::Succeeded { warnings, .. } = run(&worker, action()).await else { panic!() };
    assert_eq!(warnings, [""; 0], "a result that can be used is kept");
}

#[tokio::test]
async fn no_step_runs_without_its_services() {
    let fixture = Fixture { change: with_any, ..Fixture::new() };
    let worker = fixture.worker(|_, _| Exit::Code(0));
    let gone = action_with(vec![service("db", "sha256:gone", None)]);
    let AttemptReport::Infra { reason, .. } = run(&worker, gone).await else { panic!() };
    assert_eq!(reason, "the image of the service 'db' cannot be had: it is gone");
    let platform = vec![("services".to_owned(), r#"[{"name":"db","image":"i","volumes":[]}]"#.to_owned())];
    let unknown = Action { platform, ..action(&[]) };
    let AttemptReport::Infra { reason, .. } = run(&worker, unknown).await else { panic!() };
    assert!(
        reason.starts_with("the services of this action are written in a form that is not known here"),
        "{reason}"
    );
}
