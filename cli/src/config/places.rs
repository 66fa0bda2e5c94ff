//! Where things are below the directory of the cache.

use std::path::PathBuf;

use super::Config;

impl Config {
    /// Where the images are that steps run in.
    pub fn images_dir(&self) -> PathBuf {
        self.cache_dir.join("images")
    }

    /// Where runs are kept.
    pub fn runs_dir(&self) -> PathBuf {
        self.cache_dir.join("runs")
    }

    /// Where the keys of earlier runs are kept.
    pub fn keys_dir(&self) -> PathBuf {
        self.cache_dir.join("keys")
    }
}
