//! Whether steps give the same when they are executed again: `cullet verify`.

mod how;
mod root;
mod show;
mod token;

use std::collections::BTreeSet;
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Duration;

use cullet_cache::action::ROOT_OUTPUT;
use cullet_cache::{ActionResult, BlobStore, Output, OutputKind};
use cullet_digest::{Digest, TreeRef};
use cullet_worker::Masks;

use self::how::How;
use self::token::{Cause, Window};
use crate::trees::{Difference, Leaf, differences};

/// Files of a step that are looked at.
const FILES: usize = 20;

/// Files larger than this are not read.
const MOST_BYTES: u64 = 16 << 20;

/// How long after the first execution the second one begins at the earliest: times in archives count in steps of two
/// seconds.
pub(crate) const APART: Duration = Duration::from_millis(2100);

/// What came of two executions of one step.
#[derive(Debug)]
pub(crate) struct Verdict {
    pub(crate) step: String,
    pub(crate) found: Found,
}

/// How the second execution was.
#[derive(Debug)]
pub(crate) enum Found {
    /// The same.
    Same,
    /// Files differ.
    Differs { files: Vec<FileDifference>, more: bool },
    /// It ended in another way; in words.
    Ended(String),
    /// There was none; why, in words.
    Nothing(&'static str),
}

/// A file that differs.
#[derive(Debug)]
pub(crate) struct FileDifference {
    pub(crate) path: String,
    /// In words: `content`, `only in the first`, …
    pub(crate) what: String,
    pub(crate) how: How,
}

/// The verdicts of a run.
#[derive(Debug, Default)]
pub(crate) struct Verdicts {
    /// The steps in question, sorted.
    wanted: OnceLock<Vec<String>>,
    found: Mutex<Vec<Verdict>>,
}

impl Verdicts {
    /// Says which steps are to have one; once.
    pub(crate) fn want(&self, mut steps: Vec<String>) {
        steps.sort_unstable();
        let _ = self.wanted.set(steps);
    }

    /// Whether this step is to have one.
    pub(crate) fn wants(&self, step: &String) -> bool {
        self.wanted.get().is_some_and(|wanted| wanted.binary_search(step).is_ok())
    }

    /// Adds one.
    pub(crate) fn add(&self, step: &str, found: Found) {
        self.found
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(Verdict { step: step.to_owned(), found });
    }

    /// One for each step in question, by their names. `why` says why there is none of a step.
    pub(crate) fn take(&self, why: &'static str) -> Vec<Verdict> {
        let mut verdicts = std::mem::take(&mut *self.found.lock().unwrap_or_else(PoisonError::into_inner));
        let seen: BTreeSet<String> = verdicts.iter().map(|verdict| verdict.step.clone()).collect();
        let missing = self.wanted.get().into_iter().flatten().filter(|step| !seen.contains(*step));
        verdicts.extend(missing.map(|step| Verdict { step: step.clone(), found: Found::Nothing(why) }));
        verdicts.sort_by(|one, other| one.step.cmp(&other.step));
        verdicts
    }
}

/// Compares what two executions left, but for the outputs at the paths `besides`. `masks` has their secrets: they are masked
/// before anything else is done with what is shown, because it is cut.
pub(crate) async fn compare(
    blobs: &dyn BlobStore,
    (first, second): (&ActionResult, &ActionResult),
    besides: &[&String],
    masks: &Masks,
) -> Found {
    let window = Window {
        from_ms: first.started_at_ms,
        to_ms: second.started_at_ms.saturating_add(second.duration_ms),
    };
    let (mut files, mut more) = (Vec::new(), false);
    let outputs = first.outputs.iter().chain(&second.outputs).map(|output| &output.path);
    let paths: BTreeSet<&str> = outputs.filter(|path| !besides.contains(path)).map(String::as_str).collect();
    for path in paths {
        let (one, other) = (at(first, path), at(second, path));
        if one == other {
            continue;
        }
        let room = FILES.saturating_sub(files.len());
        if path == ROOT_OUTPUT
            && let (Some(OutputKind::Tree(one)), Some(OutputKind::Tree(other))) = (one, other)
        {
            let (found, cut) =
                root::compare(blobs, (one.digest(), other.digest()), room, (window, masks)).await;
            files.extend(found);
            more |= cut;
            continue;
        }
        let (found, cut) = tree(blobs, path, one, other, room).await;
        more |= cut;
        for difference in found {
            // Outputs may have files in common.
            if files.iter().any(|file: &FileDifference| file.path == difference.path) {
                continue;
            }
            files.push(file(blobs, difference, (window, masks)).await);
        }
    }
    if files.is_empty() && !more { Found::Same } else { Found::Differs { files, more } }
}

fn at<'a>(result: &'a ActionResult, path: &str) -> Option<&'a OutputKind> {
    let output: Option<&Output> = result.outputs.iter().find(|output| output.path == path);
    output.map(|output| &output.kind)
}

/// What differs in one output, at most `most` files; whether there is more.
async fn tree(
    blobs: &dyn BlobStore,
    path: &str,
    first: Option<&OutputKind>,
    second: Option<&OutputKind>,
    most: usize,
) -> (Vec<Difference>, bool) {
    let directory = |kind: Option<&OutputKind>| match kind {
        Some(OutputKind::Tree(TreeRef::Directory(root))) => Some(*root),
        _ => None,
    };
    // Globs are one directory that keeps the paths.
    let inside = |below: &str| match path.contains(['*', '?', '[', '{', '\n']) {
        true => below.to_owned(),
        false => format!("{path}/{below}"),
    };
    let (Some(one), Some(other)) = (directory(first), directory(second)) else {
        let difference = Difference { path: path.to_owned(), old: leaf(first), new: leaf(second) };
        return if most == 0 { (Vec::new(), true) } else { (vec![difference], false) };
    };
    let compared = differences(blobs, one, other, most).await;
    let mut found: Vec<Difference> = compared
        .found
        .into_iter()
        .map(|difference| Difference { path: inside(&difference.path), ..difference })
        .collect();
    if found.is_empty() && !compared.more {
        // Directories without files, or ones that cannot be read any more.
        found.push(Difference { path: path.to_owned(), old: None, new: None });
    }
    (found, compared.more)
}

fn leaf(kind: Option<&OutputKind>) -> Option<Leaf> {
    match kind? {
        OutputKind::Tree(TreeRef::File { digest, executable }) => {
            Some(Leaf::File { digest: *digest, executable: *executable })
        }
        OutputKind::Tree(TreeRef::Directory(_)) => None,
        OutputKind::Symlink(target) => Some(Leaf::Symlink(target.as_str().into())),
    }
}

async fn file(
    blobs: &dyn BlobStore,
    difference: Difference,
    (window, masks): (Window, &Masks),
) -> FileDifference {
    let Difference { mut path, old, new } = difference;
    masks.text(&mut path);
    let (what, how) = match (old, new) {
        (Some(Leaf::File { digest: old, .. }), Some(Leaf::File { digest: new, .. })) if old != new => {
            ("content".to_owned(), contents(blobs, (old, new), (window, masks)).await)
        }
        (Some(Leaf::File { executable, .. }), Some(Leaf::File { .. })) => {
            let which = if executable { "first" } else { "second" };
            (format!("executable only after the {which} execution"), How::default())
        }
        (Some(Leaf::Symlink(old)), Some(Leaf::Symlink(new))) => {
            let how = of_links(old.as_bytes(), new.as_bytes(), (window, masks));
            ("where the link leads".to_owned(), how)
        }
        (Some(_), None) => ("there only after the first execution".to_owned(), How::default()),
        (None, Some(_)) => ("there only after the second execution".to_owned(), How::default()),
        (None, None) => ("the directories themselves".to_owned(), How::default()),
        (Some(_), Some(_)) => ("a file in one and a link in the other".to_owned(), How::default()),
    };
    FileDifference { path, what, how }
}

async fn contents(
    blobs: &dyn BlobStore,
    (old, new): (Digest, Digest),
    (window, masks): (Window, &Masks),
) -> How {
    let read = async |digest: Digest| {
        if digest.size() > MOST_BYTES {
            return None;
        }
        blobs.get(&digest).await.ok()?.into_bytes().ok()
    };
    match (read(old).await, read(new).await) {
        (Some(old), Some(new)) => of_bytes(&old, &new, (window, masks)),
        _ => of_sizes(old.size(), new.size()),
    }
}

fn of_sizes(old: u64, new: u64) -> How {
    let excerpt = vec![format!("{old} bytes, then {new}; not looked into")];
    How { causes: [Cause::Unknown].into(), excerpt }
}

fn of_bytes(old: &[u8], new: &[u8], (window, masks): (Window, &Masks)) -> How {
    let (old, new) = (masks.bytes(old), masks.bytes(new));
    if old == new {
        let excerpt = vec!["only what is masked in it".to_owned()];
        return How { causes: [Cause::Unknown].into(), excerpt };
    }
    how::compare(&old, &new, window)
}

/// Targets are masked as they are: a value need not be UTF-8.
fn of_links(old: &[u8], new: &[u8], (window, masks): (Window, &Masks)) -> How {
    let [old, new] = [old, new].map(|target| String::from_utf8_lossy(&masks.bytes(target)).into_owned());
    let causes = [token::cause(&old, &new, window)].into();
    let excerpt =
        vec![format!("- {}", crate::ui::clean::line(&old)), format!("+ {}", crate::ui::clean::line(&new))];
    How { causes, excerpt }
}

pub(crate) use show::{human, json};
