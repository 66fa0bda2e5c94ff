//! Links in directories that an output takes over from the inputs as they were. None of their files is looked at
//! again, but whoever gets the output gets these links as well, so they keep to the rule of [`super::scan`].

use std::collections::HashMap;
use std::sync::Arc;

use cullet_digest::{Digest, Directory};

use super::fault::{CollectError, shown};
use super::resolve::Needs;
use super::view::View;
use crate::layers::join;

/// What is known about directories of the inputs. Each is read once, whatever paths and outputs it occurs in, so
/// there are never more than the input root has.
#[derive(Debug, Default)]
pub(super) struct InputLinks(HashMap<Digest, Needs>);

/// A link that leads out, and where to.
#[derive(Debug)]
pub(super) struct Escaping {
    pub(super) link: String,
    pub(super) target: String,
}

/// A directory on the way down.
struct Frame {
    digest: Digest,
    directory: Arc<Directory>,
    /// How many of its directories have been entered.
    entered: usize,
    needs: Needs,
}

impl InputLinks {
    /// A link in or below the directory at `path` of the workspace that leads out of an output whose root is
    /// `depth` above it.
    pub(super) fn escaping(
        &mut self,
        view: &View<'_>,
        path: &[u8],
        digest: Digest,
        depth: usize,
    ) -> Result<Option<Escaping>, CollectError> {
        if self.needs(view, path, digest)? <= Needs::Depth(depth) {
            return Ok(None);
        }
        self.find(view, path, digest, depth).map(Some)
    }

    /// How deep the directory has to be. Children come before their parents, without recursion: four thousand
    /// levels are nothing unusual for a hostile step.
    fn needs(&mut self, view: &View<'_>, path: &[u8], root: Digest) -> Result<Needs, CollectError> {
        if let Some(&known) = self.0.get(&root) {
            return Ok(known);
        }
        let mut way = vec![Frame::new(view, path, root)?];
        loop {
            let Some(here) = way.last_mut() else { return Ok(Needs::Depth(0)) };
            if let Some(child) = here.directory.directories().get(here.entered) {
                here.entered += 1;
                let digest = child.digest;
                match self.0.get(&digest) {
                    Some(known) => here.needs = here.needs.max(known.seen_from_above()),
                    None => way.push(Frame::new(view, &place(path, &way), digest)?),
                }
            } else {
                let (digest, needs) = (here.digest, here.needs);
                self.0.insert(digest, needs);
                way.pop();
                match way.last_mut() {
                    Some(above) => above.needs = above.needs.max(needs.seen_from_above()),
                    None => return Ok(needs),
                }
            }
        }
    }

    /// The first link that needs more depth than it has. All directories on the way are known already.
    fn find(
        &self,
        view: &View<'_>,
        path: &[u8],
        digest: Digest,
        depth: usize,
    ) -> Result<Escaping, CollectError> {
        let (mut path, mut digest, mut depth) = (path.to_vec(), digest, depth);
        loop {
            let directory = view.directory(&path, &digest)?;
            let too_far = |target: &str| Needs::of(target.as_bytes()) > Needs::Depth(depth);
            if let Some(link) = directory.symlinks().iter().find(|link| too_far(&link.target)) {
                let (path, target) = (join(&path, link.name.as_bytes()), shown(link.target.as_bytes()));
                return Ok(Escaping { link: shown(&path), target });
            }
            depth += 1;
            let below =
                |digest: &Digest| self.0.get(digest).is_some_and(|&needs| needs > Needs::Depth(depth));
            let Some(child) = directory.directories().iter().find(|child| below(&child.digest)) else {
                return Err(CollectError::InputLost { path: shown(&path), digest });
            };
            path = join(&path, child.name.as_bytes());
            digest = child.digest;
        }
    }
}

impl Frame {
    fn new(view: &View<'_>, path: &[u8], digest: Digest) -> Result<Self, CollectError> {
        let directory = view.directory(path, &digest)?;
        let links = directory.symlinks().iter().map(|link| Needs::of(link.target.as_bytes()));
        let needs = links.max().unwrap_or(Needs::Depth(0));
        Ok(Self { digest, directory, entered: 0, needs })
    }
}

/// The path of the directory that the last frame has just entered.
fn place(root: &[u8], way: &[Frame]) -> Vec<u8> {
    let names =
        way.iter().filter_map(|frame| frame.directory.directories().get(frame.entered.checked_sub(1)?));
    let names: Vec<&[u8]> = std::iter::once(root).chain(names.map(|child| child.name.as_bytes())).collect();
    names.join(&b'/')
}
