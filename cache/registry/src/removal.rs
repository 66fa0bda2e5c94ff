//! Removing records, also where nothing can be deleted.

use cullet_image::{Digest, RegistryError};

use crate::record::{self, Found};
use crate::store::{RegistryObjects, is_damage};

impl RegistryObjects {
    /// Sees to it that there is no record under this tag. Whoever puts one at the same time may lose it, which is a miss.
    pub(crate) async fn remove(&self, tag: &str) -> Result<(), RegistryError> {
        let bytes = match self.artifacts.manifest(tag).await {
            Ok(None) => return Ok(()),
            Ok(Some(bytes)) => bytes,
            // Its digest may be that of anything.
            Err(error) if is_damage(&error) => return self.put_document(record::removed(tag)).await,
            Err(error) => return Err(error),
        };
        match record::read(tag, &bytes) {
            Found::Removed => Ok(()),
            // Deleting by digest takes all tags, and this one may be another's.
            Found::Other(_) => self.put_document(record::removed(tag)).await,
            Found::Record(_) => {
                self.delete_or_replace(tag, &Digest::of(&bytes)).await?;
                for (part, number) in record::parts(&bytes).iter().zip(1..) {
                    self.delete_or_replace(&record::part_tag(tag, number), part).await?;
                }
                Ok(())
            }
        }
    }

    async fn delete_or_replace(&self, tag: &str, digest: &Digest) -> Result<(), RegistryError> {
        if self.artifacts.delete_manifest(digest).await? {
            return Ok(());
        }
        self.put_document(record::removed(tag)).await
    }
}
