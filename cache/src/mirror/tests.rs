//! Copying between two stores in memory.

use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::StreamExt as _;

use super::*;
use crate::collect::tests::store::Store;
use crate::collect::tests::{Machine, Source, action};
use crate::objects::Kind;
use crate::{Recalled, Scope};

async fn copy(from: &Arc<Store>, to: &Arc<Store>, options: &MirrorOptions) -> Result<Mirrored, StoreError> {
    let spool = tempfile::tempdir().unwrap();
    mirror(from.clone(), to.clone(), spool.path(), options, &|_| {}).await
}

/// A store with this many results, some of whose files are in several of them.
async fn filled(source: &Source, count: u64) -> (Arc<Store>, Vec<ActionResult>) {
    let store = Arc::new(Store::new(1));
    let writer = source.writer(&store);
    let mut results = Vec::new();
    for number in 0..count {
        let result = source.result(&[number, 100, 200 + number % 2]).await;
        source.publish(&writer, number, &result).await.unwrap();
        results.push(result);
    }
    (store, results)
}

async fn assert_whole(source: &Source, store: &Arc<Store>, results: &[ActionResult]) {
    store.check();
    for (number, result) in (0..).zip(results) {
        let reader = source.reader(store);
        assert_eq!(reader.hit(number).await.unwrap().as_ref(), Some(result), "{number}");
        reader.fetch(result).await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn everything_is_copied_once() {
    let source = Source::new();
    let (from, results) = filled(&source, 20).await;
    let to = Arc::new(Store::new(2));
    let done = copy(&from, &to, &MirrorOptions::default()).await.unwrap();
    assert_eq!((done.copied, done.present, done.unusable), (20, 0, 0));
    assert!(done.moved.bytes > 20 << 20, "{done:?}");
    assert_whole(&source, &to, &results).await;
    assert_eq!(from.counts(), to.counts(), "the same data under the same names");

    let more = source.result(&[77, 78]).await;
    source.publish(&source.writer(&from), 20, &more).await.unwrap();
    let before = to.requests.load(Ordering::Relaxed);
    let again = copy(&from, &to, &MirrorOptions::default()).await.unwrap();
    assert_eq!((again.copied, again.present), (1, 20));
    let asked = to.requests.load(Ordering::Relaxed) - before;
    assert!(asked < 20 + 25, "{asked} requests for one new result");
}

#[tokio::test(start_paused = true)]
async fn one_that_is_cut_off_anywhere_is_gone_on_with() {
    let source = Source::new();
    let (from, results) = filled(&source, 3).await;
    let whole = Arc::new(Store::new(2));
    copy(&from, &whole, &MirrorOptions::default()).await.unwrap();
    let all = whole.requests.load(Ordering::Relaxed);
    for cut_at in 0..all {
        let to = Arc::new(Store::new(3));
        to.cut_at.store(cut_at, Ordering::Relaxed);
        assert!(copy(&from, &to, &MirrorOptions::default()).await.is_err(), "{cut_at}");
        to.check();
        to.cut_at.store(usize::MAX, Ordering::Relaxed);
        let done = copy(&from, &to, &MirrorOptions::default()).await.unwrap();
        assert_eq!(done.copied + done.present, 3, "{cut_at}");
        assert_whole(&source, &to, &results).await;
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_damaged_at_the_source_is_left_out_and_at_the_destination_mended() {
    let source = Source::new();
    let (from, results) = filled(&source, 3).await;
    let to = Arc::new(Store::new(2));
    copy(&from, &to, &MirrorOptions::default()).await.unwrap();
    for data in to.names(Kind::Data) {
        to.replace(data, b"something else");
    }
    let looked = copy(&from, &to, &MirrorOptions::default()).await.unwrap();
    assert_eq!((looked.present, looked.mended), (3, 0), "nothing is read that is there");
    let verify = MirrorOptions { verify: true, ..MirrorOptions::default() };
    let mended = copy(&from, &to, &verify).await.unwrap();
    assert_eq!((mended.present, mended.unusable), (3, 0), "{mended:?}");
    // Results share files, and what one has mended the next may find whole.
    assert!((1..=3).contains(&mended.mended), "{mended:?}");
    assert_whole(&source, &to, &results).await;
    let again = copy(&from, &to, &verify).await.unwrap();
    assert_eq!((again.present, again.mended), (3, 0));

    for data in from.names(Kind::Data) {
        from.replace(data, b"something else");
    }
    let empty = Arc::new(Store::new(4));
    let left = copy(&from, &empty, &MirrorOptions::default()).await.unwrap();
    assert_eq!((left.copied, left.unusable, left.named.len()), (0, 3, 3), "{left:?}");
    assert_eq!(empty.names(Kind::Records(Area::Result)).len(), 0);

    for record in from.names(Kind::Records(Area::Result)) {
        from.replace(record, b"no record");
    }
    let left = copy(&from, &empty, &MirrorOptions::default()).await.unwrap();
    assert_eq!((left.copied, left.unusable, left.named.len()), (0, 3, 3), "{left:?}");
}

#[tokio::test(start_paused = true)]
async fn scopes_stay_apart_and_what_runs_found_is_brought_together() {
    let source = Source::new();
    let (from, results) = filled(&source, 2).await;
    let branch: Scope = "branch/a".parse().unwrap();
    let Machine { blobs, actions } = source.writer(&from);
    let of_branch = PackedActions::new(&blobs, &branch);
    of_branch.put(&action(0), &results[1]).await.unwrap();
    let found = |number: usize| Recalled::now(action(number as u64), results[number].clone());
    actions.keep("app", &[found(0)], &[]).await.unwrap();

    let to = Arc::new(Store::new(2));
    let only = MirrorOptions { scopes: vec![branch.id()], ..MirrorOptions::default() };
    assert_eq!(copy(&from, &to, &only).await.unwrap().copied, 1);
    let there = source.reader(&to);
    assert_eq!(there.actions.get(&action(0)).await.unwrap(), None);
    let of_branch = PackedActions::new(&there.blobs, &branch);
    assert_eq!(of_branch.get(&action(0)).await.unwrap().as_ref(), Some(&results[1]));

    there.actions.keep("app", &[found(1)], &[]).await.unwrap();
    let done = copy(&from, &to, &MirrorOptions::default()).await.unwrap();
    assert_eq!((done.copied, done.present, done.runs), (2, 1, 1));
    let together = source.reader(&to).actions.recall("app").await.unwrap();
    assert_eq!(together.len(), 2, "what was there, and what came");
    assert_eq!(copy(&from, &to, &MirrorOptions::default()).await.unwrap().runs, 0);
}

#[tokio::test]
async fn a_name_is_read_as_it_is_written() {
    let from = Store::new(1);
    let names = |area| from.names_of(area);
    assert_eq!(names(Area::Result).await, []);
    let plain = RecordName::new(Area::Run, action(1));
    let scoped =
        RecordName { scope: Scope::User("ada".to_owned()).id(), ..RecordName::new(Area::Result, action(2)) };
    for name in [plain, scoped] {
        assert_eq!(name.to_string().parse(), Ok(name));
        from.put_record(&name, "x".into(), &[]).await.unwrap();
        assert_eq!(names(name.area).await, [name]);
    }
    for text in
        ["", "ac", "latest", "ac.blake3.00.1", &format!("{plain}.1"), &format!("{scoped}").to_uppercase()]
    {
        assert_eq!(text.parse::<RecordName>(), Err(()), "{text}");
    }
}

impl Store {
    async fn names_of(&self, area: Area) -> Vec<RecordName> {
        tokio::time::sleep(Duration::ZERO).await;
        Named::names(self, area).map(Result::unwrap).collect().await
    }
}
