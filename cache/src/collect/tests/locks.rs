//! One collector at a time.

use super::lock::{Lock, SILENCE};
use super::*;
use crate::Area;
use crate::objects::Kind;

async fn take(store: &Arc<Store>) -> Result<Lock, StoreError> {
    Lock::take(store.clone(), Arc::new(Ticks)).await
}

fn why(error: &StoreError) -> String {
    std::error::Error::source(error).map(ToString::to_string).unwrap_or_default()
}

#[tokio::test(start_paused = true)]
async fn of_several_who_begin_at_once_one_collects() {
    for seed in 0..50 {
        let store = Arc::new(Store::new(seed));
        *store.slow.lock().unwrap() = Duration::from_secs(2);
        let taken = futures_util::future::join_all((0..4).map(|_| take(&store))).await;
        let holders: Vec<&Lock> = taken.iter().filter_map(|taken| taken.as_ref().ok()).collect();
        assert_eq!(holders.len(), 1, "seed {seed}");
        assert!(take(&store).await.is_err(), "seed {seed}: it is held");
    }
}

#[tokio::test(start_paused = true)]
async fn who_lets_go_is_followed_at_once_and_who_is_silent_when_that_is_long() {
    let store = Arc::new(Store::new(1));
    take(&store).await.unwrap().release(false).await;
    let lock = take(&store).await.unwrap();
    lock.put(&state::state_name(), Bytes::new()).await.unwrap();
    lock.release(true).await;
    let error = take(&store).await.unwrap_err();
    assert!(why(&error).contains("another one collects"), "{error:?}");
    tokio::time::sleep(SILENCE - Duration::from_secs(5)).await;
    assert!(take(&store).await.is_err());
    tokio::time::sleep(Duration::from_secs(10)).await;
    let lock = take(&store).await.unwrap();
    // One that shows itself is there however long it takes.
    let shown = tokio::time::timeout(5 * SILENCE, lock.stay()).await;
    assert!(shown.is_err() && take(&store).await.is_err());
    assert!(store.names(Kind::Records(Area::Lock)).len() <= 3, "old ones are removed");
}

#[tokio::test(start_paused = true)]
async fn a_holder_that_was_stopped_for_long_changes_nothing() {
    let store = Arc::new(Store::new(1));
    let stopped = take(&store).await.unwrap();
    let name = state::state_name();
    stopped.put(&name, Bytes::from_static(b"one")).await.unwrap();
    tokio::time::sleep(SILENCE + Duration::from_secs(10)).await;
    let other = take(&store).await.unwrap();
    other.put(&name, Bytes::from_static(b"two")).await.unwrap();
    let error = stopped.put(&name, Bytes::from_static(b"three")).await.unwrap_err();
    assert!(why(&error).contains("taken over"), "{error:?}");
    assert!(stopped.remove(&[crate::ObjectName::Record(name)]).await.is_err());
    assert_eq!(store.record(&name).await.unwrap().unwrap(), "two");
    other.put(&name, Bytes::from_static(b"four")).await.unwrap();
}

/// A request that is late is not begun: what was seen before is old by then.
#[tokio::test(start_paused = true)]
async fn what_was_looked_up_is_not_trusted_for_long() {
    let store = Arc::new(Store::new(3));
    let lock = take(&store).await.unwrap();
    *store.slow.lock().unwrap() = Duration::from_secs(5000);
    let mut late = 0;
    for _ in 0..20 {
        let put = lock.put(&state::state_name(), Bytes::new()).await;
        late += usize::from(put.is_err_and(|error| why(&error).contains("not known")));
    }
    assert!(late > 5, "{late}");
}

#[tokio::test(start_paused = true)]
async fn a_store_without_conditional_writes_is_refused() {
    let mut store = Store::new(1);
    store.is_conditional = false;
    let store = Arc::new(store);
    let error = round(&store, &POLICY).await.unwrap_err();
    assert!(why(&error).contains("If-None-Match"), "{error:?}");
}

#[tokio::test(start_paused = true)]
async fn two_who_collect_at_once_do_it_once() {
    let (store, source) = (Arc::new(Store::new(1)), Source::new());
    source.publish(&source.writer(&store), 1, &source.result(&[1, 2, 3]).await).await.unwrap();
    tokio::time::sleep(10 * HOUR).await;
    *store.slow.lock().unwrap() = Duration::from_secs(3);
    let both = tokio::join!(round(&store, &POLICY), round(&store, &POLICY));
    assert!(both.0.is_ok() != both.1.is_ok(), "{both:?}");
}
