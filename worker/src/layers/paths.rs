//! The directories of a walk, without a whole path for each.

/// A directory of a [`Places`].
pub(crate) type Place = usize;

/// Directories below some root. Each knows only its own name and its parent, so a million of them, or a chain
/// four thousand deep, take little memory; whole paths are put together when one is needed.
#[derive(Debug, Default)]
pub(crate) struct Places {
    entries: Vec<(Option<Place>, Box<[u8]>)>,
}

impl Places {
    /// A directory to start from, with its path relative to the root.
    pub(crate) fn start(&mut self, path: &[u8]) -> Place {
        self.entries.push((None, path.into()));
        self.entries.len() - 1
    }

    /// A directory in another one.
    pub(crate) fn child(&mut self, parent: Place, name: &[u8]) -> Place {
        self.entries.push((Some(parent), name.into()));
        self.entries.len() - 1
    }

    /// The path relative to the root; empty for the root itself.
    pub(crate) fn path(&self, place: Place) -> Vec<u8> {
        let mut names: Vec<&[u8]> = Vec::new();
        let mut here = Some(place);
        while let Some((parent, name)) = here.and_then(|place| self.entries.get(place)) {
            if !name.is_empty() {
                names.push(name);
            }
            here = *parent;
        }
        names.reverse();
        names.join(&b'/')
    }
}

/// `path` and `name` with a `/` between them where one is needed.
pub(crate) fn join(path: &[u8], name: &[u8]) -> Vec<u8> {
    if path.is_empty() { name.to_vec() } else { [path, name].join(&b'/') }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_put_together_from_the_names_above() {
        let mut places = Places::default();
        let root = places.start(b"");
        let a = places.child(root, b"a");
        let b = places.child(a, b"b");
        let elsewhere = places.start(b"x/y");
        let z = places.child(elsewhere, b"z");
        assert_eq!((places.path(root), places.path(b)), (b"".to_vec(), b"a/b".to_vec()));
        assert_eq!(places.path(z), b"x/y/z");
        assert_eq!(join(b"", b"n"), b"n");
        assert_eq!(join(b"a/b", b"n"), b"a/b/n");
    }
}
