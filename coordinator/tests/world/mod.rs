//! A world of memory around a session: a cache, workers that compute instead of running processes, and a
//! watcher.

mod memory;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use bytes::Bytes;
use cullet_cache::{Action, ActionResult, LogStream, Output, OutputKind, OutputPath};
use cullet_coordinator::deliverable::Deliverable;
use cullet_coordinator::driver::DirectDriver;
use cullet_coordinator::event::{Event, EventSink, RunEnd, StepEnd};
use cullet_coordinator::resolve::Resolver;
use cullet_coordinator::session::{self, Capacity, SessionParts, StoreBehind};
use cullet_coordinator::template::Templates;
use cullet_coordinator::workers::{Delivery, Finished, Report, StartAttempt, Workers};
use cullet_core::spec::{InputSource, InputSpec, RunSpec, StepSpec};
use cullet_core::{AttemptId, AttemptOutcome, RunId, StepId, StepIndex, WorkerId};
use cullet_digest::{Digest, DigestFunction, TreeRef};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

pub(crate) use memory::Memory;

pub(crate) const F: DigestFunction = DigestFunction::Blake3;

/// A step of a test: its script decides what the fake worker does with it.
#[derive(Debug, Clone)]
pub(crate) struct TestStep {
    pub(crate) name: &'static str,
    /// `print TEXT`: one output `out` with that text. `fail`: exit 1. `hang`: until it is stopped.
    pub(crate) script: &'static str,
    /// Steps whose output `out` is an input, at a path of the step's name.
    pub(crate) from: &'static [u32],
    pub(crate) effects: bool,
}

pub(crate) fn step(name: &'static str, script: &'static str, from: &'static [u32]) -> TestStep {
    TestStep { name, script, from, effects: false }
}

#[derive(Debug)]
struct TestTemplates(Vec<TestStep>);

impl Templates for TestTemplates {
    fn template(&self, step: u32) -> Action {
        let step = &self.0[step as usize];
        Action {
            arguments: vec![step.script.to_owned()],
            env: Vec::new(),
            working_directory: String::new(),
            outputs: vec![OutputPath { path: "out".to_owned(), globs: false, optional: false }],
            input_root: F.digest(b""),
            platform: vec![("environment".to_owned(), "1".to_owned())],
            timeout: std::time::Duration::from_secs(60),
            do_not_cache: step.effects,
            salt: Vec::new(),
            trees: false,
        }
    }

    fn outputs(&self, _: u32) -> Vec<String> {
        vec!["out".to_owned()]
    }

    fn reports(&self, _: u32) -> Vec<String> {
        Vec::new()
    }

    fn limits(&self, _: u32) -> cullet_pipeline::plan::Limits {
        cullet_pipeline::plan::Limits::default()
    }

    fn service_images(&self, _: u32) -> Vec<(String, String)> {
        Vec::new()
    }

    fn image(&self, _: u32) -> Option<&str> {
        None
    }

    fn caches(&self, _: u32) -> &[cullet_pipeline::plan::CacheVolume] {
        &[]
    }

    fn deliverables(&self) -> Vec<Deliverable<u16>> {
        let last = self.0.len() as u32 - 1;
        vec![Deliverable::tree("result", last, 0)]
    }
}

/// Computes what steps would do, and writes the cache as a worker does.
#[derive(Debug)]
struct FakeWorkers {
    memory: Arc<Memory>,
    stops: Mutex<BTreeMap<StepId, CancellationToken>>,
    log: Arc<Mutex<Vec<String>>>,
    /// Names of steps whose next attempt says that its first input is lost.
    lose: Mutex<BTreeSet<String>>,
    /// Names of steps whose input root is gone when their next attempt begins.
    evict: Mutex<BTreeSet<String>>,
    /// Names of steps whose next attempt the machine fails.
    refuse: Mutex<BTreeSet<String>>,
}

#[async_trait]
impl Workers for FakeWorkers {
    async fn start(&self, start: StartAttempt, reports: mpsc::Sender<Report>) {
        self.log.lock().unwrap().push(start.name.clone());
        let stop = CancellationToken::new();
        self.stops.lock().unwrap().insert(start.id, stop.clone());
        let lost = self.lose.lock().unwrap().remove(&start.name);
        let refused = self.refuse.lock().unwrap().remove(&start.name);
        let memory = self.memory.clone();
        if self.evict.lock().unwrap().remove(&start.name) {
            memory.blobs.lock().unwrap().remove(&start.action.input_root).expect("it was stored");
        }
        tokio::spawn(async move {
            let script = start.action.arguments[0].clone();
            let outcome = match script.split_once(' ') {
                _ if lost => AttemptOutcome::InputLost { inputs: [0].into() },
                _ if refused => AttemptOutcome::Infra { reason: "no launcher".into() },
                _ if !memory.has(&start.action.input_root) => AttemptOutcome::InputLost { inputs: [].into() },
                Some(("print", text)) => {
                    AttemptOutcome::Succeeded { outputs: [memory.keep(&start, text)].into() }
                }
                _ if script == "hang" => {
                    stop.cancelled().await;
                    AttemptOutcome::Cancelled
                }
                _ => AttemptOutcome::Failed { exit_code: 1 },
            };
            let (id, attempt, epoch) = (start.id, start.attempt, start.epoch);
            let finished = Finished {
                id,
                attempt,
                epoch,
                outcome,
                duration_ms: 5,
                exit_code: None,
                reason: None,
                result: None,
                recorded: true,
                tests: None,
            };
            reports.send(Report::Finished(Box::new(finished))).await.unwrap();
        });
    }

    fn stop(&self, id: StepId, _: AttemptId) {
        self.stops.lock().unwrap()[&id].cancel();
    }

    fn name(&self, _: WorkerId) -> String {
        "here".to_owned()
    }
}

impl Memory {
    /// A directory that is empty is never stored.
    fn has(&self, root: &Digest) -> bool {
        *root == F.digest(b"") || self.blobs.lock().unwrap().contains_key(root)
    }

    fn keep(&self, start: &StartAttempt, text: &str) -> TreeRef {
        let digest = F.digest(text.as_bytes());
        self.blobs.lock().unwrap().insert(digest, Bytes::copy_from_slice(text.as_bytes()));
        let tree = TreeRef::File { digest, executable: false };
        let result = ActionResult {
            exit_code: 0,
            outputs: vec![Output { path: "out".to_owned(), kind: OutputKind::Tree(tree) }],
            stdout: LogStream::default(),
            stderr: LogStream::default(),
            interleaving: Vec::new(),
            worker: "here".to_owned(),
            started_at_ms: 0,
            duration_ms: 5,
            usage: Default::default(),
            signature: None,
            trees: Vec::new(),
            times: Default::default(),
        };
        if !start.action.do_not_cache {
            self.results.lock().unwrap().insert(start.digest, result);
        }
        tree
    }
}

/// Remembers every event.
#[derive(Debug, Clone, Default)]
pub(crate) struct Watcher(Arc<Mutex<Vec<Event>>>);

impl EventSink for Watcher {
    fn event(&mut self, event: &Event) {
        self.0.lock().unwrap().push(event.clone());
    }
}

/// Says that what it was given is lost, as often as it is told to.
#[derive(Debug, Default)]
pub(crate) struct FakeDelivery {
    pub(crate) lose: Mutex<u32>,
    pub(crate) delivered: Mutex<Vec<String>>,
}

#[async_trait]
impl Delivery for FakeDelivery {
    async fn deliver(&self, outputs: Vec<Deliverable<TreeRef>>) -> Result<Vec<StepIndex>, String> {
        let mut lose = self.lose.lock().unwrap();
        if *lose > 0 {
            *lose -= 1;
            return Ok(outputs.into_iter().flat_map(|output| output.parts).map(|(step, _)| step).collect());
        }
        self.delivered.lock().unwrap().extend(outputs.into_iter().map(|output| output.path));
        Ok(Vec::new())
    }
}

/// What a test looks at.
pub(crate) struct Outcome {
    pub(crate) end: RunEnd,
    /// Names of started steps, in order.
    pub(crate) started: Vec<String>,
    pub(crate) events: Vec<Event>,
}

impl Outcome {
    pub(crate) fn step(&self, name: &str) -> StepEnd {
        let ends = self.events.iter().rev().filter_map(|event| match event {
            Event::StepFinished(end) => Some(end),
            _ => None,
        });
        ends.into_iter().find(|end| end.step == name).cloned().unwrap_or_else(|| panic!("{name} has no end"))
    }

    pub(crate) fn notes(&self) -> Vec<&str> {
        let notes = self.events.iter().filter_map(|event| match event {
            Event::Note(note) => Some(note.text.as_str()),
            _ => None,
        });
        notes.collect()
    }
}

fn names(names: &[&str]) -> Mutex<BTreeSet<String>> {
    Mutex::new(names.iter().map(|name| (*name).to_owned()).collect())
}

#[derive(Default)]
pub(crate) struct World {
    pub(crate) memory: Arc<Memory>,
    pub(crate) delivery: Arc<FakeDelivery>,
    pub(crate) cancel: CancellationToken,
    pub(crate) keep_going: bool,
    pub(crate) deliver: bool,
    pub(crate) lose: &'static [&'static str],
    pub(crate) evict: &'static [&'static str],
    pub(crate) refuse: &'static [&'static str],
    pub(crate) retry_infra: u8,
    /// How many blobs of every result are missing.
    pub(crate) incomplete: Option<usize>,
    pub(crate) behind: Option<Arc<dyn StoreBehind>>,
}

impl World {
    pub(crate) async fn run(&self, steps: &[TestStep]) -> Outcome {
        let templates = Arc::new(TestTemplates(steps.to_vec()));
        let log = Arc::new(Mutex::new(Vec::new()));
        let watcher = Watcher::default();
        let workers = FakeWorkers {
            memory: self.memory.clone(),
            stops: Mutex::default(),
            log: log.clone(),
            lose: names(self.lose),
            evict: names(self.evict),
            refuse: names(self.refuse),
        };
        let parts = SessionParts {
            driver: DirectDriver::default(),
            resolver: Arc::new(self.resolver(templates.clone())),
            templates: templates.clone(),
            workers: Arc::new(workers),
            delivery: self.delivery.clone(),
            behind: self.behind.clone(),
            events: Box::new(watcher.clone()),
        };
        let capacity = Capacity { cpu_millis: 2000, memory_bytes: 1 << 30 };
        let run = session::run(RunId(7), self.spec(&templates), capacity, parts, self.cancel.clone());
        let bound = std::time::Duration::from_secs(20);
        let end = tokio::time::timeout(bound, run).await.expect("the run ends").expect("the driver works");
        let started = log.lock().unwrap().clone();
        let events = watcher.0.lock().unwrap().clone();
        Outcome { end, started, events }
    }

    fn resolver(&self, templates: Arc<TestTemplates>) -> Resolver {
        let incomplete = self.incomplete;
        Resolver::new(F, self.memory.clone(), self.memory.clone(), templates, Arc::new(move |_| incomplete))
    }

    fn spec(&self, templates: &TestTemplates) -> RunSpec {
        let spec = |index: u32, step: &TestStep| StepSpec {
            name: step.name.into(),
            command: templates.template(index).encode(F).command_digest,
            inputs: step
                .from
                .iter()
                .map(|from| InputSpec {
                    path: templates.0[*from as usize].name.into(),
                    source: InputSource::Output { step: *from, output: 0 },
                })
                .collect(),
            after: Box::default(),
            outputs: 1,
            requires: 0,
            cpu_millis: 1000,
            memory_bytes: 0,
            timeout_ms: 60_000,
            limits: 0,
            retry_failure: 0,
            retry_infra: self.retry_infra,
            effects: step.effects,
            allow_failure: false,
            bypass_cache: false,
            skip: None,
        };
        let steps: Vec<StepSpec> =
            templates.0.iter().zip(0..).map(|(step, index)| spec(index, step)).collect();
        let last = steps.len() as u32 - 1;
        let deliver: Box<[u32]> = if self.deliver { [last].into() } else { Box::default() };
        let (pipeline, keep_going) = ("test".into(), self.keep_going);
        RunSpec { pipeline, steps, keep_going, deliver, ..RunSpec::default() }
    }
}
