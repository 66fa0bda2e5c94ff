//! A worker's process: the real one, with steps that only take time.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use cullet_cache::{ActionResult, LogStream};
use cullet_digest::Digest;
use cullet_worker::logs::LogEvents;
use cullet_worker::remote::{Daemon, DaemonConfig, DaemonParts, Exchange, Limits, Runner};
use cullet_worker::{Attempt, AttemptReport};
use tokio_util::sync::CancellationToken;

use super::ledger::{Ledger, Store, now};
use super::pipeline::ID;
use crate::chance::Chance;
use crate::network;

/// How long steps take, milliseconds.
const SHORTEST: u64 = 10;
const LONGEST: u64 = 900;

/// Some are longer than it takes until a lost worker's steps run elsewhere: of a hundred, and milliseconds.
const LONG: u64 = 15;
const VERY_LONG: u64 = 9000;

/// Steps of a hundred that fail by themselves.
const FAILING: u64 = 6;

/// Runs until the host crashes.
pub(crate) async fn work(
    host: String,
    coordinators: Vec<String>,
    mut chance: Chance,
    ledger: Ledger,
    store: Store,
) {
    let label = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let config = DaemonConfig {
        name: host.clone(),
        incarnation: chance.next(),
        address: network::url(&host),
        cpu_millis: 2000,
        memory_bytes: 1 << 30,
        labels: [label("Arch", "x86_64"), label("OSFamily", "linux"), label("image", "host:simulated")]
            .into(),
        coordinators,
        dial: network::dial(),
        limits: Limits::default(),
    };
    let steps = Steps { host, chance: Mutex::new(chance), ledger };
    let parts = DaemonParts {
        worker: Arc::new(steps),
        blobs: store.blobs,
        exchange: Arc::new(Nothing),
        in_use: cullet_worker::InUse::default(),
        room: cullet_worker::Room::default(),
        signing: None,
    };
    match Daemon::new(config, parts) {
        Ok(daemon) => drop(daemon.run(CancellationToken::new()).await),
        Err(error) => panic!("a worker that cannot begin: {error}"),
    }
}

/// Steps that sleep for a while, and fail at times.
#[derive(Debug)]
struct Steps {
    host: String,
    chance: Mutex<Chance>,
    ledger: Ledger,
}

#[async_trait]
impl Runner for Steps {
    async fn run(&self, attempt: Attempt, _: Box<dyn LogEvents>, cancel: CancellationToken) -> AttemptReport {
        if cancel.is_cancelled() {
            return AttemptReport::Cancelled { result: None };
        }
        let id = attempt.action.env.iter().find(|(name, _)| name == ID).map(|(_, id)| id.clone());
        let id = id.unwrap_or_default();
        let (took, fails) = {
            let mut chance = self.chance.lock().unwrap_or_else(PoisonError::into_inner);
            let longest = if chance.percent(LONG) { VERY_LONG } else { LONGEST };
            (chance.among(SHORTEST..=longest), chance.percent(FAILING))
        };
        let number = {
            let mut pages = self.ledger.open();
            pages.lines.push(format!("{} {} begins {id}", now(), self.host));
            pages.executions.entry(id.clone()).or_default().push(self.host.clone());
            pages.begun.push(id.clone());
            pages.over.insert(id.clone(), false);
            pages.executions.get(&id).map_or(0, Vec::len)
        };
        let over = cancel.run_until_cancelled(tokio::time::sleep(Duration::from_millis(took))).await;
        {
            let mut pages = self.ledger.open();
            pages.lines.push(format!("{} {} ends {id}: {}", now(), self.host, over.is_some()));
            if pages.executions.get(&id).map_or(0, Vec::len) == number {
                pages.over.insert(id.clone(), true);
            }
        }
        match over {
            None => AttemptReport::Cancelled { result: None },
            Some(()) if fails => {
                let result = result(1, took, &self.host);
                AttemptReport::Failed { result, reason: None, warnings: Vec::new() }
            }
            Some(()) => {
                AttemptReport::Succeeded { result: result(0, took, &self.host), warnings: Vec::new() }
            }
        }
    }
}

fn result(exit_code: i32, duration_ms: u64, worker: &str) -> ActionResult {
    ActionResult {
        exit_code,
        outputs: Vec::new(),
        stdout: LogStream::default(),
        stderr: LogStream::default(),
        interleaving: Vec::new(),
        worker: worker.to_owned(),
        started_at_ms: 1,
        duration_ms,
        usage: Default::default(),
        signature: None,
        trees: Vec::new(),
        times: Default::default(),
    }
}

/// All have the same store.
#[derive(Debug)]
struct Nothing;

#[async_trait]
impl Exchange for Nothing {
    async fn prefetch(&self, _: &Digest) {}

    async fn publish(&self, _: &ActionResult) -> Result<(), String> {
        Ok(())
    }
}
