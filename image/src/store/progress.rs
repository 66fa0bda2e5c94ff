//! How far a pull is.

use std::fs;

use super::Store;
use crate::Resolved;

/// How much of an image is here.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Progress {
    /// Layers that are unpacked.
    pub layers: usize,
    /// Layers that the image has.
    pub all_layers: usize,
    /// Bytes of its layers that are here, as they are sent; those of an unpacked layer count as here.
    pub bytes: u64,
    /// Bytes of all its layers, as they are sent.
    pub all_bytes: u64,
}

impl Store {
    /// How far an image is, whichever process pulls it. Looks at the sizes of at most three files a layer, and reads
    /// none. Blocking, for microseconds. What cannot be looked at is not here.
    pub fn progress(&self, image: &Resolved) -> Progress {
        let mut progress = Progress { all_layers: image.layers.len(), ..Progress::default() };
        for layer in &image.layers {
            let (blob, hex) = (&layer.blob, layer.blob.digest.hex());
            let size = |place| fs::metadata(self.shared.dir.join(place).join(&hex)).map(|stat| stat.len());
            let is_unpacked = self.layer_path(&layer.diff_id).exists();
            let is_here = is_unpacked || image.source.place(blob).is_some();
            let bytes = if is_here {
                blob.size
            } else {
                size("blobs/sha256").or_else(|_| size("partial")).unwrap_or_default().min(blob.size)
            };
            progress.layers += usize::from(is_unpacked);
            progress.bytes = progress.bytes.saturating_add(bytes);
            progress.all_bytes = progress.all_bytes.saturating_add(blob.size);
        }
        progress
    }
}
