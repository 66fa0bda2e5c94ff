//! What is wrong with a pipeline file, where, and what to do about it.

mod render;
mod sink;
mod suggest;

use std::sync::Arc;

use serde::Serialize;

pub(crate) use sink::Sink;

/// How many problems are shown; more than a screen or two help nobody fix a file.
pub const SHOWN: usize = 100;

/// How bad a problem is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The pipeline cannot run.
    Error,
    /// The pipeline can run but probably does not say what was meant.
    Warning,
}

/// A stretch of one line of the pipeline file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Span {
    /// From 1.
    pub line: u32,
    /// In characters, from 1.
    pub column: u32,
    /// In characters; `u32::MAX` for the rest of the line.
    #[serde(skip)]
    pub width: u32,
}

/// Another place that helps to understand a problem.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Label {
    /// Where.
    #[serde(flatten)]
    pub span: Span,
    /// What is there.
    pub text: String,
}

/// One problem.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Diagnostic {
    /// How bad it is.
    pub severity: Severity,
    /// Where it is; absent for what came from the command line.
    #[serde(flatten)]
    pub span: Option<Span>,
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub suggestion: Option<String>,
    /// Other places.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub labels: Vec<Label>,
}

/// All problems of one file, sorted by position, at most [`SHOWN`] of them.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Diagnostics {
    pub(crate) file: String,
    #[serde(skip)]
    pub(crate) text: Arc<str>,
    #[serde(rename = "diagnostics")]
    pub(crate) list: Vec<Diagnostic>,
    /// How many more were found than are listed.
    pub(crate) omitted: usize,
}

impl Diagnostics {
    /// The problems that are shown, sorted by position.
    #[must_use]
    pub fn list(&self) -> &[Diagnostic] {
        &self.list
    }

    /// How many more there are than [`Diagnostics::list`] has.
    #[must_use]
    pub fn omitted(&self) -> usize {
        self.omitted
    }

    /// Whether there is nothing to say.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Every problem with an excerpt of the file, ending with a newline; empty if there is none.
    #[must_use]
    pub fn render(&self, color: bool) -> String {
        render::render(self, color)
    }

    /// `{file, diagnostics: [{severity, line, column, message, suggestion, labels}], omitted}`.
    #[must_use]
    pub fn to_json(&self) -> serde_json::Value {
        serde_json::to_value(self).unwrap_or_default()
    }
}

/// One line a problem, `FILE:LINE:COLUMN: error: MESSAGE; SUGGESTION`, for logs and tests.
impl std::fmt::Display for Diagnostics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for problem in &self.list {
            write!(f, "{}:", self.file)?;
            if let Some(span) = problem.span {
                write!(f, "{}:{}:", span.line, span.column)?;
            }
            let severity = match problem.severity {
                Severity::Error => "error",
                Severity::Warning => "warning",
            };
            write!(f, " {severity}: {}", problem.message)?;
            if let Some(suggestion) = &problem.suggestion {
                write!(f, "; {suggestion}")?;
            }
            writeln!(f)?;
        }
        if self.omitted > 0 {
            writeln!(f, "and {} more", self.omitted)?;
        }
        Ok(())
    }
}

impl std::error::Error for Diagnostics {}

impl Diagnostic {
    pub(crate) fn error(span: impl Into<Option<Span>>, message: impl Into<String>) -> Self {
        Diagnostic {
            severity: Severity::Error,
            span: span.into(),
            message: message.into(),
            suggestion: None,
            labels: Vec::new(),
        }
    }

    pub(crate) fn warning(span: impl Into<Option<Span>>, message: impl Into<String>) -> Self {
        Diagnostic { severity: Severity::Warning, ..Diagnostic::error(span, message) }
    }

    pub(crate) fn help(mut self, suggestion: impl Into<Option<String>>) -> Self {
        self.suggestion = suggestion.into();
        self
    }

    pub(crate) fn label(mut self, span: Span, text: impl Into<String>) -> Self {
        self.labels.push(Label { span, text: text.into() });
        self
    }
}
