//! Blobs by themselves.

use bytes::Bytes;
use futures_util::TryStreamExt as _;

use super::*;
use crate::Recalled;
use crate::{ActionCache as _, Area, Blob, Discard as _, Origin as _, RecordName, Scope, StoreError};

/// 12 MiB, of which a piece in the middle differs from one `middle` to the other.
fn large(middle: u64) -> Bytes {
    [random(1, 6 << 20), random(middle, 100_000), random(3, 6 << 20)].concat().into()
}

async fn stored(storage: &Arc<Storage>, bytes: &Bytes) -> Digest {
    let digest = FUNCTION.digest(bytes);
    open(storage).put(&digest, bytes.clone().into()).await.unwrap();
    digest
}

#[tokio::test]
async fn of_a_large_blob_only_what_changed_is_sent() {
    let storage = Storage::new();
    stored(&storage, &large(7)).await;
    let (_, all) = storage.take_counts();
    stored(&storage, &large(8)).await;
    let (_, changed) = storage.take_counts();
    assert!(all > 12 << 20 && changed < all / 2, "{changed} of {all}");
    stored(&storage, &large(8)).await;
    assert_eq!(storage.take_counts(), (1, 0), "what is there is asked for and not sent");
}

#[tokio::test]
async fn a_large_blob_comes_from_any_byte_on_and_from_a_file() {
    let storage = Storage::new();
    let bytes = large(7);
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), &bytes).unwrap();
    let digest = FUNCTION.digest(&bytes);
    let blob =
        Blob::File { file: file.reopen().unwrap(), path: file.path().to_owned(), len: bytes.len() as u64 };
    open(&storage).put(&digest, blob).await.unwrap();
    let store = open(&storage);
    for offset in [0, 1, 5 << 20, bytes.len() - 1, bytes.len(), bytes.len() + 1] {
        let pieces = store.0.open(&digest, offset as u64).await.unwrap();
        let got: Vec<Bytes> = pieces.try_collect().await.unwrap();
        assert!(got.concat() == bytes[offset.min(bytes.len())..], "{offset}");
    }
    assert!(store.get(&digest).await.unwrap().into_bytes().unwrap() == bytes);
}

#[tokio::test]
async fn wrong_bytes_of_a_large_blob_are_refused_whether_it_is_there_or_not() {
    let storage = Storage::new();
    let digest = FUNCTION.digest(&large(7));
    let wrong = || open(&storage).0;
    assert!(matches!(wrong().put(&digest, large(8).into()).await, Err(StoreError::Mismatch { .. })));
    assert_eq!(open(&storage).find_missing(&[digest]).await.unwrap(), [digest]);
    stored(&storage, &large(7)).await;
    assert!(matches!(wrong().put(&digest, large(8).into()).await, Err(StoreError::Mismatch { .. })));
}

#[tokio::test]
async fn a_blob_whose_piece_is_gone_or_damaged_is_missing_and_can_be_stored_again() {
    for damages in [false, true] {
        let storage = Storage::new();
        let bytes = large(7);
        let digest = stored(&storage, &bytes).await;
        let victim = storage.all_data()[0];
        if damages {
            storage.damage(&victim)
        } else {
            storage.lose(&victim)
        }
        let store = open(&storage);
        assert!(matches!(store.get(&digest).await, Err(StoreError::NotFound { .. })));
        assert_eq!(store.find_missing(&[digest]).await.unwrap(), [digest]);
        stored(&storage, &bytes).await;
        assert!(store.get(&digest).await.unwrap().into_bytes().unwrap() == bytes);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_short_blob_that_is_damaged_is_dropped_and_one_that_is_not_stays() {
    let storage = Storage::new();
    let (good, bad) = (stored(&storage, &random(1, 1000)).await, stored(&storage, &random(2, 1000)).await);
    let record = Bytes::from(super::super::frame::close(&random(3, 1000)));
    storage.replace_record(&RecordName::new(Area::Blob, bad), record);
    let store = open(&storage).0;
    let both = store.clone();
    tokio::task::spawn_blocking(move || [good, bad].map(|digest| both.discard(&digest).unwrap()))
        .await
        .unwrap();
    assert_eq!(store.find_missing(&[good, bad]).await.unwrap(), [bad]);
}

#[tokio::test]
async fn who_may_not_write_reads_and_loses_nothing_but_what_is_gone() {
    let storage = Storage::new();
    let (whole, broken) = (stored(&storage, &random(1, 1000)).await, stored(&storage, &large(7)).await);
    storage.lose(&storage.all_data()[0]);
    let store = open(&storage.read_only());
    assert!(store.get(&whole).await.is_ok());
    assert!(matches!(store.get(&broken).await, Err(StoreError::NotFound { .. })));
    let put = store.put(&FUNCTION.digest(b"x"), Bytes::from_static(b"x").into()).await;
    assert!(matches!(put, Err(StoreError::Remote { .. })));
}

#[tokio::test]
async fn results_of_one_scope_are_not_those_of_another() {
    let storage = Storage::new();
    let Kept(blobs, _dir) = open(&storage);
    let action = FUNCTION.digest(b"action");
    let scopes = [Scope::Protected, Scope::Branch("main".to_owned()), Scope::User("main".to_owned())];
    for (number, scope) in scopes.iter().enumerate() {
        assert_eq!(PackedActions::new(&blobs, scope).get(&action).await.unwrap(), None, "{scope}");
        let result = conformance::result(&number.to_string());
        PackedActions::new(&blobs, scope).put(&action, &result).await.unwrap();
    }
    for (number, scope) in scopes.iter().enumerate() {
        let found = PackedActions::new(&blobs, scope).get(&action).await.unwrap();
        assert_eq!(found, Some(conformance::result(&number.to_string())), "{scope}");
    }
}

#[tokio::test]
async fn what_a_run_found_is_recalled_in_one_request_the_latest_first() {
    let storage = Storage::new();
    let Kept(blobs, _dir) = open(&storage);
    let actions = PackedActions::new(&blobs, &Scope::Protected);
    let found = |numbers: std::ops::Range<u64>, text: &str| -> Vec<_> {
        let hour = Some(crate::packed::runs::this_hour());
        let recalled = |number: u64| Recalled {
            action: FUNCTION.digest(&number.to_le_bytes()),
            result: conformance::result(text),
            hour,
        };
        numbers.map(recalled).collect()
    };
    assert_eq!(actions.recall("app").await.unwrap(), []);
    actions.keep("app", &found(0..3, "old"), &[]).await.unwrap();
    let earlier = actions.recall("app").await.unwrap();
    assert_eq!(earlier, found(0..3, "old"));
    actions.keep("app", &found(2..4, "new"), &earlier).await.unwrap();
    storage.take_counts();
    let all = actions.recall("app").await.unwrap();
    assert_eq!(storage.take_counts().0, 1);
    assert_eq!(all, [found(2..4, "new"), found(0..2, "old")].concat());
    assert_eq!(actions.recall("other").await.unwrap(), []);
    let branch = PackedActions::new(&blobs, &Scope::Branch("x".to_owned()));
    assert_eq!(branch.recall("app").await.unwrap(), []);
    actions.keep("app", &found(0..10_000, ""), &[]).await.unwrap();
    assert_eq!(actions.recall("app").await.unwrap().len(), 8192);
    // What nobody found for more than a week is no longer kept.
    let old = |mut line: Recalled, hours: u32| {
        line.hour = line.hour.map(|hour| hour - hours);
        line
    };
    let earlier: Vec<_> =
        found(0..4, "").into_iter().zip([0, 167, 170, 1000]).map(|(line, age)| old(line, age)).collect();
    actions.keep("app", &[], &earlier).await.unwrap();
    assert_eq!(actions.recall("app").await.unwrap(), earlier[..2]);
    let name = storage.names(Area::Run)[0];
    storage.replace_record(&name, Bytes::from_static(b"\x00damaged"));
    assert_eq!(actions.recall("app").await.unwrap(), []);
}

#[tokio::test]
async fn a_blob_with_many_damaged_pieces_is_whole_again_once_it_is_stored_again() {
    let storage = Storage::new();
    let bytes = large(7);
    let digest = stored(&storage, &bytes).await;
    storage.all_data().iter().step_by(2).for_each(|data| storage.damage(data));
    let Kept(store, _dir) = open(&storage);
    assert!(matches!(store.get(&digest).await, Err(StoreError::NotFound { .. })));
    stored(&storage, &bytes).await;
    assert!(store.get(&digest).await.unwrap().into_bytes().unwrap() == bytes);
}
