//! Fills a cache with the results of a pipeline without executing its steps: 100,000 of them would take minutes
//! and measure nothing. Keys and entries are made by the same code that a run uses.

use std::path::Path;

use cullet_cache::{ActionResult, Blob, LocalCache, LogStream, OpenOptions, Output, OutputKind};
use cullet_coordinator::template::{Machine, output_path, step_action};
use cullet_digest::{Digest, DigestFunction, Mount, TreeRef, assemble};
use cullet_pipeline::plan::{InputFrom, Step};
use cullet_source::{Scanner, SourceSpec};

use super::pipeline::output_of;
use crate::Result;
use crate::cullet::Run;

const FUNCTION: DigestFunction = DigestFunction::Blake3;

/// Fills `cache` for the pipeline in `file`. Its first step is really executed: that tells what this machine is
/// called in a key.
pub(crate) fn populate(file: &Path, cache: &Path) -> Result<()> {
    let events = Run::new(file, cache).events(&["s0"])?;
    let keys = events.iter().filter_map(|event| event["action_digest"].as_str());
    let key = Digest::parse(FUNCTION, keys.last().ok_or("the first step has no key")?)?;
    let cache = cullet_cache::open(&OpenOptions::new(cache))?;
    let machine = machine_of(&cache, &key)?;
    let model = cache.all_actions.get_blocking(&key)?.ok_or("the first step has no result")?;
    let text = std::fs::read_to_string(file)?;
    let broken = |problems: cullet_pipeline::Diagnostics| problems.render(false);
    let plan = cullet_pipeline::load("pipeline", &text).map_err(broken)?.plan(&[], &[]).map_err(broken)?;
    let sources = file.with_file_name("src");
    let source = Scanner::new(FUNCTION, None).scan(&SourceSpec::new(sources))?.subtree("")?;
    let mut outputs: Vec<TreeRef> = Vec::with_capacity(plan.steps.len());
    for step in &plan.steps {
        let number: usize = step.name[1..].parse()?;
        let output = add(&cache, step, &machine, &model, source, &outputs, &output_of(number))?;
        outputs.push(output);
    }
    Ok(())
}

/// The machine as the action of an executed step names it.
fn machine_of(cache: &LocalCache, key: &Digest) -> Result<Machine> {
    let read = |digest: &Digest| -> Result<_> { Ok(cache.disk.get_blocking(digest)?.into_bytes()?) };
    let action = read(key)?;
    let command = read(&cullet_cache::Action::command_digest(FUNCTION, &action)?)?;
    let action = cullet_cache::Action::decode(FUNCTION, &action, &command)?;
    let image = action.platform.iter().find(|(name, _)| name == "image").ok_or("the action has no image")?;
    let host_image = image.1.strip_prefix("host:").ok_or("the image is not the host")?.to_owned();
    Ok(Machine { function: FUNCTION, host_image, executor: None })
}

/// Adds the result of one step, and everything that an execution leaves behind.
fn add(
    cache: &LocalCache,
    step: &Step,
    machine: &Machine,
    model: &ActionResult,
    source: TreeRef,
    outputs: &[TreeRef],
    text: &str,
) -> Result<TreeRef> {
    let mount = |input: &'_ cullet_pipeline::plan::Input| match &input.from {
        InputFrom::Source { .. } => source,
        InputFrom::Output(output) => outputs[output.step as usize],
    };
    let mounts: Vec<Mount<'_>> =
        step.inputs.iter().map(|input| Mount { path: &input.path, tree: mount(input) }).collect();
    let unread = |digest: &Digest| Err(format!("{digest} would have to be read"));
    let assembled = assemble(FUNCTION, &mounts, unread).map_err(|error| format!("{error:?}"))?;
    let mut action = step_action(step, machine);
    action.input_root = assembled.root;
    let action = action.encode(FUNCTION);
    for (digest, bytes) in assembled.directories {
        cache.disk.put_blocking(&digest, Blob::from(bytes))?;
    }
    cache.disk.put_blocking(&action.command_digest, Blob::from(action.command))?;
    cache.disk.put_blocking(&action.digest, Blob::from(action.action))?;
    let digest = FUNCTION.digest(text.as_bytes());
    cache.disk.put_blocking(&digest, Blob::from(text.as_bytes().to_vec()))?;
    let tree = TreeRef::File { digest, executable: false };
    let path = step.outputs.first().map(output_path).ok_or("a step has no output")?;
    let result = ActionResult {
        outputs: vec![Output { path, kind: OutputKind::Tree(tree) }],
        stdout: LogStream::default(),
        stderr: LogStream::default(),
        ..model.clone()
    };
    cache.all_actions.put_blocking(&action.digest, &result)?;
    Ok(tree)
}
