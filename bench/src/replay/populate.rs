//! Fills a cache with the results of a pipeline without executing its steps: 100,000 of them would take minutes
//! and measure nothing. Keys and entries are made by the same code that a run uses.

use std::path::Path;

use cullet_cache::{ActionResult, Blob, LocalCache, LogStream, OpenOptions, Output, OutputKind};
use cullet_coordinator::images::Images;
use cullet_coordinator::template::{Machine, output_path, step_action};
use cullet_digest::{Digest, DigestFunction, Mount, TreeRef, assemble};
use cullet_pipeline::plan::{Input, InputFrom, Step};
use cullet_source::{Scanner, SourceSpec};

use super::pipeline::output_of;
use crate::Result;
use crate::cullet::Run;

const FUNCTION: DigestFunction = DigestFunction::Blake3;

/// Fills `cache` for the pipeline in `file`. Its first step is really executed: that tells what this machine is
/// called in a key.
pub(crate) fn populate(file: &Path, cache: &Path) -> Result<()> {
    let events = Run::new(file, cache).events(&["s0"])?;
    let mut keys = events.iter().filter_map(|event| event["action_digest"].as_str());
    let key = Digest::parse(FUNCTION, keys.next_back().ok_or("the first step has no key")?)?;
    let cache = cullet_cache::open(&OpenOptions::new(cache))?;
    let machine = machine_of(&cache, &key)?;
    let model = cache.all_actions.get_blocking(&key)?.ok_or("the first step has no result")?;
    let text = std::fs::read_to_string(file)?;
    let broken = |problems: cullet_pipeline::Diagnostics| problems.render(false);
    let plan = cullet_pipeline::load("pipeline", &text).map_err(broken)?.plan(&[], &[]).map_err(broken)?;
    let sources = file.with_file_name("src");
    let source = Scanner::new(FUNCTION, None).scan(&SourceSpec::new(sources))?.subtree("")?;
    let mut filling =
        Filling { cache, machine, model, source, outputs: Vec::with_capacity(plan.steps.len()) };
    for step in &plan.steps {
        let number: usize = step.name[1..].parse()?;
        filling.add(step, &output_of(number))?;
    }
    Ok(())
}

/// A cache on its way.
struct Filling {
    cache: LocalCache,
    machine: Machine,
    /// What the result of a step looks like, but for its outputs.
    model: ActionResult,
    /// The only source.
    source: TreeRef,
    /// The output of each step so far.
    outputs: Vec<TreeRef>,
}

/// The machine as the action of an executed step names it.
fn machine_of(cache: &LocalCache, key: &Digest) -> Result<Machine> {
    let read = |digest: &Digest| -> Result<_> { Ok(cache.disk.get_blocking(digest)?.into_bytes()?) };
    let action = read(key)?;
    let command = read(&cullet_cache::Action::command_digest(FUNCTION, &action)?)?;
    let action = cullet_cache::Action::decode(FUNCTION, &action, &command)?;
    let image = action.platform.iter().find(|(name, _)| name == "image").ok_or("the action has no image")?;
    let host_image = image.1.strip_prefix("host:").ok_or("the image is not the host")?.to_owned();
    Ok(Machine::here(FUNCTION, host_image, None))
}

impl Filling {
    /// Adds the result of one step, and everything else that an execution leaves behind.
    fn add(&mut self, step: &Step, text: &str) -> Result<()> {
        let action = self.action(step)?;
        let digest = self.put(text.as_bytes().to_vec())?;
        let tree = TreeRef::File { digest, executable: false };
        let path = step.outputs.first().map(output_path).ok_or("a step has no output")?;
        let result = ActionResult {
            outputs: vec![Output { path, kind: OutputKind::Tree(tree) }],
            stdout: LogStream::default(),
            stderr: LogStream::default(),
            ..self.model.clone()
        };
        self.cache.all_actions.put_blocking(&action, &result)?;
        self.outputs.push(tree);
        Ok(())
    }

    /// Stores the action and gives its digest.
    fn action(&self, step: &Step) -> Result<Digest> {
        let tree = |from: &InputFrom| match from {
            InputFrom::Source { .. } => self.source,
            InputFrom::Output(output) => self.outputs[output.step as usize],
        };
        let mount = |input: &'_ Input| (input.path.to_string(), tree(&input.from));
        let inputs: Vec<(String, TreeRef)> = step.inputs.iter().map(mount).collect();
        let mounts: Vec<Mount<'_>> = inputs.iter().map(|(path, tree)| Mount { path, tree: *tree }).collect();
        let unread = |digest: &Digest| Err(format!("{digest} would have to be read"));
        let assembled = assemble(FUNCTION, &mounts, unread).map_err(|error| format!("{error:?}"))?;
        let mut action = step_action(step, &self.machine, &Images::default());
        action.input_root = assembled.root;
        let action = action.encode(FUNCTION);
        for (_, bytes) in assembled.directories {
            self.put(bytes)?;
        }
        self.put(action.command)?;
        self.put(action.action)
    }

    fn put(&self, bytes: Vec<u8>) -> Result<Digest> {
        let digest = FUNCTION.digest(&bytes);
        self.cache.disk.put_blocking(&digest, Blob::from(bytes))?;
        Ok(digest)
    }
}
