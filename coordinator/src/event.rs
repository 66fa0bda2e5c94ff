//! What a run tells whoever watches it. These are the events of `--progress json` and of the run's history;
//! their field names are an interface (see docs/events.md).

mod wire;

use cullet_proto::v1;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

pub use wire::from_wire;

/// A time as it is told: RFC 3339 in UTC with milliseconds. Input in milliseconds since the Unix epoch.
pub fn rfc3339(ms: u64) -> String {
    let ms = i64::try_from(ms).unwrap_or(i64::MAX);
    let time = jiff::Timestamp::from_millisecond(ms).unwrap_or(jiff::Timestamp::MAX);
    format!("{time:.3}")
}

/// Something that happened in a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// The run was accepted.
    RunStarted(RunStart),
    /// A step became ready to execute and waits for room. (A step that is answered by the cache never does.)
    StepQueued {
        /// The step.
        step: String,
    },
    /// An attempt started.
    StepStarted(StepStart),
    /// A process printed a line.
    StepLog(StepLog),
    /// A step reached its end.
    StepFinished(StepEnd),
    /// Something a person should know once: a damaged blob, a result made again.
    Note(Note),
    /// The run reached its end.
    RunFinished(RunEnd),
}

/// See [`Event::RunStarted`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RunStart {
    /// The run, 32 hexadecimal digits.
    pub run: String,
    /// The pipeline's name.
    pub pipeline: String,
    /// The names of its steps, in topological order.
    pub steps: Vec<String>,
}

/// See [`Event::StepStarted`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct StepStart {
    /// The step.
    pub step: String,
    /// Counts from 1.
    pub attempt: u32,
    /// The worker's name.
    pub worker: String,
}

/// See [`Event::StepLog`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct StepLog {
    /// The step.
    pub step: String,
    /// `stdout` or `stderr`.
    pub stream: String,
    /// One line without its end; bytes that are not UTF-8 are replaced.
    pub text: String,
}

/// See [`Event::StepFinished`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct StepEnd {
    /// The step.
    pub step: String,
    /// `succeeded`, `failed`, `cancelled`, `skipped`, `timed_out` or `infra_failed`.
    pub status: String,
    /// Whether the result came from the cache or from an identical step, so that nothing was executed.
    pub cached: bool,
    /// How long its execution took; 0 where nothing was executed.
    pub duration_ms: u64,
    /// The key, as `hash/size`; none where the step was never keyed.
    pub action_digest: Option<String>,
    /// Of the process; none where there was none.
    pub exit_code: Option<i32>,
    /// Why it was skipped or failed without an exit code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Milliseconds that the cache saved.
    #[serde(default)]
    pub saved_ms: u64,
    /// Its failure does not fail the run.
    #[serde(default)]
    pub allow_failure: bool,
    /// What its test reports say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tests: Option<TestSummary>,
    /// What its execution took of the machine, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usage: Option<Usage>,
    /// The REAPI `ActionResult` of an execution that has no entry in the action cache (a failed one, or one with
    /// `effects`), as standard base64, so that its log can be read later.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<String>,
    /// [`StepEnd::LOCAL`] or [`StepEnd::SHARED`]: where the result came from, in a run with a shared cache behind its own.
    /// None where it came from neither.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
}

impl StepEnd {
    /// The result came from the cache of the machine.
    pub const LOCAL: &str = "local";
    /// The result came from the cache that others share.
    pub const SHARED: &str = "shared";
}

/// What an execution took of the machine; 0 where that is not known.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Usage {
    /// Processor time in user and kernel mode, milliseconds.
    pub cpu_ms: u64,
    /// The most memory at one time, bytes: of all processes where it is limited, otherwise of the largest.
    pub peak_memory_bytes: u64,
    /// Read from disks, bytes.
    pub read_bytes: u64,
    /// Written and meant for disks, bytes.
    pub written_bytes: u64,
}

impl From<cullet_cache::Usage> for Usage {
    fn from(usage: cullet_cache::Usage) -> Self {
        let cullet_cache::Usage { cpu_ms, peak_memory_bytes, read_bytes, written_bytes } = usage;
        Self { cpu_ms, peak_memory_bytes, read_bytes, written_bytes }
    }
}

impl From<v1::Usage> for Usage {
    fn from(usage: v1::Usage) -> Self {
        let v1::Usage { cpu_ms, peak_memory_bytes, read_bytes, written_bytes } = usage;
        Self { cpu_ms, peak_memory_bytes, read_bytes, written_bytes }
    }
}

/// The test reports of a step, added up.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TestSummary {
    /// Tests that ran or were skipped.
    pub tests: u64,
    /// Failed tests, errors included.
    pub failed: u64,
    /// Skipped tests.
    pub skipped: u64,
    /// Names of failed tests, at most 100.
    pub failures: Vec<String>,
}

/// See [`Event::Note`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Note {
    /// `info` or `warning`.
    pub level: String,
    /// [`Note::RERUN`], [`Note::RETRY`], [`Note::IMAGE`], [`Note::CACHE`] or [`Note::SHARED`]; none for anything else.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// The step it is about, if any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<String>,
    /// One sentence.
    pub text: String,
}

impl Note {
    /// The kind of a note that says why a step is executed although its key did not change.
    pub const RERUN: &str = "rerun";
    /// The kind of a note that says why another attempt of a step follows.
    pub const RETRY: &str = "retry";
    /// The kind of a note that says that an image is being fetched and unpacked, and how far that is.
    pub const IMAGE: &str = "image";
    /// The kind of a note that says what became of a cache volume of a step.
    pub const CACHE: &str = "cache";
    /// The kind of a note that says what is wrong with the shared cache, or what is not published there.
    pub const SHARED: &str = "shared_cache";
}

/// See [`Event::RunFinished`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RunEnd {
    /// The run.
    pub run: String,
    /// `succeeded`, `failed`, `cancelled` or `infra_failed`.
    pub status: String,
    /// Steps that were executed.
    pub executed: u32,
    /// Steps answered by the cache.
    pub cached: u32,
    /// Steps that failed, timed out, or were failed by the machine.
    pub failed: u32,
    /// Steps that did not run: skipped or cancelled.
    pub skipped: u32,
    /// From submission to end.
    pub duration_ms: u64,
    /// Execution time that the cache saved, added up over steps.
    #[serde(default)]
    pub saved_ms: u64,
    /// Why it ended so, where no step says it: an output that could not be written, for one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// What the run had of a shared cache; none without one, and on a cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shared_cache: Option<SharedUse>,
}

/// What a run had of the cache that others share, and gave.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SharedUse {
    /// Where that is.
    pub location: String,
    /// Steps that the cache of the machine answered. A step that was answered as an identical one was counts for none.
    pub cached_local: u32,
    /// Steps that the shared cache answered.
    pub cached_shared: u32,
    /// Bytes of blobs that came from there.
    pub downloaded_bytes: u64,
    /// Bytes of blobs that went there.
    pub uploaded_bytes: u64,
    /// Results that were to go there and did not; a later run sends them.
    #[serde(default)]
    pub unpublished: u32,
    /// Of what came from there, bytes of cache volumes.
    #[serde(default)]
    pub volumes_downloaded_bytes: u64,
    /// Of what went there, bytes of cache volumes.
    #[serde(default)]
    pub volumes_uploaded_bytes: u64,
}

/// Takes events in order. Called from the run's own task: an implementation that is slow slows the run down, so
/// it buffers what it can.
pub trait EventSink: Send {
    /// Takes one event.
    fn event(&mut self, event: &Event);
}
