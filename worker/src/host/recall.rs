//! The machine as it was at the last look, as long as everything that was looked at is as it was.
//!
//! Concluding takes several times as long as looking, so both conclusions are kept whole, next to all that led to
//! them: which tools there are, and their fingerprint.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::check::{self, Check};
use super::fingerprint::{self, HostFingerprint, Reader, Watched};
use super::looks::{Facts, Looks};
use super::stamp;
use super::tools::HostTools;

/// The last conclusions. Of another search path or other tools, nothing is known.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Recall {
    discovery: Option<Discovery>,
    taken: Option<Taken>,
    /// There is something that the file does not say.
    #[serde(skip)]
    fresh: bool,
}

/// Which tools there are.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Discovery {
    path: String,
    home: Option<PathBuf>,
    facts: Facts,
    tools: HostTools,
}

/// The fingerprint of a machine with these tools.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Taken {
    root: PathBuf,
    tools: HostTools,
    facts: Facts,
    trees: Vec<Watched>,
    fingerprint: HostFingerprint,
}

/// The tools that a caller with this `PATH` and home directory would run, and the fingerprint of this machine with
/// them, as [`HostTools::discover`] and [`fingerprint`] would give them.
pub fn look(path: &str, home: Option<&Path>, memory: Option<&Path>) -> (HostTools, HostFingerprint) {
    let mut recall = Recall::load(memory);
    recall.discovery = recall.discovery.filter(|known| known.path == path && known.home.as_deref() == home);
    recall.forget_what_changed();
    let tools = recall.discovery.as_ref().map(|known| known.tools.clone());
    let tools = tools.unwrap_or_else(|| recall.discover(path, home));
    let fingerprint = recall.fingerprint(Path::new("/"), &tools, memory);
    recall.keep(memory);
    (tools, fingerprint)
}

/// Takes the fingerprint of this machine with these tools.
///
/// Files are read once: `memory` names a file that keeps digests next to the size, times and inode they were
/// taken at, and files with the extensions `files` and `looks` lie beside it. They are an optimisation: when they
/// cannot be read or written the result is the same.
///
/// With a memory, of a tree with some thousand files only directories are looked at each time, and every file every
/// ten minutes: a file that is overwritten in place there may be noticed that much later.
pub fn fingerprint(tools: &HostTools, memory: Option<&Path>) -> HostFingerprint {
    fingerprint_of(Path::new("/"), tools, memory)
}

/// Takes the fingerprint of the machine whose root directory is `root`; all paths of `tools` are below it.
pub fn fingerprint_of(root: &Path, tools: &HostTools, memory: Option<&Path>) -> HostFingerprint {
    let mut recall = Recall { discovery: None, ..Recall::load(memory) };
    recall.forget_what_changed();
    let fingerprint = recall.fingerprint(root, tools, memory);
    recall.keep(memory);
    fingerprint
}

fn file(memory: &Path) -> PathBuf {
    memory.with_extension("looks")
}

impl Recall {
    fn load(memory: Option<&Path>) -> Self {
        fingerprint::load(memory.map(file).as_deref())
    }

    /// Keeps what everything that led to it still leads to.
    fn forget_what_changed(&mut self) {
        let mut checks: Vec<Check<'_>> = Vec::new();
        checks.extend(self.discovery.iter().map(|known| Check::Facts(&known.facts)));
        let of_discovery = checks.len();
        if let Some(taken) = &self.taken {
            checks.push(Check::Facts(&taken.facts));
            checks.extend(taken.trees.iter().map(Check::Tree));
        }
        let hold = check::all(&checks, stamp::now().as_secs());
        if hold[..of_discovery].contains(&false) {
            self.discovery = None;
        }
        if hold[of_discovery..].contains(&false) {
            self.taken = None;
        }
    }

    fn discover(&mut self, path: &str, home: Option<&Path>) -> HostTools {
        let (mut looks, now) = (Looks::default(), stamp::now());
        let tools = HostTools::discover_with(path, home, &mut looks);
        self.discovery = looks.facts(now).map(|facts| Discovery {
            path: path.to_owned(),
            home: home.map(Path::to_path_buf),
            facts,
            tools: tools.clone(),
        });
        self.fresh |= self.discovery.is_some();
        tools
    }

    fn fingerprint(&mut self, root: &Path, tools: &HostTools, memory: Option<&Path>) -> HostFingerprint {
        if let Some(taken) = self.taken.as_ref().filter(|taken| taken.root == root && taken.tools == *tools) {
            return taken.fingerprint.clone();
        }
        let mut reader = Reader::new(root, memory);
        let fingerprint = fingerprint::take(&mut reader, tools);
        self.taken = reader.facts().map(|(facts, trees)| Taken {
            root: root.to_path_buf(),
            tools: tools.clone(),
            facts,
            trees,
            fingerprint: fingerprint.clone(),
        });
        self.fresh |= self.taken.is_some();
        reader.finish();
        fingerprint
    }

    fn keep(&self, memory: Option<&Path>) {
        if let (Some(memory), true) = (memory, self.fresh) {
            fingerprint::store(&file(memory), self);
        }
    }
}
