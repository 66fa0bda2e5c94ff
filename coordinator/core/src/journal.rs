//! What happened in a run, in order, to be read again from any point.

use std::collections::BTreeMap;
use std::sync::Arc;

use cullet_digest::Digest;
use serde::{Deserialize, Serialize};

use crate::{AttemptId, RunStatus, StepIndex, StepStatus, TimeMs, Usage, WorkerId};

/// Something that happened. Events of a run are numbered from 1, without a gap.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunEvent {
    /// When.
    pub at: TimeMs,
    /// What.
    pub kind: RunEventKind,
}

/// See [`RunEvent`]. Small: a run has several for each step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum RunEventKind {
    /// The run was taken in.
    RunStarted,
    /// A step that has to be executed found no worker with room.
    StepQueued {
        /// Which.
        step: StepIndex,
    },
    /// An attempt was started.
    StepStarted {
        /// Of which step.
        step: StepIndex,
        /// Which attempt.
        attempt: AttemptId,
        /// For [`crate::Run::worker_name`].
        worker: u32,
    },
    /// An attempt came to nothing, and the step goes on: it is tried again, or waits for what was lost.
    AttemptFailed {
        /// Of which step.
        step: StepIndex,
        /// How it went.
        end: Box<AttemptEnd>,
    },
    /// A step reached its end.
    StepFinished {
        /// Which.
        step: StepIndex,
        /// How.
        end: Box<StepEnd>,
    },
    /// A finished step runs again because its outputs were lost.
    StepRewound {
        /// Which.
        step: StepIndex,
    },
    /// Somebody had something to say.
    Noted {
        /// About which step, if any.
        step: Option<StepIndex>,
        /// What.
        note: Box<Note>,
    },
    /// The run reached its end.
    RunFinished {
        /// How.
        status: RunStatus,
    },
}

/// How an attempt went that did not end its step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttemptEnd {
    /// Which.
    pub attempt: AttemptId,
    /// Of the process, where it failed by itself.
    pub exit_code: Option<i32>,
    /// Milliseconds that it ran.
    pub duration_ms: u64,
    /// For people: why the step is tried again.
    pub reason: Option<Arc<str>>,
    /// What else the worker said.
    pub detail: Option<Digest>,
}

/// How a step ended at the time: it may have been run again since.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepEnd {
    /// How.
    pub status: StepStatus,
    /// See [`crate::StepView::cached`].
    pub cached: bool,
    /// See [`crate::StepView::shared`].
    pub shared: bool,
    /// The last attempt; 0 if there was none.
    pub attempt: AttemptId,
    /// See [`crate::StepView::exit_code`].
    pub exit_code: Option<i32>,
    /// See [`crate::StepView::saved_ms`].
    pub saved_ms: u64,
    /// See [`crate::StepView::duration_ms`].
    pub duration_ms: u64,
    /// The key of its action, once that was made.
    pub action: Option<Digest>,
    /// See [`crate::StepView::reason`].
    pub reason: Option<Arc<str>>,
    /// See [`crate::StepView::detail`].
    pub detail: Option<Digest>,
    /// What the last attempt took, where that is known; none where the result is another's.
    pub usage: Option<Usage>,
}

/// Something a person should know.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Note {
    /// Few words, in whatever form those who write and read agree on.
    Text(Box<str>),
    /// A blob with many.
    Blob(Digest),
}

/// Notes that are kept of a run: more than anybody reads.
const MAX_NOTES: u32 = 1_000;
/// Bytes of a text; longer ones are blobs.
const MAX_TEXT: usize = 1_024;

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Journal {
    /// Whether anybody wants it.
    kept: bool,
    events: Vec<RunEvent>,
    /// Names of workers, each once: thousands of events name few.
    workers: Vec<Box<str>>,
    numbers: BTreeMap<WorkerId, u32>,
    notes: u32,
}

impl Journal {
    pub(crate) fn new(kept: bool) -> Self {
        Self { kept, ..Self::default() }
    }

    pub(crate) const fn is_kept(&self) -> bool {
        self.kept
    }

    pub(crate) fn write(&mut self, at: TimeMs, kind: RunEventKind) {
        if self.kept {
            self.events.push(RunEvent { at, kind });
        }
    }

    /// Says whether there was room for it.
    pub(crate) fn note(&mut self, at: TimeMs, step: Option<StepIndex>, note: &Note) -> bool {
        let short = !matches!(note, Note::Text(text) if text.len() > MAX_TEXT);
        let room = self.kept && short && self.notes < MAX_NOTES;
        if room {
            self.notes += 1;
            self.write(at, RunEventKind::Noted { step, note: Box::new(note.clone()) });
        }
        room
    }

    /// The number of a worker's name.
    pub(crate) fn worker(&mut self, id: WorkerId, name: &str) -> u32 {
        let workers = &mut self.workers;
        *self.numbers.entry(id).or_insert_with(|| {
            workers.push(name.into());
            workers.len() as u32 - 1
        })
    }

    /// Nothing more will be written.
    pub(crate) fn close(&mut self) {
        self.numbers.clear();
        self.events.shrink_to_fit();
    }

    pub(crate) fn events(&self) -> &[RunEvent] {
        &self.events
    }

    pub(crate) fn name(&self, worker: u32) -> Option<&str> {
        self.workers.get(worker as usize).map(|name| &**name)
    }
}
