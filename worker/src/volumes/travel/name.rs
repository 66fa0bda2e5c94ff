//! What a volume is called in a store, and how it is said which version it has.

use std::collections::HashSet;

use cullet_cache::collect::{release, released};
use cullet_cache::{ActionResult, LogStream, Output, OutputKind, Usage};
use cullet_digest::{Digest, DigestFunction, TreeRef};

use super::Travels;

/// The name under which the version of a volume is found: the digest of what tells it from others. It is that of no action,
/// because none is written like this.
pub(super) fn key(travels: &Travels, volume: &str, arch: &str) -> Digest {
    DigestFunction::Blake3.digest(["cullet volume 1", &travels.owner, volume, arch].join("\0").as_bytes())
}

/// A version, as its record has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Version {
    /// What is in it.
    pub(super) manifest: Digest,
    /// What the manifest names: named here as well, so that a store keeps it for as long as this record.
    pub(super) packs: Vec<Digest>,
    /// What earlier versions had and this one has not, the latest first.
    pub(super) released: Vec<Digest>,
    /// When it was made, in milliseconds since the Unix epoch, by the clock of whoever made it.
    pub(super) at_ms: u64,
}

/// The output of a record that is the manifest.
const MANIFEST: &str = "manifest";

impl Version {
    pub(super) fn to_result(&self) -> ActionResult {
        let output = |path: String, digest: &Digest| {
            let kind = OutputKind::Tree(TreeRef::File { digest: *digest, executable: false });
            Output { path, kind }
        };
        let packs = self.packs.iter().enumerate();
        // In the order of their names, in which they come back.
        let packs = packs.map(|(number, pack)| output(format!("{number:08}"), pack));
        ActionResult {
            exit_code: 0,
            outputs: std::iter::once(release(self.released.iter().copied()))
                .chain(packs)
                .chain([output(MANIFEST.to_owned(), &self.manifest)])
                .collect(),
            stdout: LogStream::default(),
            stderr: LogStream::default(),
            interleaving: Vec::new(),
            worker: String::new(),
            started_at_ms: self.at_ms,
            duration_ms: 0,
            usage: Usage::default(),
            signature: None,
            trees: Vec::new(),
            times: Default::default(),
        }
    }

    /// None for a result that is no version.
    pub(super) fn of(result: &ActionResult) -> Option<Self> {
        let file = |output: &Output| match output.kind {
            OutputKind::Tree(TreeRef::File { digest, .. }) => Some(digest),
            _ => None,
        };
        let (manifest, others) = result.outputs.split_last()?;
        let manifest = file(manifest).filter(|_| manifest.path == MANIFEST)?;
        let packs = others.iter().filter_map(file).collect();
        Some(Self { manifest, packs, released: released(result), at_ms: result.started_at_ms })
    }

    /// The version that takes the place of another one.
    pub(super) fn after(before: Option<&Self>, manifest: Digest, packs: Vec<Digest>, at_ms: u64) -> Self {
        let earlier = before.map(|before| {
            let had = [before.manifest].into_iter().chain(before.packs.iter().copied());
            had.chain(before.released.iter().copied())
        });
        let has: HashSet<Digest> = packs.iter().copied().chain([manifest]).collect();
        let released = earlier.into_iter().flatten().filter(|blob| !has.contains(blob)).collect();
        Self { manifest, packs, released, at_ms }
    }
}

#[cfg(test)]
mod tests {
    use cullet_cache::Scope;

    use super::*;

    #[test]
    fn names_are_told_apart_and_versions_survive() {
        let travels = |owner: &str| Travels { owner: owner.to_owned(), scope: Scope::Protected };
        let keys = [
            key(&travels("t\0p"), "v", "x86_64"),
            key(&travels("t\0pv"), "", "x86_64"),
            key(&travels("t\0p"), "v", "aarch64"),
            key(&travels("p\0t"), "v", "x86_64"),
        ];
        assert_eq!(std::collections::BTreeSet::from(keys).len(), 4);
        // Whoever writes it reads the own one first; what it is called has nothing to do with that.
        let branch = Travels { scope: Scope::Branch("b".to_owned()), ..travels("t\0p") };
        assert_eq!(key(&branch, "v", "x86_64"), keys[0]);
        let digest = |text: &str| DigestFunction::Blake3.digest(text.as_bytes());
        let version = Version::after(None, digest("m"), vec![digest("a"), digest("b")], 7);
        assert_eq!(Version::of(&version.to_result()), Some(version.clone()));
        let next = Version::after(Some(&version), digest("n"), vec![digest("b"), digest("c")], 8);
        assert_eq!(next.released, [digest("m"), digest("a")]);
        assert_eq!(Version::of(&next.to_result()), Some(next.clone()));
        let third = Version::after(Some(&next), digest("o"), vec![digest("a")], 9);
        assert_eq!(third.released, [digest("n"), digest("b"), digest("c"), digest("m")]);
        let written = ActionResult::decode(DigestFunction::Blake3, third.to_result().encode().into());
        assert_eq!(written.as_ref(), Ok(&third.to_result()), "as stores give it back");
        let mut other = version.to_result();
        other.outputs.pop();
        assert_eq!(Version::of(&other), None);
        assert_eq!(Version::of(&ActionResult { outputs: Vec::new(), ..version.to_result() }), None);
    }
}
