//! A bundle in the making.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{self, BufWriter, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use cullet_cache::{Objects, RecordName, SigningKey, StoreError};
use cullet_digest::Digest;
use cullet_image::{Digest as BlobName, FilePart, LocalBlobs as _};
use tempfile::NamedTempFile;

use crate::archive::{self, INDEX, LAYOUT, OTHER_BYTES, PROGRAM, entry_of};
use crate::contents::{VERSION, blob_name};
use crate::opened::{BLOB, BUNDLE, CONTENTS, Descriptor, Index, LAYOUT_MARK, MANIFEST, Manifest};
use crate::{Bundle, BundleError, Contents, Image, Program, opened, signature};

/// Writes a bundle. It has its name when it is finished; until then there is a file beside it, which is removed if it is not.
/// As [`Objects`] it takes results and trees. Clones write to the same bundle.
#[derive(Debug, Clone)]
pub struct BundleWriter {
    path: PathBuf,
    place: String,
    base: Option<Arc<Bundle>>,
    inner: Arc<Mutex<Inner>>,
}

struct Inner {
    /// None when the bundle is finished.
    tar: Option<Tar>,
    /// All blobs in it.
    written: BTreeSet<BlobName>,
    /// Those that the manifest of the bundle names, with their lengths.
    named: BTreeMap<BlobName, u64>,
    records: BTreeMap<String, (BlobName, u64)>,
    images: Vec<(Descriptor, Image)>,
    program: Option<Program>,
}

type Tar = tar::Builder<BufWriter<NamedTempFile>>;

impl std::fmt::Debug for Inner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Inner").field("written", &self.written.len()).finish_non_exhaustive()
    }
}

impl Inner {
    fn append(&mut self, name: &str, size: u64, bytes: impl Read) -> io::Result<()> {
        let tar = self.tar.as_mut().ok_or_else(|| io::Error::other("it is finished"))?;
        let header = archive::header(name, size).ok_or_else(|| io::Error::other("no name for an entry"))?;
        // What ends early would make everything after it another entry.
        let mut counted = Counted { from: bytes.take(size), count: 0 };
        tar.append(&header, &mut counted)?;
        match counted.count == size {
            true => Ok(()),
            false => Err(io::Error::new(io::ErrorKind::UnexpectedEof, "a file became shorter meanwhile")),
        }
    }

    fn put(&mut self, digest: BlobName, size: u64, bytes: impl Read) -> io::Result<()> {
        if self.written.insert(digest) {
            self.append(&entry_of(&digest), size, bytes)?;
        }
        Ok(())
    }

    /// The documents that say what is in the bundle; gives the digest of the manifest.
    fn describe(&mut self, contents: Contents, keys: &[SigningKey]) -> io::Result<BlobName> {
        let contents = Contents {
            version: VERSION,
            images: self.images.iter().map(|(_, image)| image.clone()).collect(),
            records: self.records.clone(),
            program: self.program.clone(),
            ..contents
        };
        let config = serde_json::to_vec(&contents)?;
        let named = described(CONTENTS, BlobName::of(&config), config.len() as u64);
        let layers = self.named.iter().map(|(digest, size)| described(BLOB, *digest, *size));
        let manifest = serde_json::to_vec(&Manifest {
            schema_version: 2,
            media_type: MANIFEST.to_owned(),
            artifact_type: Some(BUNDLE.to_owned()),
            layers: layers.collect(),
            config: named.clone(),
        })?;
        self.put(named.digest, named.size, &*config)?;
        let digest = BlobName::of(&manifest);
        self.put(digest, manifest.len() as u64, &*manifest)?;
        let signatures = keys.iter().map(|key| signature::annotation(key, &digest)).collect();
        let images = self.images.iter().map(|(named, _)| named.clone()).collect();
        let index = serde_json::to_vec(&Index::of((digest, manifest.len() as u64), signatures, images))?;
        self.append(INDEX, index.len() as u64, &*index)?;
        Ok(digest)
    }
}

impl BundleWriter {
    /// Begins a bundle that continues `base`, if there is one. Blocking.
    ///
    /// # Errors
    /// The directory cannot be written.
    pub fn create(path: &Path, base: Option<Arc<Bundle>>) -> Result<Self, BundleError> {
        let failed = |error| BundleError::io("write", path, error);
        let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let file = tempfile::Builder::new().prefix(&format!(".{name}.")).tempfile_in(dir).map_err(failed)?;
        let tar = Some(tar::Builder::new(BufWriter::with_capacity(1 << 20, file)));
        let (written, named, records, images) = Default::default();
        let mut inner = Inner { tar, written, named, records, images, program: None };
        let mark = LAYOUT_MARK.as_bytes();
        inner.append(LAYOUT, mark.len() as u64, mark).map_err(failed)?;
        let (path, place, inner) = (path.to_owned(), path.display().to_string(), Arc::new(Mutex::new(inner)));
        Ok(Self { path, place, base, inner })
    }

    /// Adds a short file of the project, and gives its name. Blocking.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn add_file(&self, path: &str, bytes: &[u8]) -> Result<crate::File, BundleError> {
        let (blob, size) = (BlobName::of(bytes), bytes.len() as u64);
        self.add_named(blob, bytes).map_err(|error| self.failed(error))?;
        Ok(crate::File { path: path.to_owned(), blob, size })
    }

    /// Adds an image whose manifest and configuration are `documents`, and whose layers are `layers`: their names, and where they
    /// are. They are compared with their names. Blocking.
    ///
    /// # Errors
    /// It cannot be read or written, or is damaged.
    pub fn add_image(
        &self,
        image: Image,
        documents: [&[u8]; 2],
        layers: &[(BlobName, FilePart)],
    ) -> Result<(), BundleError> {
        for bytes in documents {
            let put = self.add(BlobName::of(bytes), bytes.len() as u64, bytes);
            put.map_err(|error| self.failed(error))?;
        }
        for (digest, part) in layers {
            let failed = |error| BundleError::io("read", &part.file, error);
            if part.reader().and_then(BlobName::read).map_err(failed)? != *digest {
                let what = format!("{} (a layer of {})", entry_of(digest), image.reference);
                return Err(BundleError::entry(&part.file, what, OTHER_BYTES));
            }
            let reader = part.reader().map_err(failed)?;
            self.add(*digest, part.size, reader).map_err(|error| self.failed(error))?;
        }
        let named = opened::image(documents[0], &image.reference);
        self.inner().images.push((named, image));
        Ok(())
    }

    /// Adds the program. Blocking.
    ///
    /// # Errors
    /// It cannot be read or written.
    pub fn add_program(&self, program: &Path) -> Result<(), BundleError> {
        let failed = |error| BundleError::io("read", program, error);
        let digest = File::open(program).and_then(BlobName::read).map_err(failed)?;
        let file = File::open(program).map_err(failed)?;
        let size = file.metadata().map_err(failed)?.len();
        let mut inner = self.inner();
        inner.append(PROGRAM, size, file).map_err(|error| self.failed(error))?;
        inner.program = Some(Program { digest, size });
        Ok(())
    }

    /// Writes what the bundle has, of which images, records, program and base are known here; signs it with these keys, and
    /// gives it its name. Returns the digest of its manifest, and its length. Blocking.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn finish(&self, contents: Contents, keys: &[SigningKey]) -> Result<(BlobName, u64), BundleError> {
        let base = self.base.as_ref().map(|base| base.digest());
        let contents = Contents { base, ..contents };
        let mut inner = self.inner();
        let finish = || {
            let digest = inner.describe(contents, keys)?;
            let tar = inner.tar.take().ok_or_else(|| io::Error::other("it is finished"))?;
            let mut file = tar.into_inner()?.into_inner().map_err(io::IntoInnerError::into_error)?;
            file.flush()?;
            file.as_file().sync_all()?;
            // Not only for its owner, as temporary files are.
            file.as_file().set_permissions(PermissionsExt::from_mode(0o644))?;
            let size = file.as_file().metadata()?.len();
            file.persist(&self.path).map_err(|error| error.error)?;
            Ok((digest, size))
        };
        finish().map_err(|error| self.failed(error))
    }

    /// Adds a blob, unless it is there or in a bundle that this one continues.
    fn add(&self, digest: BlobName, size: u64, bytes: impl Read) -> io::Result<()> {
        if self.earlier(&digest).is_some() {
            return Ok(());
        }
        self.inner().put(digest, size, bytes)
    }

    /// The same for what the manifest names.
    fn add_named(&self, digest: BlobName, bytes: &[u8]) -> io::Result<()> {
        if self.earlier(&digest).is_some() {
            return Ok(());
        }
        let mut inner = self.inner();
        inner.named.insert(digest, bytes.len() as u64);
        inner.put(digest, bytes.len() as u64, bytes)
    }

    fn earlier(&self, digest: &BlobName) -> Option<FilePart> {
        self.base.as_ref()?.find(digest)
    }

    fn failed(&self, error: io::Error) -> BundleError {
        BundleError::io("write", &self.path, error)
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        // Whatever panicked, what was written is counted.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Off the async threads: it may wait for a disk.
    async fn store(&self, digest: BlobName, bytes: Bytes, record: Option<String>) -> Result<(), StoreError> {
        let this = self.clone();
        let written = tokio::task::spawn_blocking(move || {
            this.add_named(digest, &bytes)?;
            if let Some(name) = record {
                this.inner().records.insert(name, (digest, bytes.len() as u64));
            }
            Ok(())
        });
        let written = written.await.unwrap_or_else(|error| Err(io::Error::other(error)));
        written.map_err(|error| StoreError::io("write", self.path.clone(), error))
    }

    fn where_is(&self, name: &RecordName) -> Option<bool> {
        let name = name.to_string();
        if self.inner().records.contains_key(&name) {
            return Some(true);
        }
        let base = self.base.as_ref()?;
        base.chain().any(|bundle| bundle.contents().records.contains_key(&name)).then_some(false)
    }
}

fn described(media_type: &str, digest: BlobName, size: u64) -> Descriptor {
    let (artifact_type, annotations) = Default::default();
    Descriptor { media_type: media_type.to_owned(), digest, size, artifact_type, annotations }
}

/// Counts what is read.
struct Counted<R> {
    from: R,
    count: u64,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.from.read(buffer)?;
        self.count += read as u64;
        Ok(read)
    }
}

/// What is written is not read again from here, so that it need not be on the disk yet; what earlier bundles have is.
#[async_trait]
impl Objects for BundleWriter {
    fn place(&self) -> &str {
        &self.place
    }

    async fn record(&self, name: &RecordName) -> Result<Option<Bytes>, StoreError> {
        match &self.base {
            Some(base) if self.where_is(name) == Some(false) => base.objects().record(name).await,
            _ => Ok(None),
        }
    }

    async fn has_record(&self, name: &RecordName) -> Result<bool, StoreError> {
        Ok(self.where_is(name).is_some())
    }

    async fn put_record(&self, name: &RecordName, bytes: Bytes, _: &[Digest]) -> Result<(), StoreError> {
        self.store(BlobName::of(&bytes), bytes, Some(name.to_string())).await
    }

    async fn remove_record(&self, name: &RecordName) -> Result<(), StoreError> {
        self.inner().records.remove(&name.to_string());
        Ok(())
    }

    async fn data(&self, digest: &Digest) -> Result<Bytes, StoreError> {
        match &self.base {
            Some(base) => base.objects().data(digest).await,
            None => Err(StoreError::NotFound { digest: *digest }),
        }
    }

    async fn has_data(&self, digest: &Digest) -> Result<bool, StoreError> {
        let name = blob_name(digest);
        Ok(self.inner().named.contains_key(&name) || self.earlier(&name).is_some())
    }

    async fn put_data(&self, digest: &Digest, bytes: Bytes) -> Result<(), StoreError> {
        self.store(blob_name(digest), bytes, None).await
    }

    /// An archive cannot lose anything; what is of no use in it is never read.
    async fn remove_data(&self, _: &Digest) -> Result<(), StoreError> {
        Ok(())
    }
}
