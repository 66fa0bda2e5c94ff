//! A step's end on its way to being recorded.

use cullet_digest::TreeRef;

use crate::StepStatus;

/// How a step ends, and what is worth keeping about it.
#[derive(Debug, Clone)]
pub(crate) struct Ending {
    pub(crate) status: StepStatus,
    pub(crate) outputs: Box<[TreeRef]>,
    pub(crate) cached: bool,
    pub(crate) shared: bool,
    pub(crate) saved_ms: u64,
    pub(crate) exit_code: Option<i32>,
    pub(crate) reason: Option<Box<str>>,
}

impl Ending {
    fn plain(status: StepStatus) -> Self {
        Self {
            status,
            outputs: Box::default(),
            cached: false,
            shared: false,
            saved_ms: 0,
            exit_code: None,
            reason: None,
        }
    }

    fn because(status: StepStatus, reason: impl Into<Box<str>>) -> Self {
        Self { reason: Some(reason.into()), ..Self::plain(status) }
    }

    pub(crate) fn executed(outputs: Box<[TreeRef]>) -> Self {
        Self { outputs, ..Self::plain(StepStatus::Succeeded) }
    }

    pub(crate) fn hit(outputs: Box<[TreeRef]>, saved_ms: u64) -> Self {
        Self { cached: true, saved_ms, ..Self::executed(outputs) }
    }

    pub(crate) fn failed(exit_code: i32) -> Self {
        Self { exit_code: Some(exit_code), ..Self::plain(StepStatus::Failed) }
    }

    pub(crate) fn timed_out() -> Self {
        Self::plain(StepStatus::TimedOut)
    }

    pub(crate) fn impossible(reason: impl Into<Box<str>>) -> Self {
        Self::because(StepStatus::Failed, reason)
    }

    pub(crate) fn infra(reason: impl Into<Box<str>>) -> Self {
        Self::because(StepStatus::InfraFailed, reason)
    }

    pub(crate) fn skipped(reason: impl Into<Box<str>>) -> Self {
        Self::because(StepStatus::Skipped, reason)
    }

    pub(crate) fn cancelled(reason: impl Into<Box<str>>) -> Self {
        Self::because(StepStatus::Cancelled, reason)
    }

    /// For people: how an attempt failed that is followed by another.
    pub(crate) fn describe(&self) -> String {
        match self.exit_code {
            Some(code) => format!("it failed with exit code {code}"),
            None => format!("it {}", self.status.as_predicate()),
        }
    }

    /// The same end for a step that waited for an identical one.
    pub(crate) fn for_follower(&self, saved_ms: u64) -> Self {
        let cached = self.status == StepStatus::Succeeded;
        Self { shared: true, cached, saved_ms: if cached { saved_ms } else { 0 }, ..self.clone() }
    }
}
