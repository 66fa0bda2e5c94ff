//! Images in an engine: put there by their content, and found by it; nothing is ever pulled.

use std::collections::HashMap;

use bollard::body_try_stream;
use bollard::query_parameters::{
    ImportImageOptionsBuilder, ListImagesOptionsBuilder, RemoveImageOptionsBuilder,
};
use futures_util::StreamExt as _;
use tokio::io::AsyncRead;
use tokio_util::io::ReaderStream;

use super::{Engine, EngineError};

/// An image, as engines know it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EngineImage {
    /// What it is called there, which is made of the digests of its layers.
    pub name: String,
    /// Digests of its uncompressed layers, `sha256:…`, the lowest first.
    pub diff_ids: Vec<String>,
}

/// Of the names of all images that Cullet puts into engines.
const REPOSITORY: &str = "cullet/image";

const CHUNK: usize = 256 << 10;

impl Engine {
    /// What to make containers of, if the engine has exactly this image: a name can be given to any image, so its layers
    /// are compared.
    ///
    /// # Errors
    /// The engine fails.
    pub async fn image(&self, image: &EngineImage) -> Result<Option<String>, EngineError> {
        let found = match self.ask("look at an image", self.client().inspect_image(&image.name)).await {
            Err(error) if error.is_absent() => return Ok(None),
            found => found?,
        };
        let layers = found.root_fs.and_then(|root| root.layers).unwrap_or_default();
        Ok(found.id.filter(|_| layers == image.diff_ids))
    }

    /// Puts an image there, from an archive as `docker save` writes it.
    ///
    /// # Errors
    /// The engine fails, or does not take it: it checks the digests of all layers, too.
    pub async fn load(&self, archive: impl AsyncRead + Send + 'static) -> Result<(), EngineError> {
        let options = ImportImageOptionsBuilder::default().quiet(true).build();
        let body = body_try_stream(ReaderStream::with_capacity(archive, CHUNK));
        let client = self.patient_client();
        let mut told = client.import_image(options, body, None);
        while let Some(line) =
            self.ask_patiently("take an image", async { told.next().await.transpose() }).await?
        {
            tracing::trace!(?line, "an engine takes an image");
        }
        Ok(())
    }

    /// Names and sizes of all images that Cullet put there.
    ///
    /// # Errors
    /// The engine fails.
    pub async fn images(&self) -> Result<Vec<(String, u64)>, EngineError> {
        let filters: HashMap<String, Vec<String>> =
            [("reference".to_owned(), vec![REPOSITORY.to_owned()])].into();
        let options = ListImagesOptionsBuilder::default().filters(&filters).build();
        let images = self.ask("list images", self.client().list_images(Some(options))).await?;
        let named = images.into_iter().flat_map(|image| {
            let size = u64::try_from(image.size).unwrap_or(0);
            image.repo_tags.into_iter().map(move |name| (name, size))
        });
        Ok(named.filter(|(name, _)| name.starts_with(REPOSITORY)).collect())
    }

    /// Removes an image that no container is made of; whether it was one.
    ///
    /// # Errors
    /// The engine fails.
    pub async fn remove_image(&self, name: &str) -> Result<bool, EngineError> {
        let options = RemoveImageOptionsBuilder::default().build();
        match self.ask("remove an image", self.client().remove_image(name, Some(options), None)).await {
            Ok(_) => Ok(true),
            Err(EngineError::Failed { status: Some(404 | 409), .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }
}
