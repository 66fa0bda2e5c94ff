//! What a container takes, as far as the engine tells while it runs.

use std::sync::{Arc, Mutex, PoisonError};

use bollard::models::ContainerStatsResponse;
use bollard::query_parameters::StatsOptionsBuilder;
use futures_util::StreamExt as _;
use tokio::task::JoinHandle;

use super::container::Container;
use crate::Usage;

/// Listens to the engine, which measures once a second.
#[derive(Debug)]
pub(super) struct Watching {
    usage: Arc<Mutex<Usage>>,
    listening: JoinHandle<()>,
}

impl Watching {
    pub(super) fn start(container: &Container) -> Self {
        let usage = Arc::new(Mutex::new(Usage::default()));
        let (seen, engine, id) = (Arc::clone(&usage), container.engine.clone(), container.id.clone());
        let listening = tokio::spawn(async move {
            let options = StatsOptionsBuilder::default().stream(true).build();
            let mut measured = Box::pin(engine.client().stats(&id, Some(options)));
            // An engine that does not tell leaves the usage unknown.
            while let Some(Ok(now)) = measured.next().await {
                take_in(&mut seen.lock().unwrap_or_else(PoisonError::into_inner), &now);
            }
        });
        Self { usage, listening }
    }

    /// The most that was seen.
    pub(super) fn seen(&self) -> Usage {
        *self.usage.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Watching {
    fn drop(&mut self) {
        self.listening.abort();
    }
}

const NANOS_PER_MS: u64 = 1_000_000;

/// All of these only grow, but for memory, and after the end everything is 0.
fn take_in(usage: &mut Usage, now: &ContainerStatsResponse) {
    let cpu = now.cpu_stats.as_ref().and_then(|cpu| cpu.cpu_usage.as_ref()).and_then(|cpu| cpu.total_usage);
    let memory = now.memory_stats.as_ref();
    let peak = memory.and_then(|memory| memory.max_usage.max(memory.usage));
    let entries = now.blkio_stats.as_ref().and_then(|blocks| blocks.io_service_bytes_recursive.as_ref());
    let moved = |wanted: &str| -> u64 {
        let of_kind = entries
            .into_iter()
            .flatten()
            .filter(|entry| entry.op.as_ref().is_some_and(|op| op.eq_ignore_ascii_case(wanted)));
        of_kind.filter_map(|entry| entry.value).sum()
    };
    usage.cpu_ms = usage.cpu_ms.max(cpu.unwrap_or(0) / NANOS_PER_MS);
    usage.peak_memory_bytes = usage.peak_memory_bytes.max(peak.unwrap_or(0));
    usage.read_bytes = usage.read_bytes.max(moved("read"));
    usage.written_bytes = usage.written_bytes.max(moved("write"));
}

#[test]
fn the_most_of_everything_counts() {
    let told = |cpu: u64, memory: &str| -> ContainerStatsResponse {
        let text = format!(
            r#"{{"cpu_stats":{{"cpu_usage":{{"total_usage":{cpu}}}}},"memory_stats":{memory},"blkio_stats":{{
                "io_service_bytes_recursive":[{{"op":"Read","value":5}},{{"op":"read","value":2}},{{"op":"Write","value":{cpu}}}]}}}}"#
        );
        serde_json::from_str(&text).unwrap()
    };
    let mut usage = Usage::default();
    take_in(&mut usage, &told(3_000_000, r#"{"usage":10}"#));
    take_in(&mut usage, &told(9_000_000, r#"{"usage":4,"max_usage":12}"#));
    take_in(&mut usage, &told(0, "{}"));
    assert_eq!((usage.cpu_ms, usage.peak_memory_bytes), (9, 12));
    assert_eq!((usage.read_bytes, usage.written_bytes), (7, 9_000_000));
}
