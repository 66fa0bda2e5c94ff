//! What is kept and what goes.

use super::*;
use crate::objects::{Kind, ObjectName};
use crate::{ActionCache as _, Area, Recalled, RecordName};

async fn pass(time: Duration) {
    tokio::time::sleep(time).await;
}

fn store() -> Arc<Store> {
    Arc::new(Store::new(1))
}

/// Rounds, one each hour, as often as that.
async fn rounds(store: &Arc<Store>, policy: &Policy, count: usize) -> Report {
    let mut all = Report::default();
    for _ in 0..count {
        let report = round(store, policy).await.unwrap();
        all.removed += report.removed;
        all.results += report.results;
        all.removed_bytes += report.removed_bytes;
        pass(HOUR).await;
    }
    all
}

#[tokio::test(start_paused = true)]
async fn a_result_goes_when_it_is_old_and_what_it_needs_a_grace_later() {
    let (store, source) = (store(), Source::new());
    let (old, new) = (source.result(&[1, 2, 3]).await, source.result(&[1, 2, 4]).await);
    let writer = source.writer(&store);
    source.publish(&writer, 1, &old).await.unwrap();
    let before = store.counts();
    pass(5 * HOUR).await;
    source.publish(&writer, 2, &new).await.unwrap();
    let report = round(&store, &POLICY).await.unwrap();
    assert_eq!((report.announced, report.removed), (0, 0), "nothing is old");
    pass(5 * HOUR).await;
    let report = round(&store, &POLICY).await.unwrap();
    assert_eq!((report.announced, report.removed), (1, 0), "{report:?}");
    pass(HOUR / 2).await;
    let report = round(&store, &POLICY).await.unwrap();
    assert_eq!(report.removed, 0);
    assert!(report.waits.unwrap() <= HOUR / 2);
    pass(HOUR / 2).await;
    let report = round(&store, &POLICY).await.unwrap();
    assert_eq!((report.results, report.removed), (1, 1));
    assert!(report.announced > 0, "what it alone needed is announced now");
    let reader = source.reader(&store);
    assert!(reader.hit(1).await.unwrap().is_none());
    reader.fetch(&old).await.unwrap();
    let gone = tombstones::evicted(&*store, &RecordName::new(Area::Result, action(1))).await.unwrap();
    assert!(gone.is_some());
    let there = tombstones::evicted(&*store, &RecordName::new(Area::Result, action(2))).await.unwrap();
    assert!(there.is_none());
    pass(HOUR).await;
    let report = round(&store, &POLICY).await.unwrap();
    assert!(report.removed >= 3 && report.removed_bytes > 40_000, "{report:?}");
    let reader = source.reader(&store);
    assert!(reader.fetch(&old).await.is_err());
    let found = reader.hit(2).await.unwrap().unwrap();
    reader.fetch(&found).await.unwrap();
    assert_eq!(store.counts(), before, "as if only this one had been stored");
}

#[tokio::test(start_paused = true)]
async fn what_is_kept_stays_however_old_it_is() {
    let (store, source) = (store(), Source::new());
    let kept = crate::KeptRecords::new(store.clone());
    kept.put("journal", Bytes::from_static(b"line")).await.unwrap();
    source.publish(&source.writer(&store), 1, &source.result(&[1, 2]).await).await.unwrap();
    pass(1000 * HOUR).await;
    let report = rounds(&store, &Policy { max_bytes: Some(0), ..POLICY }, 5).await;
    assert_eq!((report.results, store.counts()), (1, [0; 4]), "all else is gone");
    assert_eq!(kept.get("journal").await.unwrap().unwrap(), "line");
    assert!(kept.get("other").await.unwrap().is_none());
}

#[tokio::test(start_paused = true)]
async fn what_is_used_stays() {
    let (store, source) = (store(), Source::new());
    let writer = source.writer(&store);
    let mut results = Vec::new();
    for number in 0..4 {
        let result = source.result(&[number, number + 100, number + 200]).await;
        source.publish(&writer, number, &result).await.unwrap();
        results.push(result);
    }
    let runs = writer.actions.clone();
    let used = Arc::<UsedResults>::default();
    let cluster = Noting::new(Arc::new(writer.actions.clone()), Arc::clone(&used));
    for _ in 0..10 {
        pass(5 * HOUR).await;
        // One is found by runs of a pipeline, one by a cluster, and one is written again.
        runs.keep("app", &[Recalled { hour: None, ..Recalled::now(action(0), results[0].clone()) }], &[])
            .await
            .unwrap();
        assert!(cluster.get(&action(1)).await.unwrap().is_some());
        assert!(cluster.get(&action(7)).await.unwrap().is_none());
        used.write_down(&*store, "cluster").await.unwrap();
        source.publish(&writer, 2, &results[2]).await.unwrap();
        round(&store, &POLICY).await.unwrap();
    }
    let reader = source.reader(&store);
    for number in 0..3 {
        // What the run found has no hour, so the record alone keeps what it needs.
        if number > 0 {
            assert_eq!(
                reader.hit(number).await.unwrap().as_ref(),
                Some(&results[number as usize]),
                "{number}"
            );
        }
        reader.fetch(&results[number as usize]).await.unwrap();
    }
    assert!(reader.hit(3).await.unwrap().is_none());
    assert!(source.reader(&store).fetch(&results[3]).await.is_err());
    pass(10 * HOUR).await;
    rounds(&store, &POLICY, 5).await;
    assert_eq!(store.counts(), [0; 4]);
    let rest = [Area::Run, Area::Used, Area::Rescue].map(|area| store.names(Kind::Records(area)).len());
    assert_eq!(rest, [0; 3]);
}

#[tokio::test(start_paused = true)]
async fn beyond_the_bound_the_least_recently_used_goes() {
    let (store, source) = (store(), Source::new());
    let writer = source.writer(&store);
    // More than are followed at once, each of about four kilobytes.
    for number in 0..600_u64 {
        let file = source.put(random(number, 4000)).await;
        let tree = TreeRef::File { digest: file, executable: false };
        let outputs = vec![Output { path: "out".to_owned(), kind: OutputKind::Tree(tree) }];
        let result = ActionResult { outputs, ..conformance::result("") };
        source.publish(&writer, number, &result).await.unwrap();
        pass(Duration::from_secs(10)).await;
    }
    let policy = Policy { max_bytes: Some(600_000), ..POLICY };
    pass(HOUR).await;
    rounds(&store, &policy, 4).await;
    let reader = source.reader(&store);
    let mut left = Vec::new();
    for number in 0..600 {
        if reader.hit(number).await.unwrap().is_some() {
            left.push(number);
        }
    }
    assert_eq!(left, (600 - 256..600).collect::<Vec<u64>>(), "the latest, as many as are followed at once");
    let report = round(&store, &policy).await.unwrap();
    assert!(report.kept_bytes > 256 * 4000, "{report:?}");
    let policy = Policy { max_bytes: Some(2_000_000), ..POLICY };
    rounds(&store, &policy, 3).await;
    assert_eq!(store.counts()[0], 256, "no more than is needed");
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_read_or_understood_ends_a_round_and_what_is_damaged_does_not() {
    let (store, source) = (store(), Source::new());
    let result = source.result(&[1, 2, 3]).await;
    source.publish(&source.writer(&store), 1, &result).await.unwrap();
    let before = store.counts();
    let root = result.directories().next().unwrap();
    let tree = ObjectName::Record(RecordName::new(Area::Tree, root));
    let of_result = ObjectName::Record(RecordName::new(Area::Result, action(1)));
    for (name, newer) in [(tree, b"\x00\x02newer".as_slice()), (of_result, b"cac2newer")] {
        store.replace(name, newer);
        pass(20 * HOUR).await;
        for _ in 0..3 {
            assert!(round(&store, &POLICY).await.is_err());
            pass(HOUR).await;
        }
        assert_eq!(store.counts(), before);
        source.publish(&source.writer(&store), 1, &result).await.unwrap();
        let fresh = Arc::new(Store::new(2));
        source.publish(&source.writer(&fresh), 1, &result).await.unwrap();
        store.replace(name, Box::leak(fresh_bytes(&fresh, &name).await));
    }
    store.replace(tree, b"damaged");
    let report = round(&store, &POLICY).await.unwrap();
    assert_eq!(report.damaged, 1);
    rounds(&store, &POLICY, 2).await;
    let [results, trees, blobs, data] = store.counts();
    assert_eq!((results, trees, blobs, data), (1, 1, 2, 0), "what only the damaged one needed is gone");
}

async fn fresh_bytes(store: &Arc<Store>, name: &ObjectName) -> Box<[u8]> {
    let ObjectName::Record(name) = name else { return Box::default() };
    store.record(name).await.unwrap().unwrap().to_vec().into()
}

#[tokio::test(start_paused = true)]
async fn what_no_result_ever_had_stays_as_long_as_a_result_would() {
    let (store, source) = (store(), Source::new());
    let writer = source.writer(&store);
    // As a cluster stores what its runs need: a submission, and a log of megabytes of a step that failed.
    let blobs =
        [random(1, 2000), random(2, 6 << 20)].map(|bytes| (DigestFunction::Blake3.digest(&bytes), bytes));
    for (digest, bytes) in &blobs {
        writer.blobs.put(digest, bytes.clone().into()).await.unwrap();
    }
    // A step with effects leaves outputs that no result names.
    let unrecorded = source.result(&[1, 2, 3]).await;
    source.upload(&writer, &unrecorded).await.unwrap();
    // One whose directory came blob by blob is recorded all the same, unless some of it is gone.
    let (root, lacking) = (source.result(&[50, 51]).await, source.result(&[60, 61]).await);
    for (number, result, missing) in [(2, &root, 0), (3, &lacking, 1)] {
        let all = source.below(result).await;
        for digest in all.iter().skip(missing) {
            writer.blobs.put(digest, source.blobs.get(digest).await.unwrap()).await.unwrap();
        }
        let recorded = source.writer(&store).actions.put(&action(number), result).await;
        assert_eq!(recorded.is_ok(), missing == 0, "{recorded:?}");
    }
    assert!(source.reader(&store).hit(2).await.unwrap().is_some());
    // Of a result that goes for want of room, nothing stays.
    let result = source.result(&[7, 8]).await;
    source.publish(&writer, 1, &result).await.unwrap();
    // As many are followed at once.
    for number in 1000..1256 {
        pass(Duration::from_secs(1)).await;
        source.publish(&writer, number, &conformance::result("")).await.unwrap();
    }
    let tight = Policy { max_bytes: Some(1), ..POLICY };
    pass(2 * HOUR).await;
    rounds(&store, &tight, 3).await;
    let reader = source.reader(&store);
    assert!(reader.hit(1).await.unwrap().is_none());
    assert!(source.reader(&store).fetch(&result).await.is_err());
    for _ in 0..4 {
        rounds(&store, &POLICY, 1).await;
        let reader = source.reader(&store);
        for (digest, _) in &blobs {
            reader.blobs.get(digest).await.unwrap().into_bytes().unwrap();
        }
        reader.fetch(&unrecorded).await.unwrap();
    }
    pass(5 * HOUR).await;
    rounds(&store, &POLICY, 3).await;
    assert_eq!(store.counts(), [0; 4]);
}

#[tokio::test(start_paused = true)]
async fn what_a_record_says_that_it_had_before_goes_a_grace_later() {
    let (store, source) = (store(), Source::new());
    let writer = source.writer(&store);
    // Blobs that no directory has, as the packs of volumes are.
    let of = async |seeds: &[u64], earlier: &[u64]| {
        let mut blobs = Vec::new();
        for seed in seeds.iter().chain(earlier) {
            blobs.push(source.put(random(*seed, 20_000)).await);
        }
        let earlier = blobs.split_off(seeds.len());
        let kind = |blob| OutputKind::Tree(TreeRef::File { digest: blob, executable: false });
        let output = |(index, blob)| Output { path: format!("{index}"), kind: kind(blob) };
        let outputs = blobs.into_iter().enumerate().map(output).chain([released::release(earlier)]);
        ActionResult { outputs: outputs.collect(), ..conformance::result("") }
    };
    let first = of(&[1, 2, 3], &[]).await;
    source.publish(&writer, 1, &first).await.unwrap();
    pass(2 * HOUR).await;
    let second = of(&[2, 4], &[1, 3]).await;
    source.publish(&writer, 1, &second).await.unwrap();
    let report = round(&store, &POLICY).await.unwrap();
    assert_eq!((report.announced, report.removed), (2, 0), "{report:?}");
    let reader = source.reader(&store);
    reader.fetch(&first).await.unwrap();
    pass(HOUR).await;
    // Somebody needs one of them again.
    source.publish(&writer, 2, &of(&[3], &[]).await).await.unwrap();
    assert_eq!(round(&store, &POLICY).await.unwrap().removed, 1);
    let reader = source.reader(&store);
    assert!(reader.fetch(&first).await.is_err());
    for action in [1, 2] {
        let found = reader.hit(action).await.unwrap().unwrap();
        reader.fetch(&found).await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_result_that_lost_a_file_meanwhile_is_not_recorded() {
    let (store, source) = (store(), Source::new());
    let writer = source.writer(&store);
    let result = source.result(&[1, 2]).await;
    source.upload(&writer, &result).await.unwrap();
    let file = result.digests().find(|digest| digest.size() == 3000).unwrap();
    store.remove_record(&RecordName::new(Area::Blob, file)).await.unwrap();
    // What was stored just now is still there, as far as the writer knows.
    pass(HOUR).await;
    writer.actions.put(&action(1), &result).await.unwrap_err();
    assert!(source.reader(&store).actions.get(&action(1)).await.unwrap().is_none());
    source.publish(&writer, 1, &result).await.unwrap();
    assert!(source.reader(&store).hit(1).await.unwrap().is_some());
    // One that a directory of the result has is set apart.
    let root = result.directories().next().unwrap();
    let tree = source.reader(&store).blobs.tree(&root).await.unwrap().unwrap();
    let packed = tree.in_pack(0)[0];
    let named = Output {
        path: "again".to_owned(),
        kind: OutputKind::Tree(TreeRef::File { digest: packed, executable: false }),
    };
    let mut outputs = result.outputs.clone();
    outputs.push(named);
    let result = ActionResult { outputs, ..result };
    writer.actions.put(&action(2), &result).await.unwrap();
    assert!(store.has_record(&RecordName::new(Area::Blob, packed)).await.unwrap());
}
