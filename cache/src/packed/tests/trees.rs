//! Trees.

use super::*;
use crate::disk::{DiskStore, OpenOptions};
use crate::packed::data::Useless;
use crate::{
    ActionCache as _, ActionResult, Area, CompletenessChecking, NoPeers, Output, OutputKind, RecordName,
    StoreError, Tiers, TiersOptions, Trees as _,
};
use cullet_digest::TreeRef;
use tokio::runtime::Handle;

/// A thousand files of 10 KiB, an empty one, one that is there twice, and one that is too large for a pack.
async fn many() -> (Digest, Arc<MemoryStore>, Vec<Digest>) {
    let mut files: Vec<Bytes> = (0..1000).map(|seed| random(seed, 10_000)).collect();
    files.extend([Bytes::new(), random(7, 10_000), random(5000, 6 << 20)]);
    tree(&[("a", files), ("b", vec![random(6000, 100)])]).await
}

/// The store of another machine, with an empty disk.
fn machine(storage: &Arc<Storage>) -> Kept<Tiers> {
    let Kept(shared, dir) = open(storage);
    let disk = Arc::new(DiskStore::open(&OpenOptions::new(dir.path().join("disk"))).unwrap());
    let (peers, options) = (Arc::new(NoPeers), TiersOptions::default());
    Kept(Tiers::new(disk, peers, Arc::new(shared), &options, Handle::current()).unwrap(), dir)
}

fn result(root: Digest) -> ActionResult {
    let output = Output { path: "out".to_owned(), kind: OutputKind::Tree(TreeRef::Directory(root)) };
    ActionResult { outputs: vec![output], ..conformance::result("done") }
}

#[tokio::test]
async fn a_tree_of_a_thousand_files_takes_few_requests_both_ways() {
    let storage = Storage::new();
    let (root, from, all) = many().await;
    let moved = open(&storage).0.put_tree(&root, &*from).await.unwrap().unwrap();
    let (requests, received) = storage.take_counts();
    assert!(requests < 40, "{requests}");
    assert!(moved.bytes > 16_000_000 && moved.bytes as usize <= received, "{moved:?} of {received}");
    let Kept(machine, _dir) = machine(&storage);
    machine.fetch_tree(&root).await.unwrap();
    let (requests, _) = storage.take_counts();
    assert!(requests < 30, "{requests}");
    let here = machine.counts().from_shared;
    assert!(here.blobs > 1000 && here.bytes > 16_000_000, "{here:?}");
    for digest in all {
        assert!(machine.get(&digest).await.is_ok(), "{digest}");
    }
    assert_eq!(storage.take_counts().0, 0, "all of it is here");
    assert_eq!(open(&storage).0.put_tree(&root, &*from).await.unwrap().unwrap(), crate::Moved::default());
}

#[tokio::test]
async fn a_tree_that_changed_a_little_is_sent_only_where_it_did() {
    let storage = Storage::new();
    let mut files: Vec<Bytes> = (0..2000).map(|seed| random(seed, 10_000)).collect();
    for (changed, most) in [(None, usize::MAX), (Some(1234), 9 << 20)] {
        changed.into_iter().for_each(|file: usize| files[file] = random(9999, 10_000));
        let (root, from, _) = tree(&[("a", files.clone())]).await;
        open(&storage).0.put_tree(&root, &*from).await.unwrap();
        let (_, received) = storage.take_counts();
        assert!(received < most, "{received}");
    }
}

#[tokio::test]
async fn a_small_tree_is_one_record() {
    let storage = Storage::new();
    let (root, from, all) = tree(&[("a", vec![random(1, 100), random(2, 5000)])]).await;
    open(&storage).0.put_tree(&root, &*from).await.unwrap();
    assert_eq!(storage.take_counts().0, 2, "looked for, and written");
    assert!(storage.all_data().is_empty());
    let Kept(machine, _dir) = machine(&storage);
    machine.fetch_tree(&root).await.unwrap();
    assert_eq!(storage.take_counts().0, 1);
    for digest in all {
        assert!(machine.get(&digest).await.is_ok(), "{digest}");
    }
}

#[tokio::test]
async fn blobs_of_a_tree_are_found_one_by_one_once_its_root_was_asked_for() {
    let storage = Storage::new();
    let (root, from, all) = many().await;
    open(&storage).0.put_tree(&root, &*from).await.unwrap();
    let store = open(&storage);
    assert!(store.get(&root).await.is_ok());
    storage.take_counts();
    assert_eq!(store.find_missing(&all).await.unwrap(), []);
    assert!(storage.take_counts().0 < 5);
    for digest in &all {
        let bytes = store.get(digest).await.unwrap().into_bytes().unwrap();
        assert_eq!(FUNCTION.digest(&bytes), *digest);
    }
    assert!(storage.take_counts().0 < 30, "packs are kept for a while");
}

#[tokio::test]
async fn whether_a_result_is_complete_takes_a_question_for_each_tree() {
    let storage = Storage::new();
    let (root, from, _) = many().await;
    let writer = open(&storage).0;
    writer.put_tree(&root, &*from).await.unwrap();
    let action = FUNCTION.digest(b"action");
    let actions = PackedActions::new(&writer, &crate::Scope::Protected);
    actions.put(&action, &result(root)).await.unwrap();
    let needs = storage.needs(&RecordName::new(Area::Result, action));
    assert_eq!(needs.len(), storage.all_data().len(), "the record keeps all data of its trees");
    let reader = open(&storage).0;
    let all = Arc::new(PackedActions::new(&reader, &crate::Scope::Protected));
    let checked = || CompletenessChecking::new(all.clone(), Arc::new(reader.clone()));
    let checked = checked().with_trees(Arc::new(reader.clone()));
    storage.take_counts();
    assert!(checked.get(&action).await.unwrap().is_some());
    assert_eq!(storage.take_counts().0, 2);
    let name = storage.names(Area::Tree)[0];
    crate::Objects::remove_record(&*storage, &name).await.unwrap();
    assert!(checked.get(&action).await.unwrap().is_none());
}

#[tokio::test]
async fn a_tree_whose_pack_is_gone_or_damaged_is_missing_and_can_be_stored_again() {
    for damages in [false, true] {
        let storage = Storage::new();
        let (root, from, _) = many().await;
        open(&storage).0.put_tree(&root, &*from).await.unwrap();
        let tree = open(&storage).0.tree(&root).await.unwrap().unwrap();
        let victim = tree.needs()[0];
        if damages {
            storage.damage(&victim)
        } else {
            storage.lose(&victim)
        }
        let Kept(machine, _dir) = machine(&storage);
        assert!(matches!(machine.fetch_tree(&root).await, Err(StoreError::NotFound { .. })));
        assert_eq!(machine.holds_tree(&root).await.unwrap(), Some(false));
        open(&storage).0.put_tree(&root, &*from).await.unwrap();
        machine.fetch_tree(&root).await.unwrap();
    }
}

#[tokio::test]
async fn a_tree_that_was_gone_and_is_back_is_left_alone_by_those_who_knew_it_before() {
    let storage = Storage::new();
    let (root, from, _) = many().await;
    open(&storage).0.put_tree(&root, &*from).await.unwrap();
    let Kept(reader, _dir) = open(&storage);
    let tree = reader.tree(&root).await.unwrap().unwrap();
    let name = RecordName::new(Area::Tree, root);
    crate::Objects::remove_record(&*storage, &name).await.unwrap();
    storage.lose(&tree.needs()[0]);
    let packs: Vec<usize> = (0..tree.packs()).collect();
    let read = futures_util::future::join_all(packs.iter().map(|index| reader.pack(&tree, *index))).await;
    assert!(read.iter().any(Result::is_err));
    open(&storage).0.put_tree(&root, &*from).await.unwrap();
    // As if the question had been answered before, and heard of only now.
    drop(reader.lost(&tree, Useless::LacksData).await);
    assert_eq!(reader.holds_tree(&root).await.unwrap(), Some(true));
    drop(reader.lost(&tree, Useless::IsWrong).await);
    assert_eq!(reader.holds_tree(&root).await.unwrap(), Some(false));
}

#[tokio::test]
async fn a_tree_that_lies_about_where_its_blobs_are_gives_no_wrong_bytes() {
    let storage = Storage::new();
    let (root, from, _) = tree(&[("a", vec![random(1, 100), random(2, 100)])]).await;
    open(&storage).0.put_tree(&root, &*from).await.unwrap();
    let name = RecordName::new(Area::Tree, root);
    let record = crate::Objects::record(&*storage, &name).await.unwrap().unwrap();
    // The last of the inline bytes: random ones are not compressed.
    let mut lying = record.to_vec();
    let second = random(2, 100);
    let at = lying.windows(100).position(|part| part == second).unwrap();
    lying[at] ^= 1;
    storage.replace_record(&name, lying.into());
    let Kept(machine, _dir) = machine(&storage);
    assert!(matches!(machine.fetch_tree(&root).await, Err(StoreError::Mismatch { .. })));
    assert_eq!(machine.holds_tree(&root).await.unwrap(), Some(false), "it was dropped");
}

#[tokio::test]
async fn what_the_source_lacks_is_an_error_and_no_record() {
    let storage = Storage::new();
    let (root, from, all) = many().await;
    from.remove(&all[17]);
    let put = open(&storage).0.put_tree(&root, &*from).await;
    assert!(matches!(put, Err(StoreError::NotFound { digest }) if digest == all[17]));
    assert!(storage.names(Area::Tree).is_empty());
}

#[tokio::test]
async fn a_directory_that_came_blob_by_blob_is_kept_together_once_a_result_names_it() {
    let action = FUNCTION.digest(b"action");
    let (root, from, all) = many().await;
    for lacking in [None, Some(all[17])] {
        let storage = Storage::new();
        let writer = open(&storage).0;
        for digest in all.iter().filter(|digest| !digest.is_empty() && Some(**digest) != lacking) {
            writer.put(digest, from.get(digest).await.unwrap()).await.unwrap();
        }
        // Whoever records the result is another one.
        let recorder = open(&storage);
        let actions = PackedActions::new(&recorder.0, &crate::Scope::Protected);
        actions.put(&action, &result(root)).await.unwrap();
        assert_eq!(storage.names(Area::Tree).len(), usize::from(lacking.is_none()));
        if lacking.is_none() {
            let reader = open(&storage).0;
            storage.take_counts();
            assert_eq!(reader.holds_tree(&root).await.unwrap(), Some(true));
            let tree = reader.tree(&root).await.unwrap().unwrap();
            for index in 0..tree.packs() {
                reader.pack(&tree, index).await.unwrap();
            }
            assert!(storage.take_counts().0 < 15);
        }
    }
}
