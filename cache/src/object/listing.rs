//! Listing a bucket, and changing it only as long as that is allowed.

use std::future::Future;
use std::time::SystemTime;

use async_trait::async_trait;
use bytes::Bytes;
use cullet_digest::{Digest, DigestFunction};
use futures_util::stream::BoxStream;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use object_store::path::Path;
use object_store::{ObjectMeta, ObjectStore as _, ObjectStoreExt as _, PutPayload};

use super::Place;
use super::records::ObjectRecords;
use crate::objects::{Collectable, Created, Guard, Kind, Listed, ObjectName, Seen};
use crate::{Area, RecordName, StoreError};

/// Objects in one question: as many as a bucket names in one answer.
const PAGE: usize = 1000;

/// Objects that are deleted in one request where the bucket knows how, and of those at the same time where it does not.
const BATCH: usize = 1000;
const SINGLES: usize = 16;

impl Place {
    /// The directories of a kind of objects: one for each scope.
    async fn directories(&self, kind: Kind) -> Result<Vec<Path>, StoreError> {
        let above = self.prefix();
        let above = (!above.is_empty()).then(|| Path::from(above));
        let list = || self.objects.list_with_delimiter(above.as_ref());
        // A listing that is not there is no empty one: what it does not have is removed.
        let found = self.must("list", list).await?.common_prefixes;
        let is_meant = |path: &Path| {
            let name = path.filename().unwrap_or_default();
            match kind {
                Kind::Data => name == "data",
                Kind::Records(area) => name.split('@').next() == Some(area.name()),
            }
        };
        Ok(found.into_iter().filter(is_meant).collect())
    }

    /// What comes after an object in a directory: less than [`PAGE`] where that is all.
    async fn page(&self, dir: &Path, after: Option<&Path>) -> Result<Vec<ObjectMeta>, StoreError> {
        // One question is one request, so that it has its deadline and is begun again like any other.
        let list = || async {
            let listed = match after {
                Some(after) => self.objects.list_with_offset(Some(dir), after),
                None => self.objects.list(Some(dir)),
            };
            listed.take(PAGE).try_collect::<Vec<ObjectMeta>>().await
        };
        let page = self.must("list", list).await?;
        // Without an order nobody knows what comes after an object, and what is not seen is removed.
        let first = after.into_iter().chain(page.iter().map(|meta| &meta.location));
        if first.is_sorted_by(|one, next| one < next) {
            return Ok(page);
        }
        Err(StoreError::remote("list", self.name(), "it does not list objects in the order of their names"))
    }

    fn pages(&self, dir: Path) -> BoxStream<'_, Result<Vec<ObjectMeta>, StoreError>> {
        let next = move |at: Option<Option<Path>>| {
            let dir = dir.clone();
            async move {
                let Some(after) = at else { return Ok(None) };
                let page = self.page(&dir, after.as_ref()).await?;
                let last = page.last().map(|last| last.location.clone());
                let more = page.len() >= PAGE;
                Ok(Some((page, more.then_some(last))))
            }
        };
        stream::try_unfold(Some(None), next).boxed()
    }

    fn seen(&self, meta: &ObjectMeta) -> Seen {
        let known = meta.location.as_ref().strip_prefix(self.prefix()).and_then(name);
        known.map_or(Seen::Strange, |name| {
            Seen::Ours(Listed { name, size: meta.size, modified: meta.last_modified.into() })
        })
    }

    fn path(&self, name: &ObjectName) -> Path {
        match name {
            ObjectName::Record(name) => self.record(name),
            ObjectName::Data(digest) => self.data(digest),
        }
    }
}

/// What is called like this, below the prefix.
fn name(path: &str) -> Option<ObjectName> {
    let (kind, rest) = path.split_once('/')?;
    let name = if kind == "data" {
        ObjectName::Data(about(DigestFunction::Sha256, rest)?)
    } else {
        let (area, scope) = Area::and_scope(kind, '@')?;
        let (function, rest) = rest.split_once('/')?;
        ObjectName::Record(RecordName { area, scope, about: about(function.parse().ok()?, rest)? })
    };
    Some(name)
}

/// What `<2 hex>/<hash>-<size>` is about.
fn about(function: DigestFunction, text: &str) -> Option<Digest> {
    let (_, text) = text.split_once('/')?;
    Digest::parse(function, &text.replacen('-', "/", 1)).ok()
}

/// An attempt that is only made as long as that is allowed.
async fn allowed<T>(
    guard: Guard<'_>,
    attempt: impl Future<Output = object_store::Result<T>>,
) -> object_store::Result<T> {
    guard().map_err(|error| object_store::Error::Generic { store: "bucket", source: Box::new(error) })?;
    attempt.await
}

#[async_trait]
impl Collectable for ObjectRecords {
    fn list(&self, kind: Kind) -> BoxStream<'_, Result<Seen, StoreError>> {
        let place = &*self.place;
        let listed = async move {
            let directories = place.directories(kind).await?;
            let pages = stream::iter(directories).flat_map(|dir| place.pages(dir));
            let seen = move |page: Vec<ObjectMeta>| {
                let seen: Vec<_> = page.iter().map(|meta| Ok(place.seen(meta))).collect();
                stream::iter(seen)
            };
            Ok::<_, StoreError>(pages.map_ok(seen).try_flatten())
        };
        stream::once(listed).try_flatten().boxed()
    }

    async fn modified(&self, name: &RecordName) -> Result<Option<SystemTime>, StoreError> {
        let path = self.place.record(name);
        let found = self.place.request("look into", || self.place.objects.head(&path)).await?;
        Ok(found.map(|meta| meta.last_modified.into()))
    }

    async fn create(&self, name: &RecordName, bytes: Bytes) -> Result<Created, StoreError> {
        self.place.create(&self.place.record(name), bytes).await
    }

    async fn put_guarded(&self, name: &RecordName, bytes: Bytes, guard: Guard<'_>) -> Result<(), StoreError> {
        let path = self.place.record(name);
        let put = || allowed(guard, self.place.objects.put(&path, PutPayload::from_bytes(bytes.clone())));
        self.place.must("store in", put).await.map(drop)
    }

    async fn remove_guarded(&self, names: &[ObjectName], guard: Guard<'_>) -> Result<(), StoreError> {
        for batch in names.chunks(BATCH) {
            let paths: Vec<Path> = batch.iter().map(|name| self.place.path(name)).collect();
            let together = || allowed(guard, delete_all(&self.place, &paths));
            if self.place.request("delete from", together).await.is_ok() {
                continue;
            }
            // There are buckets that only know how to delete one.
            let singles = paths.iter().map(|path| async move {
                let delete = || allowed(guard, self.place.objects.delete(path));
                self.place.request("delete from", delete).await.map(drop)
            });
            stream::iter(singles.collect::<Vec<_>>()).buffer_unordered(SINGLES).try_collect::<()>().await?;
        }
        Ok(())
    }
}

/// Deletes objects in one request. One that is not there is deleted.
async fn delete_all(place: &Place, paths: &[Path]) -> object_store::Result<()> {
    let paths: Vec<_> = paths.iter().cloned().map(Ok).collect();
    let mut deleted = place.objects.delete_stream(stream::iter(paths).boxed());
    while let Some(outcome) = deleted.next().await {
        match outcome {
            Ok(_) | Err(object_store::Error::NotFound { .. }) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_our_names_are_names() {
        let hash = DigestFunction::Blake3.digest(b"x").hash_hex();
        let two = &hash[..2];
        for (path, ours) in [
            (format!("ac/blake3/{two}/{hash}-7"), true),
            (format!("ac@00000000000000ff/sha256/{two}/{hash}-7"), true),
            (format!("data/{two}/{hash}-7"), true),
            (format!("journal/blake3/{two}/{hash}-7"), false),
            (format!("ac/md5/{two}/{hash}-7"), false),
            (format!("ac@x/blake3/{two}/{hash}-7"), false),
            (format!("ac/blake3/{two}/{hash}"), false),
            (format!("data/{two}/{hash}-7-8"), false),
            (format!("data/{two}/{}-7", &hash[1..]), false),
            ("probe/0000000000000001".to_owned(), false),
            ("readme".to_owned(), false),
        ] {
            assert_eq!(name(&path).is_some(), ours, "{path}");
        }
    }
}
