//! A collector that dies at each of its requests, and another one that goes on.

use std::sync::atomic::Ordering;

use super::*;
use crate::Area;
use crate::objects::Kind;

/// A store in which one result is over and others share some of what it needs, and in which a list is announced.
async fn announced() -> (Arc<Store>, Source, Vec<ActionResult>) {
    let (store, source) = (Arc::new(Store::new(1)), Source::new());
    let writer = source.writer(&store);
    let mut results = Vec::new();
    for seeds in [[1, 2, 3], [1, 2, 4], [5, 6, 7]] {
        results.push(source.result(&seeds).await);
    }
    // Two that are over by now, one of which has left what it needed.
    source.publish(&writer, 0, &results[0]).await.unwrap();
    source.upload(&writer, &results[2]).await.unwrap();
    tokio::time::sleep(10 * HOUR).await;
    source.publish(&writer, 1, &results[1]).await.unwrap();
    assert!(round(&store, &POLICY).await.unwrap().announced > 2);
    tokio::time::sleep(HOUR).await;
    (store, source, results)
}

#[tokio::test(start_paused = true)]
async fn whatever_request_is_the_last_another_collector_goes_on() {
    let mut cuts = 0;
    loop {
        let (store, source, results) = announced().await;
        // Somebody needs what is announced, and has not said so with a result yet.
        let writer = source.writer(&store);
        source.upload(&writer, &results[2]).await.unwrap();
        let before = store.requests.load(Ordering::Relaxed);
        store.cut_at.store(before + cuts, Ordering::Relaxed);
        let outcome = round(&store, &POLICY).await;
        store.cut_at.store(usize::MAX, Ordering::Relaxed);
        store.check();
        // The lock may be held for a while.
        tokio::time::sleep(Duration::from_secs(10)).await;
        if round(&store, &POLICY).await.is_err() {
            tokio::time::sleep(lock::SILENCE + Duration::from_secs(10)).await;
            round(&store, &POLICY).await.unwrap();
        }
        writer.actions.put(&action(2), &results[2]).await.unwrap();
        store.check();
        let reader = source.reader(&store);
        for number in [1, 2] {
            let found = reader.hit(number).await.unwrap().unwrap();
            reader.fetch(&found).await.unwrap();
        }
        assert!(reader.hit(0).await.unwrap().is_none(), "{cuts}");
        for _ in 0..2 {
            tokio::time::sleep(HOUR).await;
            round(&store, &POLICY).await.unwrap();
            store.check();
        }
        assert!(
            source.reader(&store).fetch(&results[0]).await.is_err(),
            "{cuts}: it is collected in the end"
        );
        assert!(store.names(Kind::Records(Area::Rescue)).is_empty(), "{cuts}");
        if outcome.is_ok() {
            break;
        }
        cuts += 1;
    }
    assert!(cuts > 30, "{cuts}");
}
