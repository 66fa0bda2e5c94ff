//! Source trees by name.

use std::cell::Cell;
use std::collections::HashMap;

use super::params::Params;
use crate::decode::{Cx, Field, Lazy, List, Named, Scope};
use crate::plan::{InputFrom, Plan, Source};
use crate::scalar::{Glob, check_name};
use crate::syntax::SourceDef;
use crate::yaml::Node;

pub(super) struct Sources<'a> {
    pub(super) by_name: HashMap<&'a str, u32>,
    pub(super) list: Vec<NamedSource<'a>>,
}

pub(super) struct NamedSource<'a> {
    pub(super) key: Node<'a>,
    pub(super) used: Cell<bool>,
    source: Source,
}

impl<'a> Sources<'a> {
    pub(super) fn new(
        cx: Cx<'a>,
        defined: Option<Field<'a, Named<'a, SourceDef<'a>>>>,
        params: &Params<'a>,
    ) -> Self {
        let mut sources = Sources { by_name: HashMap::new(), list: Vec::new() };
        for (key, definition) in defined.map(|field| field.value.0).unwrap_or_default() {
            if let Err(complaint) = check_name("source", key.text()) {
                cx.error(key, complaint);
                continue;
            }
            let source = source(cx, key.text(), definition, params);
            sources.by_name.insert(key.text(), sources.list.len() as u32);
            sources.list.push(NamedSource { key, used: Cell::new(false), source });
        }
        sources
    }

    /// Gives the plan the sources that its steps use, in the order of the file.
    pub(super) fn keep_used(self, plan: &mut Plan) {
        let mut used = vec![false; self.list.len()];
        for_each_source(plan, |source| used[*source as usize] = true);
        let mut position = vec![0; used.len()];
        for (index, named) in self.list.into_iter().enumerate() {
            if used[index] {
                position[index] = plan.sources.len() as u32;
                plan.sources.push(named.source);
            }
        }
        for_each_source(plan, |source| *source = position[*source as usize]);
    }
}

fn for_each_source(plan: &mut Plan, mut visit: impl FnMut(&mut u32)) {
    for input in plan.steps.iter_mut().flat_map(|step| &mut step.inputs) {
        if let InputFrom::Source { source, .. } = &mut input.from {
            visit(source);
        }
    }
}

fn source<'a>(cx: Cx<'a>, name: &str, definition: SourceDef<'a>, scope: Scope<'_>) -> Source {
    let (path, include, exclude) = match definition {
        SourceDef::Path(path) => (Some(path), None, None),
        SourceDef::Tree(tree) => (tree.path.map(|field| field.value), tree.include, tree.exclude),
    };
    let path = path.and_then(|path| path.get(cx, scope)).map(|path| match path.is_empty() {
        true => ".".to_owned(),
        false => path,
    });
    let globs = |field: Option<Field<'a, List<Lazy<'a, Glob>>>>| {
        let globs = field.map(|field| field.value.0).unwrap_or_default();
        globs.into_iter().filter_map(|glob| glob.get(cx, scope)).collect()
    };
    Source {
        name: name.to_owned(),
        path: path.unwrap_or_default(),
        include: globs(include),
        exclude: globs(exclude),
    }
}
