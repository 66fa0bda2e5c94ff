//! The images of a run: from `cullet.lock`, or from wherever they are.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use cullet_coordinator::images::Images;
use cullet_image::Platform;
use cullet_pipeline::Plan;

use super::{Finder, LockFile, Wanted};
use crate::commands::pipeline_file::base_directory;
use crate::config::Config;
use crate::diagnostics;
use crate::error::CliError;

/// The images that the steps of a plan have, as far as nobody has to be asked.
#[derive(Debug)]
pub(crate) struct Pinned {
    known: BTreeMap<String, String>,
    missing: Vec<Wanted>,
    /// What files and directories are relative to.
    base: PathBuf,
}

impl Pinned {
    /// What `cullet.lock` says of the plan of a pipeline file. Without images, it is not looked at.
    ///
    /// # Errors
    /// The lock cannot be read; or with `locked`, it lacks something.
    pub(crate) fn of(plan: &Plan, file: &Path, locked: bool) -> Result<Self, CliError> {
        let (known, missing, base) = (BTreeMap::new(), Vec::new(), base_directory(file));
        let mut pinned = Self { known, missing, base };
        let images = plan.step_images();
        if images.is_empty() {
            return Ok(pinned);
        }
        let (file, platform) = (LockFile::beside(file)?, Platform::host());
        let lock = file.lock();
        for reference in images.into_keys().map(str::to_owned) {
            match lock.get(&reference, &platform) {
                Some(digest) => drop(pinned.known.insert(reference, digest.to_string())),
                None => pinned.missing.push(Wanted { reference, platform: platform.clone() }),
            }
        }
        if locked && !pinned.missing.is_empty() {
            let names: Vec<&str> = pinned.missing.iter().map(|wanted| wanted.reference.as_str()).collect();
            let (name, names) = (file.name(), names.join(", "));
            return Err(CliError::usage(format!("{name} has no digest for {platform} of {names}"))
                .hint("run `cullet lock` and commit the file, or leave out --locked"));
        }
        Ok(pinned)
    }

    /// Finds what is missing, and says so: the next run may find something else.
    ///
    /// # Errors
    /// Something cannot be found.
    pub(crate) fn resolve(self, config: &Config) -> Result<Images, CliError> {
        let Self { mut known, missing, base } = self;
        if !missing.is_empty() {
            let finder = Finder::new(config, &base)?;
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .map_err(|error| CliError::infra("cannot start").because(error))?;
            let found = runtime.block_on(finder.find(&missing));
            // A helper or a disk that does not answer must not hold up the end.
            runtime.shutdown_background();
            for (Wanted { reference, .. }, digest) in missing.into_iter().zip(found?) {
                diagnostics::report(&format!(
                    "note: the image {reference} is not in cullet.lock and was resolved now, to {digest}; \
                     `cullet lock` pins it\n"
                ));
                known.insert(reference, digest.to_string());
            }
        }
        Images::of(known).map_err(|error| CliError::infra("an image cannot be used").because(error))
    }
}
