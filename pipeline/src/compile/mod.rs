//! From the decoded file to a [`Plan`]: names are resolved, matrices expanded, expressions evaluated, steps
//! ordered. Checking a file and planning it are the same pass; checking keeps nothing.

mod caches;
mod images;
mod inputs;
mod matrix;
mod order;
mod outputs;
mod params;
mod reference;
mod roots;
mod secrets;
mod service_secrets;
mod services;
mod shared;
mod sources;
mod step;
mod steps;
mod targets;
mod unused;

use std::cell::Cell;

use crate::decode::{Cx, Decode};
use crate::diag::Diagnostic;
use crate::plan::Plan;
use crate::syntax::Document;
use crate::yaml::{Kind, Node};

use images::Images;
use params::Params;
use roots::Roots;
use shared::Shared;
use sources::Sources;
use steps::Steps;

/// What the compiler is asked for.
pub(crate) enum Request<'r> {
    /// Only problems; parameters without default are unknown.
    Check,
    /// The plan of some steps.
    Plan {
        /// Names and values.
        params: &'r [(String, String)],
        /// Steps or instances; none for all.
        targets: &'r [String],
    },
}

/// Everything that names can refer to.
struct Compiler<'a> {
    cx: Cx<'a>,
    params: Params<'a>,
    images: Images<'a>,
    sources: Sources<'a>,
    steps: Steps<'a>,
    roots: Roots<'a>,
    shared: Shared,
    /// Whether the pipeline has a name of its own.
    named: bool,
    /// Inputs and needs resolved so far; see [`inputs::MOST_EDGES`].
    edges: Cell<usize>,
    /// Memory that the texts of the steps take, so far.
    bytes: Cell<usize>,
}

/// Compiles the file; reports what is wrong. Without errors there is a plan, empty for [`Request::Check`].
pub(crate) fn compile<'a>(cx: Cx<'a>, root: Node<'a>, request: &Request<'_>) -> Option<Plan> {
    if root.kind() == Kind::Map && root.get("cullet").is_some_and(|version| version.text() != "1") {
        // Nothing else can be said about a file in another version of the language.
        <crate::syntax::Version as Decode>::decode(cx, root.get("cullet")?);
        return None;
    }
    let document = Document::decode(cx, root)?;
    let params = Params::new(cx, document.params, request);
    let images = Images::new(cx, document.images, &params);
    let sources = Sources::new(cx, document.sources, &params);
    let steps = Steps::new(cx, document.steps);
    let epoch = document.source_date_epoch.and_then(|field| field.value.get(cx, &params));
    let platform = document.platform.and_then(|field| field.value.get(cx, &params));
    let (roots, shared) = (Roots::new(&steps), Shared::new(epoch));
    let named = document.name.is_some();
    let (edges, bytes) = (Cell::new(0), Cell::new(0));
    let compiler = Compiler { cx, params, images, sources, steps, roots, shared, named, edges, bytes };
    let targets = compiler.targets(request);
    let keep = matches!(request, Request::Plan { .. });
    let (mut plan, index_of) = compiler.order(&compiler.beginnings(&targets), keep);
    plan.targets = order::places(&targets, &index_of);
    if let Some(name) = document.name {
        plan.name = name.value.get(cx, &compiler.params).unwrap_or_default();
    }
    if let Some(outputs) = document.outputs {
        plan.outputs = compiler.run_outputs(&outputs.value, &index_of);
    }
    plan.platform = platform;
    if keep {
        compiler.sources.keep_used(&mut plan);
        plan.images = compiler.images.references();
    } else {
        compiler.report_unused();
    }
    Some(plan)
}

impl Compiler<'_> {
    fn warn(&self, node: Node<'_>, message: String, help: &str) {
        self.cx.sink.push(Diagnostic::warning(node.span(), message).help(help.to_owned()));
    }
}
