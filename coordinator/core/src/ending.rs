//! A step's end on its way to being recorded.

use std::sync::Arc;

use cullet_digest::TreeRef;

use crate::{Detail, StepStatus};

/// How a step ends, and what is worth keeping about it.
#[derive(Debug, Clone)]
pub(crate) struct Ending {
    pub(crate) status: StepStatus,
    pub(crate) outputs: Box<[TreeRef]>,
    pub(crate) cached: bool,
    pub(crate) shared: bool,
    /// Milliseconds that the execution took which made the result.
    pub(crate) took_ms: u64,
    /// What else the worker said of it.
    pub(crate) detail: Option<Detail>,
    pub(crate) exit_code: Option<i32>,
    pub(crate) reason: Option<Arc<str>>,
}

impl Ending {
    fn plain(status: StepStatus) -> Self {
        Self {
            status,
            outputs: Box::default(),
            cached: false,
            shared: false,
            took_ms: 0,
            detail: None,
            exit_code: None,
            reason: None,
        }
    }

    fn because(status: StepStatus, reason: impl Into<Arc<str>>) -> Self {
        Self { reason: Some(reason.into()), ..Self::plain(status) }
    }

    pub(crate) fn executed(outputs: Box<[TreeRef]>) -> Self {
        Self { outputs, ..Self::plain(StepStatus::Succeeded) }
    }

    pub(crate) fn hit(outputs: Box<[TreeRef]>, saved_ms: u64) -> Self {
        Self { cached: true, ..Self::executed(outputs).after(saved_ms, None) }
    }

    pub(crate) fn failed(exit_code: i32) -> Self {
        Self { exit_code: Some(exit_code), ..Self::plain(StepStatus::Failed) }
    }

    pub(crate) fn timed_out() -> Self {
        Self::plain(StepStatus::TimedOut)
    }

    pub(crate) fn impossible(reason: impl Into<Arc<str>>) -> Self {
        Self::because(StepStatus::Failed, reason)
    }

    pub(crate) fn infra(reason: impl Into<Arc<str>>) -> Self {
        Self::because(StepStatus::InfraFailed, reason)
    }

    pub(crate) fn skipped(reason: impl Into<Arc<str>>) -> Self {
        Self::because(StepStatus::Skipped, reason)
    }

    pub(crate) fn cancelled(reason: impl Into<Arc<str>>) -> Self {
        Self::because(StepStatus::Cancelled, reason)
    }

    /// For people: how an attempt failed that is followed by another.
    pub(crate) fn describe(&self) -> String {
        match self.exit_code {
            Some(code) => format!("it failed with exit code {code}"),
            None => format!("it {}", self.status.as_predicate()),
        }
    }

    /// What came of an execution that took so long.
    pub(crate) fn after(self, took_ms: u64, detail: Option<Detail>) -> Self {
        Self { took_ms, detail, ..self }
    }

    /// The same end for a step that waited for an identical one.
    pub(crate) fn for_follower(&self) -> Self {
        let cached = self.status == StepStatus::Succeeded;
        Self { shared: true, cached, took_ms: if cached { self.took_ms } else { 0 }, ..self.clone() }
    }
}
