//! Single looks at the machine's files, written down: as long as each would show the same again, so would whatever
//! was concluded from them.

use std::collections::BTreeMap;
use std::fs::{self, Metadata};
use std::path::{Path, PathBuf};
use std::time::Duration;

use cullet_digest::DigestFunction;
use serde::{Deserialize, Serialize};

use super::stamp::Stamp;

/// What is looked for at a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
enum Kind {
    /// The stamp of what is there, links followed.
    Followed,
    /// The stamp of what is there, which may be a link. A link cannot be changed, only replaced.
    Itself,
    /// Whether a directory is there, links followed; its contents do not matter.
    Directory,
    /// The path without links.
    Canonical,
}

/// What a look showed.
#[derive(Debug, PartialEq, Eq)]
enum Seen {
    Nothing,
    Stamp(Stamp),
    Directory,
    Path(PathBuf),
}

impl Seen {
    fn at(path: &Path, kind: Kind) -> Self {
        match kind {
            Kind::Followed => Self::stamp(fs::metadata(path).ok().as_ref()),
            Kind::Itself => Self::stamp(fs::symlink_metadata(path).ok().as_ref()),
            Kind::Directory => Self::directory(path.is_dir()),
            Kind::Canonical => fs::canonicalize(path).map_or(Self::Nothing, Self::Path),
        }
    }

    fn stamp(found: Option<&Metadata>) -> Self {
        found.map_or(Self::Nothing, |found| Self::Stamp(Stamp::of(found)))
    }

    const fn directory(there: bool) -> Self {
        if there { Self::Directory } else { Self::Nothing }
    }

    /// Begins with a letter for its kind; a path is the only one whose length varies, and has a length before it.
    fn append_to(&self, bytes: &mut Vec<u8>) {
        match self {
            Self::Nothing => bytes.push(b'n'),
            Self::Directory => bytes.push(b'd'),
            Self::Stamp(stamp) => {
                bytes.push(b's');
                stamp.append_to(bytes);
            }
            Self::Path(path) => {
                let path = path.as_os_str().as_encoded_bytes();
                bytes.push(b'p');
                bytes.extend((path.len() as u64).to_le_bytes());
                bytes.extend(path);
            }
        }
    }
}

/// Looks, and writes down what it saw.
#[derive(Debug, Default)]
pub(super) struct Looks {
    seen: BTreeMap<(PathBuf, Kind), Seen>,
    /// Something looked different the second time.
    restless: bool,
}

/// Looks that can be repeated: where, and a digest of what they showed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Facts {
    places: Vec<(Kind, String)>,
    digest: String,
}

impl Looks {
    /// What is at `path`, links followed.
    pub(super) fn metadata(&mut self, path: &Path) -> Option<Metadata> {
        let found = fs::metadata(path).ok();
        self.write_down(path, Kind::Followed, Seen::stamp(found.as_ref()));
        found
    }

    /// What is at `path`, which may be a link.
    pub(super) fn symlink_metadata(&mut self, path: &Path) -> Option<Metadata> {
        let found = fs::symlink_metadata(path).ok();
        self.write_down(path, Kind::Itself, Seen::stamp(found.as_ref()));
        found
    }

    /// Where the link at `path` leads; none where there is no link.
    pub(super) fn read_link(&mut self, path: &Path) -> Option<PathBuf> {
        let found = self.symlink_metadata(path)?;
        found.is_symlink().then(|| fs::read_link(path).ok()).flatten()
    }

    /// Whether there is a directory at `path`.
    pub(super) fn is_dir(&mut self, path: &Path) -> bool {
        let there = path.is_dir();
        self.write_down(path, Kind::Directory, Seen::directory(there));
        there
    }

    /// `path` without links.
    pub(super) fn canonical(&mut self, path: &Path) -> Option<PathBuf> {
        let seen = Seen::at(path, Kind::Canonical);
        let found = if let Seen::Path(path) = &seen { Some(path.clone()) } else { None };
        self.write_down(path, Kind::Canonical, seen);
        found
    }

    fn write_down(&mut self, path: &Path, kind: Kind, seen: Seen) {
        let before = self.seen.get(&(path.to_path_buf(), kind));
        self.restless |= before.is_some_and(|before| *before != seen);
        self.seen.insert((path.to_path_buf(), kind), seen);
    }

    /// All of it, to be looked at again; none when something changed so shortly before `now` that another change
    /// need not show, or has a name that is no text.
    pub(super) fn facts(&self, now: Duration) -> Option<Facts> {
        let (mut places, mut bytes) = (Vec::with_capacity(self.seen.len()), Vec::new());
        for ((path, kind), seen) in &self.seen {
            if matches!(seen, Seen::Stamp(stamp) if !stamp.is_settled(now)) {
                return None;
            }
            places.push((*kind, path.to_str()?.to_owned()));
            seen.append_to(&mut bytes);
        }
        let digest = DigestFunction::Blake3.digest(&bytes).hash_hex();
        (!self.restless).then_some(Facts { places, digest })
    }
}

impl Facts {
    /// How many looks it takes.
    pub(super) fn len(&self) -> usize {
        self.places.len()
    }

    /// Whether every look shows the same again.
    pub(super) fn hold(&self) -> bool {
        let mut bytes = Vec::with_capacity(self.places.len() * 65);
        for (kind, path) in &self.places {
            Seen::at(Path::new(path), *kind).append_to(&mut bytes);
        }
        DigestFunction::Blake3.digest(&bytes).hash_hex() == self.digest
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    /// Long after every file of a test was made.
    const LATER: Duration = Duration::from_secs(1 << 40);

    fn facts(look: impl FnOnce(&mut Looks)) -> Facts {
        let mut looks = Looks::default();
        look(&mut looks);
        looks.facts(LATER).unwrap()
    }

    #[test]
    fn they_hold_until_what_was_seen_changes() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        fs::write(path("file"), "1").unwrap();
        fs::create_dir(path("dir")).unwrap();
        symlink("file", path("link")).unwrap();
        let file = facts(|looks| assert!(looks.metadata(&path("link")).unwrap().is_file()));
        let link = facts(|looks| assert_eq!(looks.read_link(&path("link")), Some("file".into())));
        let absent = facts(|looks| assert!(looks.metadata(&path("absent")).is_none()));
        let is_dir = facts(|looks| assert!(looks.is_dir(&path("dir"))));
        let names = facts(|looks| assert!(looks.metadata(&path("dir")).unwrap().is_dir()));
        let canonical = facts(|looks| assert!(looks.canonical(&path("link")).unwrap().ends_with("file")));
        let hold = || [&file, &link, &absent, &is_dir, &names, &canonical].map(Facts::hold);
        assert_eq!(hold(), [true; 6]);
        fs::write(path("file"), "12").unwrap();
        assert_eq!(hold(), [false, true, true, true, true, true], "written in place, seen through the link");
        fs::write(path("dir/more"), "").unwrap();
        assert_eq!(hold(), [false, true, true, true, false, true], "a name was added");
        fs::write(path("absent"), "").unwrap();
        assert_eq!(hold(), [false, true, false, true, false, true]);
        fs::remove_file(path("link")).unwrap();
        symlink("absent", path("link")).unwrap();
        assert_eq!(hold(), [false, false, false, true, false, false], "the link leads elsewhere");
        fs::remove_dir_all(path("dir")).unwrap();
        assert_eq!(hold(), [false; 6]);
    }

    #[test]
    fn what_changed_just_now_is_not_trusted() {
        let dir = tempfile::tempdir().unwrap();
        let mut looks = Looks::default();
        looks.metadata(dir.path());
        assert_eq!(looks.facts(super::super::stamp::now()), None);
        assert!(looks.facts(LATER).is_some());
    }

    #[test]
    fn what_changes_between_two_looks_is_not_trusted() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        let mut looks = Looks::default();
        looks.metadata(&path);
        fs::write(&path, "1").unwrap();
        looks.metadata(&path);
        assert_eq!(looks.facts(LATER), None);
    }
}
