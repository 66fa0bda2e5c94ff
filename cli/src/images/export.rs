//! Images that runs hand out.

use std::fs::File;
use std::io::BufWriter;
use std::path::{Path, PathBuf};

use cullet_coordinator::deliverable::ImageExport;
use cullet_coordinator::event::{Event, EventSink as _, Note};
use cullet_coordinator::resolve::describe;
use cullet_image::{Composed, Digest, ImageError, Platform, Reference, Resolved, resolve, resolve_manifest};
use cullet_pipeline::plan::ImageFormat;

use super::fetch::Fetcher;
use super::wanted::pinned_reference;
use crate::commands::run::watchers::Watchers;
use crate::config::Config;

/// What every image that is made here says of its age: as old as the files in it.
const CREATED: &str = "2010-01-01T00:00:00Z";

/// Makes images of layers that steps left.
#[derive(Debug)]
pub(crate) struct Exporter {
    fetcher: Fetcher,
    base: PathBuf,
}

impl Exporter {
    /// `base` is what files and directories are relative to. Nothing is looked at yet.
    pub(crate) fn new(config: &Config, base: &Path, watchers: Watchers) -> Self {
        let mut fetcher = Fetcher::new(config);
        fetcher.watchers = watchers;
        Self { fetcher, base: base.to_owned() }
    }

    /// With the images of a run, which settles what both have used.
    pub(super) fn beside(fetcher: &Fetcher, base: &Path) -> Self {
        Self { fetcher: fetcher.beside(), base: base.to_owned() }
    }

    /// Brings the images below `bound` bytes, if any were used; blocks.
    ///
    /// # Errors
    /// The store cannot be read or written.
    pub(crate) fn settle(&self, bound: u64) -> Result<(), ImageError> {
        self.fetcher.settle(bound)
    }

    /// Writes an image: a layout into the empty directory `to`, or an archive to the file `to`, which is not there. `made`
    /// are archives of its layers above the image that it is made of, the lowest first. `path` is what it is called to
    /// people.
    ///
    /// # Errors
    /// In a sentence.
    pub(crate) async fn export(
        &self,
        (path, image): (&str, &ImageExport),
        made: Vec<PathBuf>,
        to: &Path,
    ) -> Result<(), String> {
        let below = self.below(image).await?;
        let store = self.fetcher.store().await.map_err(|fault| describe(&*fault.source))?;
        let composed = store.compose(&below, made, CREATED).await.map_err(|error| describe(&error))?;
        let (form, to) = ((image.format, image.name.clone()), to.to_owned());
        let written = tokio::task::spawn_blocking(move || write(&composed, form, &to)).await;
        let (what, digest) = written.map_err(|error| error.to_string())??;
        let (level, kind) = ("info".to_owned(), Some(Note::IMAGE.to_owned()));
        let text = format!("the output '{path}' is the image {digest} ({what})");
        self.fetcher.watchers.clone().event(&Event::Note(Note { level, kind, step: None, text }));
        Ok(())
    }

    /// The image that it is made of, wherever the pipeline has it from.
    async fn below(&self, image: &ImageExport) -> Result<Resolved, String> {
        let pinned: Digest =
            image.manifest.parse().map_err(|error: cullet_image::DigestError| error.to_string())?;
        let reference: Reference =
            image.reference.parse().map_err(|error: cullet_image::ReferenceError| error.to_string())?;
        let reference = pinned_reference(reference.relative_to(&self.base), pinned);
        let registries = self.fetcher.registries().map_err(|error| error.to_string())?;
        let below = match reference {
            // A cluster's steps may have run on other machines than this one.
            Reference::Registry(_) => resolve_manifest(&reference, &registries).await,
            _ => resolve(&reference, &Platform::host(), &registries).await,
        };
        let below = below.map_err(|error| {
            format!("the image {} below it cannot be had: {}", image.reference, describe(&error))
        })?;
        if below.manifest_digest != pinned {
            let (name, found) = (&image.reference, below.manifest_digest);
            return Err(format!("{name} is the image {found} now, and the steps ran in {pinned}"));
        }
        Ok(below)
    }
}

/// What its digest is of, and the digest.
fn write(
    image: &Composed,
    (format, name): (ImageFormat, Option<String>),
    to: &Path,
) -> Result<(&'static str, Digest), String> {
    match format {
        ImageFormat::OciLayout => {
            let written = image.write_layout(to).map_err(|error| describe(&error))?;
            Ok(("its manifest", written.digest))
        }
        ImageFormat::DockerArchive => {
            let file = File::options().write(true).create_new(true).open(to);
            let file = BufWriter::new(file.map_err(|error| error.to_string())?);
            let id = image.write_archive(file, name.as_deref()).map_err(|error| describe(&error))?;
            Ok(("its configuration, the image ID of Docker", id))
        }
    }
}
