//! Copying from one repository to another.

use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::Bytes;
use cullet_cache::mirror::{MirrorOptions, Named, mirror};
use cullet_cache::{
    ActionCache as _, ActionResult, Area, BlobStore as _, LogStream, PackedActions, PackedBlobs, RecordName,
    Scope, conformance,
};
use cullet_digest::DigestFunction;
use futures_util::TryStreamExt as _;

use crate::support::{open, registries, start};

fn named(address: &str, repository: &str) -> Arc<dyn Named> {
    cullet_cache_registry::open(&format!("oci://{address}/{repository}"), &registries()).unwrap()
}

async fn names(objects: &dyn Named, area: Area) -> BTreeSet<RecordName> {
    objects.names(area).try_collect().await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repository_says_what_it_has_and_is_copied() {
    for deletes in [true, false] {
        let Some(real) = start(deletes) else { return };
        let from = named(&real.address, "team/cache");
        assert!(names(&*from, Area::Result).await.is_empty(), "there is no such repository yet");
        let spool = tempfile::tempdir().unwrap();
        let blobs = PackedBlobs::new(from.clone(), spool.path()).unwrap();
        let branch = Scope::Branch("main".to_owned());
        let mut expected = BTreeSet::new();
        for (number, scope) in [(0_u8, &Scope::Protected), (1, &Scope::Protected), (2, &branch)] {
            let log = Bytes::from(vec![number; 100_000]);
            let digest = DigestFunction::Blake3.digest(&log);
            blobs.put(&digest, log.into()).await.unwrap();
            let result = ActionResult { stdout: LogStream::Blob(digest), ..conformance::result("") };
            let action = DigestFunction::Blake3.digest(&[number]);
            PackedActions::new(&blobs, scope).put(&action, &result).await.unwrap();
            expected.insert(RecordName { scope: scope.id(), ..RecordName::new(Area::Result, action) });
        }
        assert_eq!(names(&*from, Area::Result).await, expected);
        assert!(names(&*from, Area::Tree).await.is_empty());

        let to = open(&real.address, "site/cache");
        let options = MirrorOptions::default();
        let done = mirror(from.clone(), to.clone(), spool.path(), &options, &|_| {}).await.unwrap();
        assert_eq!((done.copied, done.unusable), (3, 0));
        assert_eq!(names(&*named(&real.address, "site/cache"), Area::Result).await, expected);
        let again = MirrorOptions { verify: true, ..options };
        let done = mirror(from.clone(), to.clone(), spool.path(), &again, &|_| {}).await.unwrap();
        assert_eq!((done.copied, done.present, done.mended), (0, 3, 0));

        // One that was removed is none, whether the registry deletes or not.
        let gone = expected.pop_first().unwrap();
        from.remove_record(&gone).await.unwrap();
        let empty = open(&real.address, "other/cache");
        let done = mirror(from, empty, spool.path(), &MirrorOptions::default(), &|_| {}).await.unwrap();
        assert_eq!((done.copied, done.unusable), (2, 0));
    }
}
