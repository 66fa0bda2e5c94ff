//! From an output's declared path to what is there, through links that stay in the workspace.

use cullet_cache::OutputPath;

use super::fault::{CollectError, OutputFault, shown};
use super::view::{Cursor, View};
use crate::layers::{Entry, FileEntry};

/// As many as the kernel follows in one path (path_resolution(7)).
const MAX_LINKS: usize = 40;
/// Where steps see the workspace, so that their absolute links into it are understood.
const WORKSPACE: &[u8] = b"/workspace";
/// How many neighbours of a missing output are named: enough to see a typing error, short enough for a line.
const MAX_NEARBY: usize = 8;

/// How many neighbours are looked at for that: they have to be sorted, which takes memory.
const MAX_LISTED: u64 = 100_000;

/// What an output's path leads to.
pub(super) enum Located {
    /// A file, and the directory it is in.
    File { dir: Cursor, name: Vec<u8>, file: FileEntry },
    /// A directory.
    Directory(Cursor),
    /// A link, where outputs may be links; where it points.
    Link(String),
    /// Nothing; what there is instead, in words.
    Missing(String),
}

/// The way through the workspace, always inside it.
struct Way<'a, 'b> {
    view: &'a View<'b>,
    output: &'a OutputPath,
    /// The root and every directory entered since.
    dirs: Vec<Cursor>,
    /// Segments still to go, the next one last.
    rest: Vec<Vec<u8>>,
    links: usize,
}

/// The directory that paths of outputs are relative to: normal segments only, or the path is refused.
pub(super) fn segments(base: &str, output: &OutputPath) -> Result<Vec<Vec<u8>>, OutputFault> {
    let literal = if output.globs { "" } else { &*output.path };
    let path = || base.split('/').chain(literal.split('/')).filter(|name| !name.is_empty() && *name != ".");
    if literal.starts_with('/') || path().any(|name| name == ".." || name.contains('\0')) {
        return Err(OutputFault::Path { output: output.path.clone() });
    }
    Ok(path().map(|name| name.as_bytes().to_vec()).collect())
}

/// Follows `path` from the root of the workspace.
pub(super) fn locate(
    view: &View<'_>,
    output: &OutputPath,
    path: Vec<Vec<u8>>,
) -> Result<Located, CollectError> {
    let rest = path.into_iter().rev().collect();
    let mut way = Way { view, output, dirs: vec![view.root()?], rest, links: 0 };
    while let Some(name) = way.rest.pop() {
        if let Some(end) = way.step(name)? {
            return Ok(end);
        }
    }
    let here = way.dirs.pop();
    Ok(here.map_or_else(|| Located::Missing("the workspace is gone".to_owned()), Located::Directory))
}

impl Way<'_, '_> {
    fn step(&mut self, name: Vec<u8>) -> Result<Option<Located>, CollectError> {
        if name == b".." {
            // Only links have these; `follow` has checked that they do not leave the root.
            self.dirs.truncate(self.dirs.len().max(2) - 1);
            return Ok(None);
        }
        let Some(here) = self.dirs.last() else { return Ok(None) };
        match self.view.entry(here, &name)? {
            None => Ok(Some(Located::Missing(nearby(self.view, here)?))),
            Some(Entry::Directory(layers)) => {
                let next = self.view.descend(here, &name, layers)?;
                self.dirs.push(next);
                Ok(None)
            }
            Some(Entry::File(file)) if self.rest.is_empty() => {
                Ok(Some(Located::File { dir: here.clone(), name, file }))
            }
            Some(Entry::File(_)) => {
                let file = shown(&crate::layers::join(&here.path, &name));
                Ok(Some(Located::Missing(format!("'{file}' is a file"))))
            }
            Some(Entry::Symlink(target)) if self.rest.is_empty() && self.view.keeps_links => {
                let path = || shown(&crate::layers::join(&here.path, &name));
                let target = String::from_utf8(target.to_vec())
                    .map_err(|_| OutputFault::NotUtf8 { output: self.output.path.clone(), path: path() })?;
                Ok(Some(Located::Link(target)))
            }
            Some(Entry::Symlink(target)) => self.follow(&name, &target).map(|()| None),
            Some(Entry::Special(kind)) => Err(OutputFault::Special {
                output: self.output.path.clone(),
                path: shown(&crate::layers::join(&here.path, &name)),
                kind,
            }
            .into()),
        }
    }

    fn follow(&mut self, name: &[u8], target: &[u8]) -> Result<(), CollectError> {
        let here = self.dirs.last().map_or(&[][..], |dir| &dir.path);
        let (output, link) = (self.output.path.clone(), shown(&crate::layers::join(here, name)));
        self.links += 1;
        if self.links > MAX_LINKS {
            return Err(OutputFault::LinkLoop { output, link }.into());
        }
        let inside = match target.strip_prefix(WORKSPACE) {
            Some(below) if below.is_empty() || below.starts_with(b"/") => {
                self.dirs.truncate(1);
                Some(below)
            }
            _ => Some(target).filter(|target| !target.starts_with(b"/")),
        };
        // Whatever the link is in depth from here: `..` may only undo what was entered, link by link.
        let names: Option<Vec<Vec<u8>>> = inside.and_then(|path| stays_inside(path, self.dirs.len() - 1));
        let Some(names) = names else {
            return Err(OutputFault::LeavesWorkspace { output, link, target: shown(target) }.into());
        };
        self.rest.extend(names.into_iter().rev());
        Ok(())
    }
}

/// The segments of a link's target, if they do not climb out of a root that is `depth` directories up.
fn stays_inside(target: &[u8], depth: usize) -> Option<Vec<Vec<u8>>> {
    let names = target.split(|&byte| byte == b'/').filter(|name| !name.is_empty() && *name != b".");
    let mut left = depth;
    for name in names.clone() {
        left = if name == b".." { left.checked_sub(1)? } else { left + 1 };
    }
    Some(names.map(<[u8]>::to_vec).collect())
}

/// How deep below the root of an output a directory has to be so that none of its links leads out of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Needs {
    /// At least so many levels.
    Depth(usize),
    /// No depth is enough.
    Elsewhere,
}

impl Needs {
    /// What a link that is kept as a link needs to point into its output, wherever the output is put. `..` may
    /// only lead: after the name of something that is itself a link it would climb from where that one points,
    /// and harmless links would add up to a harmful one.
    pub(super) fn of(target: &[u8]) -> Self {
        let mut names = target.split(|&byte| byte == b'/').filter(|name| !name.is_empty() && *name != b".");
        let climbs = names.by_ref().take_while(|name| *name == b"..").count();
        match !target.starts_with(b"/") && names.all(|name| name != b"..") {
            true => Self::Depth(climbs),
            false => Self::Elsewhere,
        }
    }

    /// The same, for the depth of the directory above.
    pub(super) fn seen_from_above(self) -> Self {
        match self {
            Self::Depth(depth) => Self::Depth(depth.saturating_sub(1)),
            Self::Elsewhere => Self::Elsewhere,
        }
    }
}

/// What a directory holds, in words.
pub(super) fn nearby(view: &View<'_>, dir: &Cursor) -> Result<String, CollectError> {
    let place =
        if dir.path.is_empty() { "the workspace".to_owned() } else { format!("'{}'", shown(&dir.path)) };
    let Some(entries) = view.list(dir, MAX_LISTED)? else {
        return Ok(format!("{place} holds more than {MAX_LISTED} others"));
    };
    if entries.is_empty() {
        return Ok(format!("{place} is empty"));
    }
    let name = |(name, entry): &(Vec<u8>, Entry)| match entry {
        Entry::Directory(_) => shown(name) + "/",
        _ => shown(name),
    };
    let names: Vec<String> = entries.iter().take(MAX_NEARBY).map(name).collect();
    let more = match entries.len() - names.len() {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    Ok(format!("{place} holds {}{more}", names.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_may_point_anywhere_in_the_output() {
        for (target, depth) in
            [("x", 0), ("../x", 1), ("./.././../x/y", 2), ("./a//b", 0), ("..", 1), (".", 0), ("...", 0)]
        {
            assert!(Needs::of(target.as_bytes()) <= Needs::Depth(depth), "{target} at {depth}");
        }
        for (target, depth) in [
            ("..", 0),
            ("../..", 1),
            ("a/..", 5),
            ("a/../../x", 0),
            ("../a/../x", 5),
            ("a/b/./..", 5),
            ("/etc", 5),
            ("/workspace/x", 5),
        ] {
            assert!(Needs::of(target.as_bytes()) > Needs::Depth(depth), "{target} at {depth}");
        }
    }

    #[test]
    fn output_paths_have_normal_segments() {
        let output = |path: &str| OutputPath { path: path.to_owned(), globs: false, optional: false };
        let of = |base: &str, path: &str| segments(base, &output(path)).ok().map(|names| names.join(&b'/'));
        assert_eq!(of("", "a/./b//c"), Some(b"a/b/c".to_vec()));
        assert_eq!(of("sub", "a"), Some(b"sub/a".to_vec()));
        assert_eq!(of("sub", ""), Some(b"sub".to_vec()));
        for path in ["/a", "..", "a/../b", "a\0"] {
            assert_eq!(of("", path), None, "{path:?}");
        }
    }
}
