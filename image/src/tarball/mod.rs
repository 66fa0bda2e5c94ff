//! Tar as layers and saved images have it: read strictly, so that no other program can see another content in the
//! same bytes, and in memory that does not grow with the archive.
//!
//! The `tar` crate reads and writes header blocks. What goes between them is read here, because that crate takes
//! long names and attributes into memory whatever their length, splits attribute records at line ends (a
//! `security.capability` may contain one), and takes the size of an extended header without comparing.

mod error;
mod extras;
mod fields;
mod header;
mod pax;
mod reader;
mod write;

#[cfg(test)]
mod differential;
#[cfg(test)]
mod tests;

pub use error::TarError;

pub(crate) use reader::{Entry, Kind, TarReader, Time, Xattrs};
pub(crate) use write::TarWriter;

/// Bytes in a block.
pub(crate) const BLOCK: usize = 512;
