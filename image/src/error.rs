//! What can go wrong with images.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use crate::layer::LayerError;
use crate::registry::RegistryError;
use crate::{Digest, Platform, ReferenceError};

/// Why an image cannot be had. Cloneable, because one failed pull may answer many who wait for it.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ImageError {
    /// The text names no image.
    #[error(transparent)]
    Reference(#[from] ReferenceError),
    /// A registry refused or failed.
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// The image is for other machines.
    #[error("{image} is not there for {wanted}, only for {}", list(.available))]
    Platform {
        /// What was asked for.
        image: String,
        /// For which machine.
        wanted: Box<Platform>,
        /// For which ones it is there.
        available: Vec<Platform>,
    },
    /// There are several images, or other ones, where one was asked for.
    #[error("{place} {}; it has {}", choice(.place, .wanted.as_deref(), .available), list(.available))]
    Choice {
        /// The directory or file.
        place: String,
        /// The tag, digest or name asked for; none where the only one was meant.
        wanted: Option<String>,
        /// What could be asked for.
        available: Vec<String>,
    },
    /// A manifest, an index or a configuration is not what the specification says.
    #[error("the {what} of {image} cannot be used: {problem}")]
    Document {
        /// `manifest`, `index`, `configuration`, ...
        what: &'static str,
        /// Of what.
        image: String,
        /// What is wrong.
        problem: String,
    },
    /// Something is larger than allowed.
    #[error("the {what} of {image} has more than the {limit} bytes that are allowed")]
    TooLarge {
        /// `manifest`, `configuration`, `layer`, ...
        what: &'static str,
        /// Of what.
        image: String,
        /// The most allowed, in bytes.
        limit: u64,
    },
    /// Bytes are not those that their digest names.
    #[error("the {what} of {image} is damaged: {expected} was asked for, {actual} came")]
    Damaged {
        /// `manifest`, `configuration`, `layer`, ...
        what: &'static str,
        /// Of what.
        image: String,
        /// What was asked for.
        expected: Digest,
        /// What the bytes hash to.
        actual: Digest,
    },
    /// A layer cannot be unpacked.
    #[error("layer {} of {image} cannot be unpacked", .layer)]
    Layer {
        /// Of what.
        image: String,
        /// Its diff ID.
        layer: Digest,
        /// Why not.
        #[source]
        source: Box<LayerError>,
    },
    /// A directory cannot become a layer.
    #[error("{} cannot become a layer", .tree.display())]
    Unwritable {
        /// The directory.
        tree: PathBuf,
        /// Why not.
        #[source]
        source: Box<LayerError>,
    },
    /// A file or a directory could not be read or written.
    #[error("cannot {action} {}", .path.display())]
    Io {
        /// What was attempted.
        action: &'static str,
        /// Of what.
        path: PathBuf,
        /// Why not.
        #[source]
        source: Arc<io::Error>,
    },
    /// Another process has been busy with the same thing for too long.
    #[error("another process has held {} for {waited_s} seconds", .path.display())]
    Locked {
        /// The lock.
        path: PathBuf,
        /// How long it was waited for.
        waited_s: u64,
    },
    /// A thread that did the work ended early; only a defect does that.
    #[error("work on {image} ended early")]
    Interrupted {
        /// Of what.
        image: String,
    },
}

impl ImageError {
    /// Whether it is for want of room on a disk: bytes, inodes, or what the user may have of them.
    pub fn is_no_space(&self) -> bool {
        let is_for_room = |source: &io::Error| {
            matches!(source.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
        };
        match self {
            Self::Io { source, .. } => is_for_room(source),
            Self::Layer { source, .. } => {
                matches!(&**source, LayerError::Io { source, .. } if is_for_room(source))
            }
            _ => false,
        }
    }

    /// Whether another try, here or on another machine, would find the same until somebody changes something: the name, the
    /// image, a login. What has to do with this machine's disk or with time is not.
    pub fn is_permanent(&self) -> bool {
        match self {
            Self::Registry(error) => !error.problem.may_pass(),
            Self::Layer { source, .. } => match &**source {
                LayerError::Io { .. } | LayerError::Cancelled => false,
                // What is wrong with its compression is wrong everywhere; what the disk says is not.
                LayerError::Read { source } => source.raw_os_error().is_none(),
                _ => true,
            },
            Self::Reference(_)
            | Self::Platform { .. }
            | Self::Choice { .. }
            | Self::Document { .. }
            | Self::TooLarge { .. }
            | Self::Damaged { .. }
            | Self::Unwritable { .. } => true,
            Self::Io { .. } | Self::Locked { .. } | Self::Interrupted { .. } => false,
        }
    }

    pub(crate) fn io(action: &'static str, path: impl Into<PathBuf>, error: impl Into<io::Error>) -> Self {
        Self::Io { action, path: path.into(), source: Arc::new(error.into()) }
    }

    pub(crate) fn document(what: &'static str, image: &str, problem: impl ToString) -> Self {
        Self::Document { what, image: image.to_owned(), problem: problem.to_string() }
    }
}

/// What is wrong with a choice, and how to make another one.
fn choice(place: &str, wanted: Option<&str>, available: &[String]) -> String {
    match (wanted, available.first()) {
        (Some(wanted), _) => format!("has no single image {wanted}"),
        (None, None) => "has no single image, and none with a name".to_owned(),
        (None, Some(digest)) if digest.starts_with("sha256:") => {
            format!("has no single image to take: write {place}@DIGEST with one of those that it has")
        }
        (None, Some(_)) => {
            format!("has no single image to take: write {place}:NAME with one of those that it has")
        }
    }
}

/// The first few; a registry may have hundreds.
const LISTED: usize = 20;

fn list<T: ToString>(items: &[T]) -> String {
    if items.is_empty() {
        return "none".to_owned();
    }
    let shown: Vec<String> = items.iter().take(LISTED).map(T::to_string).collect();
    let more =
        if items.len() > LISTED { format!(" and {} more", items.len() - LISTED) } else { String::new() };
    shown.join(", ") + &more
}
