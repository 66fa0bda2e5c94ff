//! Reading everything, to find what is damaged.

use cullet_digest::{Digest, DigestFunction};

use super::bases::Area;
use super::name::EntryName;
use super::record;
use super::scan::Entry;
use super::store::{Disk, DiskStore, is_the_empty_blob};
use crate::StoreError;

/// What [`DiskStore::verify`] found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct VerifyReport {
    /// How many blobs were read (an executable variant counts as one).
    pub blobs: u64,
    /// How many bytes they have.
    pub bytes: u64,
    /// How many results were read.
    pub results: u64,
    /// What is not right.
    pub damaged: Vec<Damaged>,
}

/// An entry that is not right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Damaged {
    /// The bytes of a blob are not those of its name.
    Blob {
        /// The function its name is of.
        function: DigestFunction,
        /// Its name: the hash in hexadecimal.
        hash: String,
    },
    /// A result is torn, flipped, or under a wrong name.
    Result {
        /// The function of the action's digest.
        function: DigestFunction,
        /// The hash of the action in hexadecimal.
        hash: String,
    },
    /// A result names blobs that are not there, or are damaged.
    Incomplete {
        /// The action.
        action: Digest,
        /// The blobs it names itself that cannot be read.
        missing: Vec<Digest>,
    },
}

impl DiskStore {
    /// Reads every blob and every result. With `fix` removes what is not right, so that it is made again when
    /// it is needed. `progress` is told the bytes read after each blob.
    ///
    /// Of a result it checks the blobs that it names itself; what lies below an output directory is checked
    /// when the result is used.
    pub fn verify(&self, fix: bool, progress: &mut dyn FnMut(u64)) -> Result<VerifyReport, StoreError> {
        if fix {
            self.disk.layout.scratch()?;
        }
        let (mut blobs, mut results) = (Vec::new(), Vec::new());
        self.disk.scan(&mut |entry| match entry.area {
            Area::Cas => blobs.push(entry),
            Area::Ac => results.push(entry),
        })?;
        let mut report = VerifyReport::default();
        let mut bad = std::collections::HashSet::new();
        for entry in &blobs {
            if self.disk.verify_blob(entry, fix, &mut report)? && !entry.executable {
                bad.insert((entry.function, entry.hash));
            }
            progress(report.bytes);
        }
        for entry in &results {
            let is_bad = |digest: &Digest| bad.contains(&(digest.function(), *digest.hash()));
            self.disk.verify_result(entry, fix, &is_bad, &mut report)?;
        }
        Ok(report)
    }
}

impl Disk {
    /// Whether the blob is damaged.
    fn verify_blob(&self, entry: &Entry, fix: bool, report: &mut VerifyReport) -> Result<bool, StoreError> {
        let name = entry.name();
        let Some(actual) = self.hash_entry(Area::Cas, entry.function, &name)? else { return Ok(false) };
        report.blobs += 1;
        report.bytes += actual.size();
        if *actual.hash() == entry.hash {
            return Ok(false);
        }
        report.damaged.push(Damaged::Blob { function: entry.function, hash: hash_of(&name) });
        if fix {
            self.unlink(Area::Cas, entry.function, &name, actual.size())?;
        }
        Ok(true)
    }

    fn verify_result(
        &self,
        entry: &Entry,
        fix: bool,
        is_bad: &dyn Fn(&Digest) -> bool,
        report: &mut VerifyReport,
    ) -> Result<(), StoreError> {
        let name = entry.name();
        let damaged = match self.check_result(entry, &name, is_bad)? {
            None => return Ok(()),
            Some(damaged) => damaged,
        };
        report.results += 1;
        let Some(damaged) = damaged else { return Ok(()) };
        report.damaged.push(damaged);
        if fix { self.unlink(Area::Ac, entry.function, &name, entry.size) } else { Ok(()) }
    }

    /// What is wrong with a result, if anything; none where the result has gone meanwhile.
    fn check_result(
        &self,
        entry: &Entry,
        name: &EntryName,
        is_bad: &dyn Fn(&Digest) -> bool,
    ) -> Result<Option<Option<Damaged>>, StoreError> {
        let damaged = || Damaged::Result { function: entry.function, hash: hash_of(name) };
        let hash = hash_of(name);
        let Some(bytes) = self.peek(Area::Ac, entry.function, name, record::LIMIT)? else { return Ok(None) };
        let action =
            record::action_size(&bytes).and_then(|size| Digest::from_wire(entry.function, &hash, size).ok());
        let Some((action, result)) =
            action.and_then(|action| Some((action, record::decode(&action, &bytes)?)))
        else {
            return Ok(Some(Some(damaged())));
        };
        let unreadable =
            |digest: &Digest| !is_the_empty_blob(digest) && (is_bad(digest) || !self.exists(digest));
        let missing: Vec<Digest> = result.digests().filter(unreadable).collect();
        Ok(Some((!missing.is_empty()).then_some(Damaged::Incomplete { action, missing })))
    }
}

/// The hash in the name of an entry.
fn hash_of(name: &EntryName) -> String {
    name.file_name().trim_end_matches(super::name::EXECUTABLE_SUFFIX).to_owned()
}
