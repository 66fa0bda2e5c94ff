//! Two input roots, compared.

use cullet_cache::BlobStore;
use cullet_digest::Digest;

use crate::trees::{Difference, Leaf, differences};
use crate::ui::clean;

/// The most files that are named.
const MAX_FILES: usize = 20;

/// Adds a line for each file that differs. Equal directories are not read.
pub(super) async fn compare(blobs: &dyn BlobStore, old: Digest, new: Digest, lines: &mut Vec<String>) {
    let differences = differences(blobs, old, new, MAX_FILES).await;
    for found in &differences.found {
        lines.push(format!("input {} {}", clean::line(&found.path), change(found)));
    }
    for path in differences.unreadable {
        let path = if path.is_empty() { "the inputs" } else { &path };
        lines.push(format!("{} differs, but can no longer be read", clean::line(path)));
    }
    if differences.more {
        lines.push("… and more inputs".to_owned());
    }
}

/// What happened to a file or link.
fn change(found: &Difference) -> String {
    match (&found.old, &found.new) {
        (None, _) => "is new".to_owned(),
        (Some(_), None) => "is gone".to_owned(),
        (Some(Leaf::File { digest: old, .. }), Some(Leaf::File { digest: new, executable }))
            if old == new =>
        {
            format!("is {} executable", if *executable { "now" } else { "no longer" })
        }
        (Some(_), Some(Leaf::Symlink(target))) => format!("now links to {}", clean::line(target)),
        (Some(_), Some(_)) => "changed".to_owned(),
    }
}
