//! All of a bundle, compared with what it should be.

use std::collections::{BTreeMap, BTreeSet};

use cullet_image::{Digest as BlobName, FilePart, LocalBlobs as _};

use crate::archive::{self, INDEX, MOST_DOCUMENT, OTHER_BYTES, PROGRAM, entry_of};
use crate::opened::{Descriptor, Index, Manifest, image};
use crate::{Bundle, BundleError};

/// What was compared.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Verified {
    /// Entries of the bundle, and of those that it continues.
    pub entries: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// What a blob is, for a person, and how long it must be.
type Named = BTreeMap<BlobName, (String, u64)>;

impl Bundle {
    /// Reads everything, and compares it with its digest: of the bundle and of those that it continues. Everything that is
    /// named must be there, and everything that is there must be named. `progress` is told of bytes. Blocking.
    ///
    /// # Errors
    /// The first entry that is not as it should be.
    pub fn verify(&self, progress: &mut dyn FnMut(u64)) -> Result<Verified, BundleError> {
        let mut verified = Verified::default();
        for bundle in self.chain() {
            bundle.archive.verify_gaps()?;
            let named = bundle.named()?;
            for (digest, (what, size)) in &named {
                let entry = || format!("{} ({what})", entry_of(digest));
                let part = bundle.find(digest);
                let part = part.ok_or_else(|| BundleError::entry(bundle.path(), entry(), "is not there"))?;
                if part.size != *size {
                    let problem = format!("has {} bytes instead of {size}", part.size);
                    return Err(BundleError::entry(&part.file, entry(), problem));
                }
            }
            for (digest, _) in bundle.archive.blobs() {
                let Some((what, _)) = named.get(&digest) else {
                    let problem = "is named by nothing in the bundle";
                    return Err(BundleError::entry(bundle.path(), entry_of(&digest), problem));
                };
                let part = bundle.archive.blob(&digest);
                let entry = format!("{} ({what})", entry_of(&digest));
                part.map_or(Ok(()), |part| check(&part, &digest, &entry, &mut verified, progress))?;
            }
            bundle.verify_program(&mut verified, progress)?;
            bundle.verify_index()?;
        }
        Ok(verified)
    }

    /// The index is the only document that no digest is of. It is what it must be, byte by byte.
    fn verify_index(&self) -> Result<(), BundleError> {
        let mut images = Vec::new();
        for pinned in &self.contents().images {
            let Some(part) = self.find(&pinned.manifest) else { continue };
            let bytes = archive::read(&part, MOST_DOCUMENT, INDEX)?;
            images.push(image(&bytes, &pinned.reference));
        }
        let size = self.archive.blob(&self.digest).map_or(0, |part| part.size);
        let expected = Index::of((self.digest, size), self.signatures.clone(), images);
        let part =
            self.archive.other(INDEX).map(|part| archive::read(&part, MOST_DOCUMENT, INDEX)).transpose()?;
        if part.is_some() && part == serde_json::to_vec(&expected).ok() {
            return Ok(());
        }
        Err(BundleError::entry(self.path(), INDEX, "is not what the contents say"))
    }

    fn verify_program(
        &self,
        verified: &mut Verified,
        progress: &mut dyn FnMut(u64),
    ) -> Result<(), BundleError> {
        match (&self.contents().program, self.program()) {
            (Some(program), Some(part)) => check(&part, &program.digest, PROGRAM, verified, progress),
            (None, None) => Ok(()),
            (Some(_), None) => Err(BundleError::entry(self.path(), PROGRAM, "is not there")),
            (None, Some(_)) => {
                Err(BundleError::entry(self.path(), PROGRAM, "is named by nothing in the bundle"))
            }
        }
    }

    /// Everything that the bundle says it has.
    fn named(&self) -> Result<Named, BundleError> {
        let contents = self.contents();
        let mut named = Named::new();
        let mut add = |descriptor: &Descriptor, what: String| {
            named.entry(descriptor.digest).or_insert((what, descriptor.size));
        };
        let known = |digest: &BlobName| self.manifest.layers.iter().find(|layer| layer.digest == *digest);
        for file in &contents.files {
            known(&file.blob).into_iter().for_each(|layer| add(layer, file.path.clone()));
        }
        for (record, (digest, _)) in &contents.records {
            known(digest).into_iter().for_each(|layer| add(layer, format!("the record {record}")));
        }
        add(&self.manifest.config, "the contents of the bundle".to_owned());
        self.manifest.layers.iter().for_each(|layer| add(layer, "data of the cache".to_owned()));
        self.refuse_unnamed()?;
        let pinned: BTreeMap<BlobName, &str> =
            contents.images.iter().map(|image| (image.manifest, &*image.reference)).collect();
        for image in &self.images {
            let Some(name) = pinned.get(&image.digest) else {
                let problem = "is an image that the contents do not name";
                return Err(BundleError::entry(self.path(), entry_of(&image.digest), problem));
            };
            add(image, format!("the manifest of {name}"));
            let manifest = self.manifest_of(image, name)?;
            add(&manifest.config, format!("the configuration of {name}"));
            for (layer, number) in manifest.layers.iter().zip(1..) {
                add(layer, format!("layer {number} of {name}"));
            }
        }
        let manifest = self.archive.blob(&self.digest).map_or(0, |part| part.size);
        named.insert(self.digest, ("the manifest of the bundle".to_owned(), manifest));
        Ok(named)
    }

    /// What the contents name is in the manifest, which is what is signed; or in a bundle that this one continues.
    fn refuse_unnamed(&self) -> Result<(), BundleError> {
        let contents = self.contents();
        let layers: BTreeSet<BlobName> = self.manifest.layers.iter().map(|layer| layer.digest).collect();
        let files = contents.files.iter().map(|file| (file.blob, &file.path));
        let records = contents.records.iter().map(|(name, (digest, _))| (*digest, name));
        let earlier = |digest: &BlobName| self.base().is_some_and(|base| base.find(digest).is_some());
        for (digest, what) in files.chain(records) {
            if !layers.contains(&digest) && !earlier(&digest) {
                let problem = "is in the contents and not in the manifest";
                return Err(BundleError::entry(
                    self.path(),
                    format!("{} ({what})", entry_of(&digest)),
                    problem,
                ));
            }
        }
        for image in &contents.images {
            if !self.chain().any(|bundle| bundle.images.iter().any(|entry| entry.digest == image.manifest)) {
                let what = format!("{} (the manifest of {})", entry_of(&image.manifest), image.reference);
                return Err(BundleError::entry(self.path(), what, "is in the contents and not in the index"));
            }
        }
        Ok(())
    }

    fn manifest_of(&self, image: &Descriptor, name: &str) -> Result<Manifest, BundleError> {
        let entry = format!("{} (the manifest of {name})", entry_of(&image.digest));
        let bytes = archive::document(self.path(), self.find(&image.digest), &image.digest, &entry)?;
        let unreadable = |error| BundleError::entry(self.path(), &entry, format!("cannot be read: {error}"));
        serde_json::from_slice(&bytes).map_err(unreadable)
    }
}

fn check(
    part: &FilePart,
    digest: &BlobName,
    entry: &str,
    verified: &mut Verified,
    progress: &mut dyn FnMut(u64),
) -> Result<(), BundleError> {
    let read = part.reader().and_then(BlobName::read);
    if read.map_err(|error| BundleError::io("read", &part.file, error))? != *digest {
        return Err(BundleError::entry(&part.file, entry, OTHER_BYTES));
    }
    verified.entries += 1;
    verified.bytes += part.size;
    progress(part.size);
    Ok(())
}
