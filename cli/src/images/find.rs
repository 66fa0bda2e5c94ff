//! Asks registries, layouts and archives what references mean.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use cullet_image::{Digest, ImageError, Platform, Reference, Registries, RegistryOptions, resolve};
use futures_util::{StreamExt as _, TryStreamExt as _};

use super::error::{unresolved, unusable};
use crate::config::Config;
use crate::error::CliError;
use crate::ui::clean;

/// An image for a platform.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Wanted {
    /// As it is written in the pipeline.
    pub(crate) reference: String,
    pub(crate) platform: Platform,
}

impl fmt::Display for Wanted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} for {}", clean::line(&self.reference), self.platform)
    }
}

impl Wanted {
    /// Whether it is a file or a directory of this machine, which is read in no time.
    pub(crate) fn is_local(&self) -> bool {
        !matches!(self.reference.parse(), Ok(Reference::Registry(_)))
    }
}

/// How many are asked for at a time: enough to hide how far registries are, and few enough for them not to mind.
const AT_ONCE: usize = 8;

/// How often a request is tried again: somebody waits for a few short answers, and after seconds rather knows.
const RETRIES: u32 = 3;

/// How long one may take with all retries. A registry that is well needs less than a second.
const LONGEST: Duration = Duration::from_secs(120);

/// Finds images for the pipelines of one directory.
#[derive(Debug)]
pub(crate) struct Finder {
    registries: Registries,
    base: PathBuf,
}

impl Finder {
    /// `base` is what files and directories are relative to.
    ///
    /// # Errors
    /// The settings of registries are wrong.
    pub(crate) fn new(config: &Config, base: &Path) -> Result<Self, CliError> {
        let options = RegistryOptions { retries: RETRIES, ..config.registries.options()? };
        let registries = Registries::new(options).map_err(unusable)?;
        Ok(Self { registries, base: base.to_owned() })
    }

    /// The digests, in the order in which they were asked for.
    ///
    /// # Errors
    /// Of the first that cannot be found; then nothing more is asked.
    pub(crate) async fn find(&self, wanted: &[Wanted]) -> Result<Vec<Digest>, CliError> {
        futures_util::stream::iter(wanted)
            .map(|wanted| self.one(wanted))
            .buffered(AT_ONCE)
            .try_collect()
            .await
    }

    async fn one(&self, wanted: &Wanted) -> Result<Digest, CliError> {
        let found = async {
            let reference: Reference = wanted.reference.parse().map_err(ImageError::from)?;
            resolve(&reference.relative_to(&self.base), &wanted.platform, &self.registries).await
        };
        match tokio::time::timeout(LONGEST, found).await {
            Ok(Ok(image)) => Ok(image.manifest_digest),
            Ok(Err(error)) => Err(unresolved(wanted, error)),
            Err(_) => {
                let seconds = LONGEST.as_secs();
                Err(CliError::infra(format!("the image {wanted} was not resolved in {seconds} seconds"))
                    .hint("try again, or see with CULLET_LOG=debug what it waits for"))
            }
        }
    }
}
