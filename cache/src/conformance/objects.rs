//! What every [`Objects`] must do.

use std::sync::Arc;

use bytes::Bytes;
use cullet_digest::{Digest, DigestFunction};

use super::bytes;
use crate::objects::MOST_DATA;
use crate::{Area, Objects, RecordName, StoreError};

/// Everything an [`Objects`] promises. `make` gives an empty one; it is called for each promise anew.
///
/// # Panics
/// Where a promise is broken.
pub async fn objects(make: impl Fn() -> Arc<dyn Objects>) {
    records_are_kept_replaced_and_removed(&*make()).await;
    names_are_told_apart(&*make()).await;
    records_stand_on_data(&*make()).await;
    data_is_kept_and_removed(&*make()).await;
    data_of_another_length_is_none(&*make()).await;
    many_at_once(&*make()).await;
    assert!(!make().place().is_empty());
}

/// Lengths around what may be kept in different ways.
const RECORDS: [usize; 8] = [0, 1, 300, 65_535, 65_536, 65_537, 1 << 20, 5 << 20];
const DATA: [usize; 5] = [1, 300, 65_537, 3_000_001, MOST_DATA as usize];

fn name(text: &str) -> RecordName {
    RecordName::new(Area::Result, DigestFunction::Blake3.digest(text.as_bytes()))
}

async fn put(objects: &dyn Objects, name: &RecordName, bytes: Bytes, needs: &[Digest]) {
    if let Err(error) = objects.put_record(name, bytes, needs).await {
        panic!("{name} cannot be stored: {error:?}");
    }
}

async fn got(objects: &dyn Objects, name: &RecordName) -> Option<Bytes> {
    let found = objects.record(name).await.unwrap_or_else(|error| panic!("{name} cannot be read: {error:?}"));
    let has = objects.has_record(name).await;
    assert_eq!(
        has.unwrap_or_else(|error| panic!("{name} cannot be asked for: {error:?}")),
        found.is_some(),
        "{name}"
    );
    found
}

/// Stores these bytes as data.
async fn store(objects: &dyn Objects, bytes: Bytes) -> Digest {
    let digest = DigestFunction::Sha256.digest(&bytes);
    if let Err(error) = objects.put_data(&digest, bytes).await {
        panic!("{digest} cannot be stored: {error:?}");
    }
    digest
}

async fn records_are_kept_replaced_and_removed(objects: &dyn Objects) {
    let name = name("record");
    assert_eq!(got(objects, &name).await, None);
    assert!(objects.remove_record(&name).await.is_ok(), "there is nothing to remove");
    assert_eq!(got(objects, &name).await, None);
    for len in RECORDS {
        put(objects, &name, bytes(len), &[]).await;
        assert!(got(objects, &name).await == Some(bytes(len)), "{len}");
    }
    let binary: Bytes = (0..=u8::MAX).chain([0, b'"', b'\\', b'\n', 0xff]).collect::<Vec<u8>>().into();
    // Twice the same, the second time after it was removed.
    for _ in 0..2 {
        put(objects, &name, binary.clone(), &[]).await;
        put(objects, &name, binary.clone(), &[]).await;
        assert_eq!(got(objects, &name).await.as_ref(), Some(&binary));
        for _ in 0..2 {
            assert!(objects.remove_record(&name).await.is_ok());
            assert_eq!(got(objects, &name).await, None);
        }
    }
}

async fn names_are_told_apart(objects: &dyn Objects) {
    let hashes = DigestFunction::ALL.map(|function| function.digest(b"about"));
    // The longest names that there are.
    let longest = hashes.map(|about| Digest::from_parts(about.function(), *about.hash(), i64::MAX as u64));
    let mut names = Vec::new();
    for about in hashes.into_iter().chain(longest) {
        for area in Area::ALL {
            let scopes = [None, Some([0; 8]), Some([0xff; 8]), Some([0, 0, 0, 0, 0, 0, 0, 1])];
            names.extend(scopes.map(|scope| RecordName { area, scope, about }));
        }
    }
    // All say the same, so that only their names differ.
    for name in &names {
        put(objects, name, bytes(10), &[]).await;
    }
    for (index, name) in names.iter().enumerate() {
        assert_eq!(got(objects, name).await, Some(bytes(10)), "{name}");
        assert!(objects.remove_record(name).await.is_ok());
        assert_eq!(got(objects, name).await, None, "{name}");
        if let Some(next) = names.get(index + 1) {
            assert_eq!(got(objects, next).await, Some(bytes(10)), "{name} was removed, and {next} with it");
        }
    }
}

async fn records_stand_on_data(objects: &dyn Objects) {
    let name = name("needs");
    let mut needs = Vec::new();
    for len in 1..20 {
        needs.push(store(objects, bytes(len)).await);
    }
    needs.push(needs[0]);
    for len in [10, 70_000] {
        put(objects, &name, bytes(len), &needs).await;
        assert_eq!(got(objects, &name).await, Some(bytes(len)));
    }
    assert!(objects.remove_record(&name).await.is_ok());
    assert_eq!(got(objects, &name).await, None);
    for (needed, len) in needs.iter().zip(1..20) {
        let found = objects.data(needed).await.ok();
        assert_eq!(found, Some(bytes(len)), "what a record pointed to stays");
    }
}

async fn data_is_kept_and_removed(objects: &dyn Objects) {
    for len in DATA {
        let digest = DigestFunction::Sha256.digest(&bytes(len));
        assert_eq!(objects.has_data(&digest).await.ok(), Some(false), "{len}");
        assert!(
            matches!(objects.data(&digest).await, Err(StoreError::NotFound { digest: of }) if of == digest)
        );
        for _ in 0..2 {
            store(objects, bytes(len)).await;
            assert_eq!(objects.has_data(&digest).await.ok(), Some(true), "{len}");
            assert!(objects.data(&digest).await.ok() == Some(bytes(len)), "{len}");
        }
        // There are places that delete nothing, and say so.
        let removed = objects.remove_data(&digest).await.is_ok();
        assert_eq!(objects.has_data(&digest).await.ok(), Some(!removed), "{len}");
        assert_eq!(objects.data(&digest).await.is_ok(), !removed, "{len}");
        assert_eq!(objects.remove_data(&digest).await.is_ok(), removed, "what is gone can be removed: {len}");
        store(objects, bytes(len)).await;
        assert!(objects.data(&digest).await.ok() == Some(bytes(len)), "{len}");
    }
}

async fn data_of_another_length_is_none(objects: &dyn Objects) {
    let right = store(objects, bytes(1000)).await;
    for size in [0, 999, 1001, 5000, MOST_DATA, MOST_DATA + 1] {
        let wrong = Digest::from_parts(right.function(), *right.hash(), size);
        assert_eq!(objects.has_data(&wrong).await.ok(), Some(false), "{size}");
        assert!(matches!(objects.data(&wrong).await, Err(StoreError::NotFound { .. })), "{size}");
    }
    assert_eq!(
        objects.data(&right).await.ok(),
        Some(bytes(1000)),
        "asking with a wrong size removes nothing"
    );
}

async fn many_at_once(objects: &dyn Objects) {
    let one = |index: usize| async move {
        let len = 1 + index % 10 * 20_000;
        let (first, second) = tokio::join!(store(objects, bytes(len)), store(objects, bytes(len)));
        assert_eq!(first, second);
        let name = name(&format!("many {}", index % 20));
        put(objects, &name, bytes(index % 20), &[first]).await;
        assert_eq!(got(objects, &name).await, Some(bytes(index % 20)));
        assert_eq!(objects.data(&first).await.ok(), Some(bytes(len)));
    };
    futures_util::future::join_all((0..100).map(one)).await;
}
