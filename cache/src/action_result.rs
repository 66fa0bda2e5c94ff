//! What an action gave, checked.

use bytes::Bytes;
use cullet_digest::{Digest, TreeRef};

use crate::trust::Signature;

/// The result of an action. Outputs stand in the order in which the step declares them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ActionResult {
    /// Exit code of the process; only 0 is ever reused.
    pub exit_code: i32,
    /// What it wrote.
    pub outputs: Vec<Output>,
    /// What it printed on standard output.
    pub stdout: LogStream,
    /// What it printed on standard error.
    pub stderr: LogStream,
    /// How the two were interleaved: lengths in bytes of alternating runs, standard output first (the first
    /// may be 0). What is beyond them comes standard output first.
    pub interleaving: Vec<u32>,
    /// The worker that executed it.
    pub worker: String,
    /// When it was executed: start of the process, milliseconds since the Unix epoch.
    pub started_at_ms: u64,
    /// How long the process ran, in milliseconds.
    pub duration_ms: u64,
    /// What it took of the machine.
    pub usage: Usage,
    /// Who says that this is what came of the action; unchecked.
    pub signature: Option<Signature>,
    /// Of output directories, by path, the `Tree` message that says the same: for REAPI clients that read nothing else.
    pub trees: Vec<(String, Digest)>,
    /// When what happened besides.
    pub times: Times,
}

/// When what happened to an execution besides its process, in milliseconds since the Unix epoch; 0 where that is not known.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Times {
    /// It began to wait for a worker.
    pub queued_ms: u64,
    /// A worker began with it.
    pub worker_started_ms: u64,
    /// The worker was done with it.
    pub worker_completed_ms: u64,
    /// The worker began to fetch inputs, and had them.
    pub fetching_ms: (u64, u64),
    /// The worker began to bring outputs where others find them, and had done so.
    pub uploading_ms: (u64, u64),
}

/// What the processes of an execution took; 0 where that is not known.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// Processor time in user and kernel mode, milliseconds.
    pub cpu_ms: u64,
    /// The most memory at one time, bytes: of all processes together where it was limited, otherwise of the largest of them.
    pub peak_memory_bytes: u64,
    /// What was read from disks, bytes. What the page cache had is not in it.
    pub read_bytes: u64,
    /// What was written and may go to disks, bytes.
    pub written_bytes: u64,
}

impl ActionResult {
    /// The blobs that the result names itself: files, root directories, long logs and `Tree` messages, in that order as they
    /// stand. What lies below a root directory is known only by reading it.
    pub fn digests(&self) -> impl Iterator<Item = Digest> {
        let outputs = self.outputs.iter().filter_map(|output| match &output.kind {
            OutputKind::Tree(tree) => Some(tree.digest()),
            OutputKind::Symlink(_) => None,
        });
        let logs = [&self.stdout, &self.stderr].into_iter().filter_map(|stream| match stream {
            LogStream::Inline(_) => None,
            LogStream::Blob(digest) => Some(*digest),
        });
        outputs.chain(logs).chain(self.trees.iter().map(|(_, tree)| *tree))
    }

    /// The outputs at these paths, in that order; none unless the process exited 0 and left a file or directory at
    /// each.
    pub fn trees_at(&self, paths: &[String]) -> Option<Box<[TreeRef]>> {
        let find = |path: &String| {
            let output = self.outputs.iter().find(|output| output.path == *path)?;
            match output.kind {
                OutputKind::Tree(tree) => Some(tree),
                OutputKind::Symlink(_) => None,
            }
        };
        (self.exit_code == 0).then(|| paths.iter().map(find).collect()).flatten()
    }

    /// The root directories among [`ActionResult::digests`].
    pub fn directories(&self) -> impl Iterator<Item = Digest> {
        self.outputs.iter().filter_map(|output| match output.kind {
            OutputKind::Tree(TreeRef::Directory(root)) => Some(root),
            OutputKind::Tree(TreeRef::File { .. }) | OutputKind::Symlink(_) => None,
        })
    }
}

/// One output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Output {
    /// As in the Command's `output_paths`.
    pub path: String,
    /// What is there.
    pub kind: OutputKind,
}

/// What an output is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OutputKind {
    /// A file or a directory with everything below it.
    Tree(TreeRef),
    /// A symbolic link and where it points. Made by REAPI clients; a pipeline step cannot declare one.
    Symlink(String),
}

/// What a process printed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LogStream {
    /// Short enough to stand in the result.
    Inline(Bytes),
    /// A blob.
    Blob(Digest),
}

impl Default for LogStream {
    fn default() -> Self {
        Self::Inline(Bytes::new())
    }
}
