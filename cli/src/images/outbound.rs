//! Images on their way into a bundle, and out of one.

use std::path::{Path, PathBuf};

use cullet_image::{Digest, FilePart, Platform, Reference, Resolved, resolve};

use super::fetch::Fetcher;
use super::wanted::{brought, pinned_reference};
use crate::config::Config;
use crate::error::CliError;
use crate::ui::clean;

/// The images of a machine, for a bundle.
#[derive(Debug)]
pub(crate) struct Outbound {
    fetcher: Fetcher,
    base: PathBuf,
}

impl Outbound {
    /// `base` is what files and directories are relative to. Nothing is looked at yet.
    pub(crate) fn new(config: &Config, base: &Path) -> Self {
        Self { fetcher: Fetcher::new(config), base: base.to_owned() }
    }

    /// An image as it is where it comes from, and where its layers are on this machine: they are fetched if they are not here.
    ///
    /// # Errors
    /// It cannot be had, or is another one by now.
    pub(crate) async fn parts(
        &self,
        name: &str,
        digest: Digest,
    ) -> Result<(Resolved, Vec<(Digest, FilePart)>), CliError> {
        let failed =
            || CliError::infra(format!("the image {} cannot be put into the bundle", clean::line(name)));
        let reference: Reference = name.parse().map_err(|error| failed().because(error))?;
        let reference = pinned_reference(reference.relative_to(&self.base), digest);
        let registries = self.fetcher.registries()?;
        let image = resolve(&reference, &Platform::host(), &registries).await;
        let image = image.map_err(|error| failed().because(error))?;
        if image.manifest_digest != digest {
            let found = image.manifest_digest;
            return Err(failed()
                .because(format!("cullet.lock says {digest}, and it is {found}"))
                .hint("`cullet lock --update` pins it anew"));
        }
        let store = self.fetcher.store().await.map_err(|fault| failed().because(fault.source))?;
        let mut layers = Vec::new();
        for layer in &image.layers {
            let part = store.file_of(&image, &layer.blob).await;
            layers.push((layer.blob.digest, part.map_err(|error| failed().because(error))?));
        }
        Ok((image, layers))
    }

    /// Whether an image is on this machine; otherwise it is where it comes from, or that is the error.
    ///
    /// # Errors
    /// It is not here, and cannot be had.
    pub(crate) async fn is_here(&self, name: &str, digest: Digest) -> Result<bool, CliError> {
        let failed = || CliError::infra(format!("the image {} cannot be had", clean::line(name)));
        let store = self.fetcher.store().await.map_err(|fault| failed().because(fault.source))?;
        let held = store.held(&digest, &Platform::host()).await;
        if held.map_err(|error| failed().because(error))?.is_some() {
            return Ok(true);
        }
        let reference: Reference = name.parse().map_err(|error| failed().because(error))?;
        let reference = pinned_reference(reference.relative_to(&self.base), digest);
        let registries = self.fetcher.registries()?;
        let found = resolve(&reference, &Platform::host(), &registries).await;
        found.map(|_| false).map_err(|error| failed().because(error))
    }

    /// Takes an image that was brought along (see [`crate::config::RegistrySettings::bring`]) into the images of this machine.
    ///
    /// # Errors
    /// It cannot be had.
    pub(crate) async fn take(&self, name: &str, digest: Digest) -> Result<(), CliError> {
        let failed = || CliError::infra(format!("the image {} cannot be taken over", clean::line(name)));
        let reference = brought(digest).ok_or_else(failed)?;
        let registries = self.fetcher.registries()?;
        let image = resolve(&reference, &Platform::host(), &registries).await;
        let image = image.map_err(|error| failed().because(error))?;
        let store = self.fetcher.store().await.map_err(|fault| failed().because(fault.source))?;
        store.pull(&image).await.map(drop).map_err(|error| failed().because(error))
    }
}
