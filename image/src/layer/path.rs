//! Names of entries, taken apart.

use super::LayerError;

/// A path below the layer's root, without `.`, `..` and empty components. Bytes, because names need not be text, and
/// compared as bytes, because two that differ only in case are two.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct LayerPath(Vec<u8>);

impl LayerPath {
    /// Reads the name of an entry, or what a hard link refers to. One that begins with a slash is taken from the
    /// layer's root, as `tar` and container runtimes do.
    pub(super) fn read(name: &[u8]) -> Result<Self, LayerError> {
        let mut path = Vec::with_capacity(name.len());
        for part in name.split(|byte| *byte == b'/') {
            match part {
                b"" | b"." => (),
                b".." => return Err(LayerError::entry(name, "has `..` in its name")),
                part => {
                    if !path.is_empty() {
                        path.push(b'/');
                    }
                    path.extend_from_slice(part);
                }
            }
        }
        Ok(Self(path))
    }

    pub(super) fn is_root(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// Directory and name; none for the root.
    pub(super) fn split(&self) -> Option<(Self, &[u8])> {
        if self.is_root() {
            return None;
        }
        let slash = self.0.iter().rposition(|byte| *byte == b'/');
        let (parent, name) = slash.map_or((&[][..], &self.0[..]), |at| (&self.0[..at], &self.0[at + 1..]));
        Some((Self(parent.to_vec()), name))
    }
}

/// What the name of an entry asks for.
///
/// Source: OCI image-spec, `layer.md`, "Whiteouts".
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Asked<'a> {
    /// To be there.
    Itself,
    /// That what lower layers have under this name disappears.
    Whiteout(&'a [u8]),
    /// That everything that lower layers have in this directory disappears.
    Opaque,
    /// Nothing: what AUFS kept for itself, which old images still have.
    Nothing,
}

pub(super) const WHITEOUT: &[u8] = b".wh.";
pub(super) const OPAQUE: &[u8] = b".wh..wh..opq";

impl<'a> Asked<'a> {
    pub(super) fn by(name: &'a [u8]) -> Result<Self, LayerError> {
        let Some(hidden) = name.strip_prefix(WHITEOUT) else { return Ok(Self::Itself) };
        if name == OPAQUE {
            return Ok(Self::Opaque);
        }
        if hidden.starts_with(WHITEOUT) {
            return Ok(Self::Nothing);
        }
        if matches!(hidden, b"" | b"." | b"..") {
            return Err(LayerError::entry(name, "is a whiteout of nothing that can be"));
        }
        Ok(Self::Whiteout(hidden))
    }
}

#[test]
fn names_are_confined() {
    let read = |name: &str| LayerPath::read(name.as_bytes()).map(|path| String::from_utf8(path.0).unwrap());
    for (name, expected) in
        [("a/b", "a/b"), ("./a//b/", "a/b"), ("/etc/x", "etc/x"), ("./", ""), ("a/./b", "a/b")]
    {
        assert_eq!(read(name).unwrap(), expected);
    }
    for name in ["..", "../a", "a/../b", "/..", "a/.."] {
        assert!(matches!(read(name), Err(LayerError::Entry { .. })), "{name}");
    }
    let path = LayerPath::read(b"a/b/c").unwrap();
    let (parent, name) = path.split().unwrap();
    assert_eq!((parent.bytes(), name), (&b"a/b"[..], &b"c"[..]));
    assert!(LayerPath::read(b"/").unwrap().split().is_none());
}

#[test]
fn whiteouts_are_told_from_files() {
    let asked = |name| Asked::by(name).unwrap();
    assert_eq!(asked(b"a.wh."), Asked::Itself);
    assert_eq!(asked(b".wh.a"), Asked::Whiteout(b"a"));
    assert_eq!(asked(b".wh..a"), Asked::Whiteout(b".a"));
    assert_eq!(asked(b".wh..wh..opq"), Asked::Opaque);
    assert_eq!(asked(b".wh..wh.plnk"), Asked::Nothing);
    for bad in [&b".wh."[..], b".wh..", b".wh..."] {
        assert!(Asked::by(bad).is_err());
    }
}
