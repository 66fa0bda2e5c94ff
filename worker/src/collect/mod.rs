//! Takes what a step declares as its outputs out of the workspace it left, and into the cache.
//!
//! Nothing here follows a link out of the workspace, trusts a name, or hashes before it knows how much there is.

mod adopt;
mod fault;
mod found;
mod globs;
mod input_links;
mod resolve;
mod scan;
mod secrets;
mod trees;
mod view;

use std::path::{Path, PathBuf};

use cullet_cache::{Blob, BlobStore, Output, OutputKind, OutputPath};
use cullet_digest::{Digest, TreeRef};
use cullet_secrets::Search;
use tokio::runtime::Handle;

pub(crate) use fault::shown;
pub use fault::{CollectError, OutputFault};

use crate::LocalFiles;
use crate::layers::Workspace;
use found::{FileRef, Found};
use globs::Globs;
use resolve::Located;
use scan::Scan;
use trees::Trees;
use view::View;

/// How much a step may leave behind.
#[derive(Debug, Clone, Copy)]
pub struct OutputLimits {
    /// Of all output files together.
    pub bytes: u64,
    /// Files, directories and links of all outputs together.
    pub entries: u64,
}

impl Default for OutputLimits {
    fn default() -> Self {
        // 100 GiB is beyond any build; four million entries need about 1 GiB of memory here.
        Self { bytes: 100 << 30, entries: 4 << 20 }
    }
}

/// Where outputs go.
pub(crate) struct Collector<'a> {
    pub(crate) files: &'a dyn LocalFiles,
    pub(crate) blobs: &'a dyn BlobStore,
    /// What `blobs` is waited for on; the collector itself blocks.
    pub(crate) runtime: Handle,
    pub(crate) limits: OutputLimits,
    /// What no output may have in it.
    pub(crate) secrets: Option<&'a Search>,
}

/// A finished step.
pub(crate) struct Left<'a> {
    /// The layers of its workspace, uppermost first.
    pub(crate) layers: &'a [PathBuf],
    /// The one among them that it shares with others.
    pub(crate) inputs: &'a Path,
    /// What is in that one.
    pub(crate) input_root: Digest,
    /// What output paths are relative to, itself relative to the workspace.
    pub(crate) working_directory: &'a str,
    /// What it declares.
    pub(crate) outputs: &'a [OutputPath],
    /// Somebody else may still hold its files open, so they must not become blobs themselves.
    pub(crate) reachable: bool,
    /// Outputs may be links, and have links that lead anywhere: as clients of the Remote Execution API expect it.
    pub(crate) keeps_links: bool,
    /// It failed anyway: what is missing or unusable is left out without a word.
    pub(crate) lenient: bool,
}

/// An output that is there, before it is hashed.
enum Planned {
    File { content: FileRef, executable: bool },
    Directory(usize),
    Link(String),
}

impl Collector<'_> {
    /// Collects the outputs, sorted by path. Blocks for as long as hashing takes.
    pub(crate) fn collect(&self, left: &Left<'_>) -> Result<Vec<Output>, CollectError> {
        if left.outputs.is_empty() {
            return Ok(Vec::new());
        }
        let workspace = Workspace::open(left.layers, left.inputs)
            .map_err(|source| CollectError::Read { path: ".".to_owned(), source })?;
        let (blobs, runtime) = (self.blobs, self.runtime.clone());
        let view =
            View { workspace, blobs, runtime, input_root: left.input_root, keeps_links: left.keeps_links };
        let mut found = Found::new(self.limits);
        let mut planned = Vec::new();
        for output in left.outputs {
            match plan(&view, left, output, &mut found) {
                Ok(Some(plan)) => planned.push((output, plan)),
                Ok(None) => {}
                Err(CollectError::Output(_)) if left.lenient => {}
                Err(error) => return Err(error),
            }
        }
        let function = left.input_root.function();
        let by = if left.reachable { LocalFiles::adopt_copy } else { LocalFiles::adopt_file };
        let adopt = |path: &Path| by(self.files, path, function);
        let searched = self.secrets.filter(|search| !search.is_idle());
        if let Some(search) = searched {
            secrets::names(search, &found)?;
        }
        let files = adopt::adopt_all(&view.workspace, &found, &adopt, searched)?;
        let trees = trees::encode(found, &files, function)?;
        let outputs = finish(planned, &files, &trees);
        self.put(trees.blobs)?;
        Ok(outputs)
    }

    fn put(&self, directories: Vec<(Digest, Vec<u8>)>) -> Result<(), CollectError> {
        self.runtime.block_on(async {
            for (digest, bytes) in directories {
                self.blobs.put(&digest, Blob::from(bytes)).await.map_err(CollectError::Store)?;
            }
            Ok(())
        })
    }
}

/// Finds one output. None where it is missing and may be.
fn plan(
    view: &View<'_>,
    left: &Left<'_>,
    output: &OutputPath,
    found: &mut Found,
) -> Result<Option<Planned>, CollectError> {
    let path = resolve::segments(left.working_directory, output)?;
    let globs = if output.globs { Some(Globs::new(output)?) } else { None };
    let missing = match resolve::locate(view, output, path)? {
        Located::File { dir, name, file } if globs.is_none() => {
            let place = found.places.start(&dir.path);
            let content = Scan::new(view, found, output, None).file(&dir, place, &name, &file)?;
            return Ok(Some(Planned::File { content, executable: file.executable }));
        }
        Located::Directory(start) => {
            let mut scan = Scan::new(view, found, output, globs.as_ref());
            let root = scan.tree(&start)?;
            if scan.any || !output.globs {
                return Ok(Some(Planned::Directory(root)));
            }
            resolve::nearby(view, &start)?
        }
        Located::Link(target) => return Ok(Some(Planned::Link(target))),
        Located::File { name, .. } => format!("'{}' is a file", shown(&name)),
        Located::Missing(nearby) => nearby,
    };
    match (output.optional, output.globs) {
        (true, _) => Ok(None),
        (false, true) => Err(OutputFault::NoMatch { output: globs::name(output), nearby: missing }.into()),
        (false, false) => Err(OutputFault::Missing { output: output.path.clone(), nearby: missing }.into()),
    }
}

fn finish(planned: Vec<(&OutputPath, Planned)>, files: &[Digest], trees: &Trees) -> Vec<Output> {
    let kind = |plan: Planned| match plan {
        Planned::File { content, executable } => {
            let digest = trees::file_digest(content, files);
            Some(OutputKind::Tree(TreeRef::File { digest, executable }))
        }
        Planned::Directory(index) => {
            trees.digests[index].map(|root| OutputKind::Tree(TreeRef::Directory(root)))
        }
        Planned::Link(target) => Some(OutputKind::Symlink(target)),
    };
    let mut outputs: Vec<Output> = planned
        .into_iter()
        .filter_map(|(output, plan)| Some(Output { path: output.path.clone(), kind: kind(plan)? }))
        .collect();
    outputs.sort_by(|a, b| a.path.cmp(&b.path));
    outputs
}
