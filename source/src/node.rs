//! What lies in one directory of a source, in few bytes.

use std::ops::Range;

use crate::stat::StatKey;

/// A piece of a text that is kept elsewhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) start: u32,
    pub(crate) len: u32,
}

impl Span {
    pub(crate) const fn range(self) -> Range<usize> {
        self.start as usize..self.start as usize + self.len as usize
    }
}

/// A file or a symbolic link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) name: Span,
    pub(crate) content: Content,
    /// Its status when `content` was read.
    pub(crate) stat: StatKey,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Content {
    File {
        hash: [u8; 32],
        /// Bytes: the number that was hashed, which `stat` need not know.
        size: u64,
        executable: bool,
    },
    Symlink {
        target: Span,
    },
}

/// The entries of one directory that belong to the source, each list sorted by name.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Listing<'a> {
    pub(crate) text: &'a str,
    /// Names. Empty directories are still among them.
    pub(crate) subdirs: &'a [Span],
    pub(crate) entries: &'a [Entry],
}

impl<'a> Listing<'a> {
    pub(crate) const EMPTY: Self = Self { text: "", subdirs: &[], entries: &[] };

    pub(crate) fn text(&self, span: Span) -> &'a str {
        &self.text[span.range()]
    }

    /// The position of a subdirectory.
    pub(crate) fn subdir(&self, name: &str) -> Option<usize> {
        self.subdirs.binary_search_by(|&span| self.text(span).cmp(name)).ok()
    }

    /// The file or symbolic link of that name.
    pub(crate) fn entry(&self, name: &str) -> Option<&'a Entry> {
        let at = self.entries.binary_search_by(|entry| self.text(entry.name).cmp(name)).ok()?;
        self.entries.get(at)
    }
}

/// A [`Listing`] that was just read.
#[derive(Debug, Default)]
pub(crate) struct OwnListing {
    pub(crate) text: String,
    pub(crate) subdirs: Vec<Span>,
    pub(crate) entries: Vec<Entry>,
}

impl OwnListing {
    pub(crate) fn view(&self) -> Listing<'_> {
        Listing { text: &self.text, subdirs: &self.subdirs, entries: &self.entries }
    }

    /// Keeps a name or a link target. None when the directory's texts would pass 4 GiB.
    pub(crate) fn keep(&mut self, text: &str) -> Option<Span> {
        let (start, len) = (u32::try_from(self.text.len()).ok()?, u32::try_from(text.len()).ok()?);
        start.checked_add(len)?;
        self.text.push_str(text);
        Some(Span { start, len })
    }
}
