//! What a run hands out.

use cullet_core::StepIndex;
use cullet_pipeline::plan::ImageFormat;

/// Something that is written to one path: a tree, or an image that is made of several.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deliverable<T> {
    /// Relative to the directory that the user names.
    pub path: String,
    /// What it is made of, and which steps made that. One tree, or the layers of an image, the lowest first.
    pub parts: Vec<(StepIndex, T)>,
    /// Where it is an image: what is below these layers.
    pub image: Option<ImageExport>,
}

/// An image that a run hands out, but for its own layers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageExport {
    /// The image that it was made from, as the pipeline says it.
    pub reference: String,
    /// The digest of its manifest.
    pub manifest: String,
    /// How it is to be written.
    pub format: ImageFormat,
    /// What it is called in an archive.
    pub name: Option<String>,
}

impl<T> Deliverable<T> {
    /// One tree.
    pub fn tree(path: impl Into<String>, step: StepIndex, tree: T) -> Self {
        Self { path: path.into(), parts: vec![(step, tree)], image: None }
    }

    /// The same with what `find` knows of the parts.
    ///
    /// # Errors
    /// The first step of whose part it knows nothing.
    pub fn find<U>(self, find: impl Fn(StepIndex, &T) -> Option<U>) -> Result<Deliverable<U>, StepIndex> {
        let found =
            |(step, part): &(StepIndex, T)| find(*step, part).map(|found| (*step, found)).ok_or(*step);
        let parts = self.parts.iter().map(found).collect::<Result<_, _>>()?;
        Ok(Deliverable { path: self.path, parts, image: self.image })
    }
}
