//! Outputs that are images.

use std::path::{Path, PathBuf};

use cullet_cache::StoreError;
use cullet_coordinator::deliverable::ImageExport;
use cullet_core::StepIndex;
use cullet_digest::TreeRef;
use cullet_pipeline::plan::ImageFormat;

use super::{Draft, OutputDir, WriteError, in_the_way, is_directory, ledger::Ledger, replace};

/// Where the image is made, in a directory that then goes.
const MADE: &str = "image";

impl OutputDir {
    /// Writes an image whole or not at all. What is wrong, and with the part of which step.
    pub(super) async fn write_image(
        &self,
        path: &str,
        layers: &[(StepIndex, TreeRef)],
        image: &ImageExport,
    ) -> Result<(), (WriteError, StepIndex)> {
        let step = layers.last().map_or(0, |(step, _)| *step);
        let other = |error: WriteError| (error, step);
        let target = self.prepare(path).map_err(other)?;
        self.make_way(path, &target, image.format).map_err(other)?;
        let draft = Draft::beside(&target);
        self.make_image(path, layers, image, draft.path()).await?;
        if image.format == ImageFormat::OciLayout {
            Ledger::of(self.dir()).add(path).map_err(|error| other(error.into()))?;
        }
        replace(&draft.path().join(MADE), &target).map_err(|error| other(error.into()))
    }

    /// Sees to it that nothing of the user's is replaced.
    fn make_way(&self, path: &str, target: &Path, format: ImageFormat) -> Result<(), WriteError> {
        let ours = format == ImageFormat::OciLayout && Ledger::of(self.dir()).has(path);
        if is_directory(target) && !ours {
            std::fs::remove_dir(target).map_err(|_| in_the_way(target))?;
        }
        Ok(())
    }

    async fn make_image(
        &self,
        path: &str,
        layers: &[(StepIndex, TreeRef)],
        image: &ImageExport,
        draft: &Path,
    ) -> Result<(), (WriteError, StepIndex)> {
        let mut files: Vec<PathBuf> = Vec::with_capacity(layers.len());
        std::fs::create_dir(draft).map_err(|error| (error.into(), 0))?;
        for (number, (step, layer)) in layers.iter().enumerate() {
            let (disk, digest) = (self.disk.clone(), layer.digest());
            let file = draft.join(format!("layer-{number}"));
            let to = file.clone();
            let linked = tokio::task::spawn_blocking(move || disk.link_to(&digest, false, &to)).await;
            let linked = linked.map_err(|stopped| (WriteError::Failed(stopped.to_string()), *step))?;
            linked.map_err(|error: StoreError| (error.into(), *step))?;
            files.push(file);
        }
        let to = draft.join(MADE);
        if image.format == ImageFormat::OciLayout {
            std::fs::create_dir(&to).map_err(|error| (error.into(), 0))?;
        }
        let exported = self.images.export((path, image), files, &to).await;
        exported.map_err(|why| (WriteError::Failed(why), 0))
    }
}
