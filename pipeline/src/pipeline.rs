//! A checked pipeline file.

use crate::compile::{Request, compile};
use crate::decode::Cx;
use crate::diag::{Diagnostics, Sink};
use crate::plan::Plan;
use crate::yaml::{Tree, parse};

/// A pipeline file without errors. It keeps the file as a compact tree; drop it once it is planned.
#[derive(Debug, Clone)]
pub struct Pipeline<'t> {
    file: String,
    text: &'t str,
    tree: Tree,
    warnings: Diagnostics,
}

/// Parses and checks a pipeline file; `file_name` is only used in messages. Everything is checked with the
/// default parameters; what depends on a parameter without default is left to [`Pipeline::plan`].
///
/// # Errors
/// All problems of the file, if any of them is an error.
pub fn load<'t>(file_name: &str, text: &'t str) -> Result<Pipeline<'t>, Diagnostics> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let sink = Sink::default();
    let tree = parse(text, &sink);
    if let Some(tree) = &tree {
        let cx = Cx { sink: &sink, text };
        compile(cx, tree.root(), &Request::Check);
    }
    let failed = sink.has_errors();
    let diagnostics = sink.finish(file_name, text);
    match tree {
        Some(tree) if !failed => {
            Ok(Pipeline { file: file_name.to_owned(), text, tree, warnings: diagnostics })
        }
        _ => Err(diagnostics),
    }
}

impl Pipeline<'_> {
    /// What looks wrong but is not an error.
    #[must_use]
    pub fn warnings(&self) -> &Diagnostics {
        &self.warnings
    }

    /// The steps that `targets` need (all steps without one), with these parameters. A target is a step, all of
    /// its matrix instances, or some of them as in `test[shard=2]`.
    ///
    /// # Errors
    /// Unknown parameters and targets, and what the parameters' values make wrong.
    pub fn plan(&self, params: &[(String, String)], targets: &[String]) -> Result<Plan, Diagnostics> {
        let sink = Sink::default();
        let cx = Cx { sink: &sink, text: self.text };
        let plan = compile(cx, self.tree.root(), &Request::Plan { params, targets });
        match plan {
            Some(plan) if !sink.has_errors() => Ok(plan),
            _ => Err(sink.finish(&self.file, self.text)),
        }
    }
}
