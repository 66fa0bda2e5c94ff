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
use crate::runtime;
use crate::ui::clean;

/// The images that the steps of a plan have, as far as nobody has to be asked.
#[derive(Debug)]
pub(crate) struct Pinned {
    known: BTreeMap<String, String>,
    missing: Vec<Wanted>,
    /// What they are for.
    pub(crate) platform: Platform,
    /// What files and directories are relative to.
    base: PathBuf,
}

impl Pinned {
    /// What `cullet.lock` says of the plan of a pipeline file, for a platform. Without images, it is not looked at.
    ///
    /// # Errors
    /// The lock cannot be read; or with `locked`, it lacks something.
    pub(crate) fn of(plan: &Plan, platform: Platform, file: &Path, locked: bool) -> Result<Self, CliError> {
        let (known, missing, base) = (BTreeMap::new(), Vec::new(), base_directory(file));
        let mut pinned = Self { known, missing, platform, base };
        let images = plan.step_images();
        if images.is_empty() {
            return Ok(pinned);
        }
        let file = LockFile::beside(file)?;
        let platform = pinned.platform.clone();
        let lock = file.lock();
        for reference in images.into_keys().map(str::to_owned) {
            match lock.get(&reference, &platform) {
                Some(digest) => drop(pinned.known.insert(reference, digest.to_string())),
                None => pinned.missing.push(Wanted { reference, platform: platform.clone() }),
            }
        }
        if locked && !pinned.missing.is_empty() {
            let names = pinned.missing.iter().map(|wanted| clean::line(&wanted.reference));
            let names: Vec<String> = names.collect();
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
        let Self { mut known, missing, base, platform: _ } = self;
        if !missing.is_empty() {
            let finder = Finder::new(config, &base)?;
            let runtime = runtime::of_one_thread()?;
            let found = runtime.block_on(finder.find(&missing));
            // A helper or a disk that does not answer must not hold up the end.
            runtime.shutdown_background();
            for (wanted, digest) in missing.into_iter().zip(found?) {
                diagnostics::report(&format!(
                    "note: cullet.lock does not have {wanted}, which was resolved now, to {digest}; \
                     `cullet lock` pins it\n"
                ));
                known.insert(wanted.reference, digest.to_string());
            }
        }
        Images::of(known).map_err(|error| CliError::infra("an image cannot be used").because(error))
    }
}

#[cfg(test)]
mod tests {
    use cullet_image::layer::WriteOptions;
    use cullet_image::{Digest, ImageConfig, LayoutWriter};

    use super::*;
    use crate::images::Lock;

    /// An image in `dir/app` for this machine, and its digest.
    fn layout(dir: &Path) -> Digest {
        let writer = LayoutWriter::new(&dir.join("app")).unwrap();
        let tree = tempfile::tempdir().unwrap();
        let (layer, _) = writer.add_layer(tree.path(), &WriteOptions::default()).unwrap();
        let json = format!(
            r#"{{"os":"linux","architecture":"{}","rootfs":{{"type":"layers","diff_ids":[]}}}}"#,
            Platform::host().architecture
        );
        let config = ImageConfig::read(json.as_bytes(), "test").unwrap();
        writer.add_image(&config, &[layer], None).unwrap().digest
    }

    #[test]
    fn what_is_locked_is_taken_and_the_rest_is_found() {
        let dir = tempfile::tempdir().unwrap();
        let variable = |name: &str| (name == "CULLET_CACHE_DIR").then(|| dir.path().display().to_string());
        let config = Config::from_sources(&crate::args::GlobalArgs::default(), &variable).unwrap();
        let text =
            "cullet: 1\nsteps:\n  a: { run: x, image: 'oci-layout:app' }\n  b: { run: x, image: 'a/b:1' }\n";
        let plan = cullet_pipeline::load("f", text).unwrap().plan(&[], &[]).unwrap();
        let pipeline = dir.path().join("cullet.yaml");
        let (found, locked) = (layout(dir.path()), Digest::of(b"locked"));
        let mut lock = Lock::default();
        lock.set("a/b:1", &Platform::host(), locked);
        LockFile::beside(&pipeline).unwrap().replace(&lock).unwrap();

        let refused = Pinned::of(&plan, Platform::host(), &pipeline, true).unwrap_err();
        assert!(refused.to_string().ends_with(" of oci-layout:app"), "{refused}");
        let images = Pinned::of(&plan, Platform::host(), &pipeline, false).unwrap().resolve(&config).unwrap();
        images.check(&plan).unwrap();
        assert_eq!(images.digest("oci-layout:app"), Some(&*found.to_string()));
        assert_eq!(images.digest("a/b:1"), Some(&*locked.to_string()));

        // What is locked need not be there: its steps may all be in the cache.
        std::fs::remove_dir_all(dir.path().join("app")).unwrap();
        assert!(Pinned::of(&plan, Platform::host(), &pipeline, false).unwrap().resolve(&config).is_err());
        lock.set("oci-layout:app", &Platform::host(), found);
        LockFile::beside(&pipeline).unwrap().replace(&lock).unwrap();
        assert!(Pinned::of(&plan, Platform::host(), &pipeline, true).unwrap().resolve(&config).is_ok());
    }
}
