//! Walks through the outputs: every entry is looked at before anything is hashed or moved.

use cullet_cache::OutputPath;
use cullet_digest::{Digest, NodeName};

use super::fault::{CollectError, OutputFault, shown};
use super::found::{DirRef, FileRef, Found};
use super::globs::{self, Globs};
use super::input_links::Escaping;
use super::resolve::Needs;
use super::view::{Cursor, View};
use crate::layers::{Entry, FileEntry, LayerSet, join};

/// A walk through one output.
pub(super) struct Scan<'a, 'b> {
    pub(super) view: &'a View<'b>,
    pub(super) found: &'a mut Found,
    pub(super) output: &'a OutputPath,
    /// What to take; everything where there are none.
    pub(super) globs: Option<&'a Globs>,
    /// Whether anything was taken.
    pub(super) any: bool,
    base: usize,
    todo: Vec<Todo>,
}

/// A directory still to be looked at. Its path is with its place: all paths at once could be much memory.
struct Todo {
    dir: usize,
    layers: LayerSet,
    known: Option<Digest>,
    whole: bool,
}

impl<'a, 'b> Scan<'a, 'b> {
    pub(super) fn new(
        view: &'a View<'b>,
        found: &'a mut Found,
        output: &'a OutputPath,
        globs: Option<&'a Globs>,
    ) -> Self {
        Self { view, found, output, globs, any: false, base: 0, todo: Vec::new() }
    }

    /// Walks a directory and all below it, and returns its number among those found.
    pub(super) fn tree(&mut self, start: &Cursor) -> Result<usize, CollectError> {
        let place = self.found.places.start(&start.path);
        let root = self.found.dir(place, true)?;
        self.base = if start.path.is_empty() { 0 } else { start.path.len() + 1 };
        self.directory(start, root, self.globs.is_none())?;
        while let Some(todo) = self.todo.pop() {
            let path = self.found.places.path(self.found.dirs[todo.dir].place);
            let known = match &todo.known {
                Some(digest) => Some(self.view.directory(&path, digest)?),
                None => None,
            };
            self.directory(&Cursor { path, layers: todo.layers, known }, todo.dir, todo.whole)?;
        }
        Ok(root)
    }

    fn directory(&mut self, at: &Cursor, dir: usize, whole: bool) -> Result<(), CollectError> {
        let entries = self.view.list(at, self.found.room(whole))?;
        for (name, entry) in entries.ok_or_else(|| self.found.too_many())? {
            let path = join(&at.path, &name);
            let taken = whole || self.globs.is_some_and(|globs| globs.matches(&path[self.base..]));
            if taken || self.leads_on(&path, &entry) {
                self.any |= taken;
                self.entry(at, dir, &name, entry, taken)?;
            }
        }
        Ok(())
    }

    /// Whether the entry, not taken itself, may hold something that is.
    fn leads_on(&self, path: &[u8], entry: &Entry) -> bool {
        matches!(entry, Entry::Directory(_))
            && std::str::from_utf8(path).is_ok()
            && self.globs.is_some_and(|globs| globs.reach_below(&path[self.base..]))
    }

    fn entry(
        &mut self,
        at: &Cursor,
        dir: usize,
        name: &[u8],
        entry: Entry,
        taken: bool,
    ) -> Result<(), CollectError> {
        let node = self.text(at, name, name).and_then(|text| {
            NodeName::new(text).map_err(|_| OutputFault::Path { output: globs::name(self.output) })
        })?;
        match entry {
            Entry::File(file) => {
                let content = self.file(at, self.found.dirs[dir].place, name, &file)?;
                self.found.dirs[dir].files.push((node, content, file.executable));
            }
            Entry::Directory(layers) => {
                let content = self.subdirectory(at, dir, name, layers, taken)?;
                self.found.dirs[dir].dirs.push((node, content));
            }
            Entry::Symlink(target) => {
                let target = self.link(at, name, &target)?;
                self.found.count()?;
                self.found.dirs[dir].links.push((node, target.into()));
            }
            Entry::Special(kind) => {
                let (output, path) = (globs::name(self.output), shown(&join(&at.path, name)));
                return Err(OutputFault::Special { output, path, kind }.into());
            }
        }
        Ok(())
    }

    /// A file in the directory at `place`.
    pub(super) fn file(
        &mut self,
        at: &Cursor,
        place: usize,
        name: &[u8],
        file: &FileEntry,
    ) -> Result<FileRef, CollectError> {
        let known =
            std::str::from_utf8(name).ok().and_then(|text| self.view.known_file(at, text, file.layer));
        match known {
            Some(digest) => Ok(FileRef::Known(digest)),
            None => Ok(FileRef::Found(self.found.file(place, name, file)?)),
        }
    }

    fn subdirectory(
        &mut self,
        at: &Cursor,
        dir: usize,
        name: &[u8],
        layers: LayerSet,
        taken: bool,
    ) -> Result<DirRef, CollectError> {
        if let Some(digest) = self.view.untouched(at, name, layers).filter(|_| taken) {
            self.taken_over(at, name, digest)?;
            return Ok(DirRef::Known(digest));
        }
        let place = self.found.places.child(self.found.dirs[dir].place, name);
        let child = self.found.dir(place, taken)?;
        let known = self.view.known_directory(at, name, layers);
        self.todo.push(Todo { dir: child, layers, known, whole: taken });
        Ok(DirRef::Found(child))
    }

    /// Checks the links of a directory that comes from the inputs as it was.
    fn taken_over(&mut self, at: &Cursor, name: &[u8], digest: Digest) -> Result<(), CollectError> {
        if self.view.keeps_links {
            return Ok(());
        }
        let (path, depth) = (join(&at.path, name), self.depth(at) + 1);
        match self.found.input_links.escaping(self.view, &path, digest, depth)? {
            Some(link) => Err(self.refuse(link).into()),
            None => Ok(()),
        }
    }

    fn link(&self, at: &Cursor, name: &[u8], target: &[u8]) -> Result<String, OutputFault> {
        if !self.view.keeps_links && Needs::of(target) > Needs::Depth(self.depth(at)) {
            let (link, target) = (shown(&join(&at.path, name)), shown(target));
            return Err(self.refuse(Escaping { link, target }));
        }
        self.text(at, name, target)
    }

    /// Relative to the output: whoever gets it gets nothing of what was around it.
    fn depth(&self, at: &Cursor) -> usize {
        let below = at.path.get(self.base..).unwrap_or_default();
        below.split(|&byte| byte == b'/').filter(|name| !name.is_empty()).count()
    }

    fn refuse(&self, link: Escaping) -> OutputFault {
        let Escaping { link, target } = link;
        OutputFault::EscapingLink { output: globs::name(self.output), link, target }
    }

    fn text(&self, at: &Cursor, name: &[u8], bytes: &[u8]) -> Result<String, OutputFault> {
        String::from_utf8(bytes.to_vec()).map_err(|_| OutputFault::NotUtf8 {
            output: globs::name(self.output),
            path: shown(&join(&at.path, name)),
        })
    }
}
