//! Servers and connections that fail.

use std::time::{Duration, Instant};

use tokio::net::TcpListener;

use super::server::{Cutting, Served, options};
use super::*;

#[tokio::test]
async fn an_upload_goes_on_where_the_connection_broke() {
    let dir = tempfile::tempdir().unwrap();
    let store = memory();
    let server = Served::start(store.clone(), &dir);
    // Each time another 6 MiB arrive: without going on, four attempts would never reach the end.
    let cuts = &[6 << 20, 6 << 20, 6 << 20, 6 << 20, 6 << 20, 6 << 20];
    let cutting = Cutting::start(server.address, cuts).await;
    let client = GrpcStore::connect(&[format!("http://{}", cutting.address)], &options(&dir)).unwrap();
    let (digest, bytes) = blob(24 << 20);
    client.put(&digest, bytes.clone().into()).await.unwrap();
    assert_eq!(store.get(&digest).await.unwrap().into_bytes().unwrap(), bytes);
}

#[tokio::test]
async fn a_read_goes_on_where_the_connection_broke() {
    let dir = tempfile::tempdir().unwrap();
    let store = memory();
    let server = Served::start(store.clone(), &dir);
    // Each time another 5 MiB arrive: without going on, four attempts would never reach the end.
    let cuts = &[5 << 20, 5 << 20, 5 << 20, 5 << 20, 5 << 20, 5 << 20];
    let cutting = Cutting::start(server.address, cuts).await;
    let client = GrpcStore::connect(&[format!("http://{}", cutting.address)], &options(&dir)).unwrap();
    let (digest, bytes) = blob(24 << 20);
    store.put(&digest, bytes.clone().into()).await.unwrap();
    assert_eq!(client.get(&digest).await.unwrap().into_bytes().unwrap(), bytes);
}

#[tokio::test]
async fn another_server_takes_over_from_a_dead_one() {
    let dir = tempfile::tempdir().unwrap();
    let store = memory();
    let (first, second) = (Served::start(store.clone(), &dir), Served::start(store.clone(), &dir));
    // The first server's connections die in the middle of the stream, and then it is gone.
    let cutting = Cutting::start(first.address, &[3 << 20]).await;
    let urls = [format!("http://{}", cutting.address), second.url()];
    let client = GrpcStore::connect(&urls, &options(&dir)).unwrap();
    let (digest, bytes) = blob(12 << 20);
    let put = client.put(&digest, bytes.clone().into());
    let die = async {
        tokio::time::sleep(Duration::from_millis(20)).await;
        drop((first, cutting));
    };
    let (put, ()) = tokio::join!(put, die);
    put.unwrap();
    assert_eq!(client.get(&digest).await.unwrap().into_bytes().unwrap(), bytes);
    let (small, bytes) = blob(10);
    client.put(&small, bytes.into()).await.unwrap();
    assert!(store.find_missing(&[small, digest]).await.unwrap().is_empty());
}

#[tokio::test]
async fn no_server_is_an_error_after_a_few_attempts() {
    let dir = tempfile::tempdir().unwrap();
    let address = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let client = GrpcStore::connect(&[format!("http://{address}")], &options(&dir)).unwrap();
    let (digest, bytes) = blob(10);
    let (large, many) = blob(5 << 20);
    for failed in [
        client.find_missing(&[digest]).await.map(drop),
        client.get(&digest).await.map(drop),
        client.put(&digest, bytes.into()).await,
        client.put(&large, many.into()).await,
    ] {
        let error = failed.unwrap_err();
        assert!(matches!(&error, StoreError::Remote { .. }), "{error:?}");
        assert!(error.to_string().contains(&address.to_string()), "{error}");
    }
}

#[tokio::test]
async fn a_server_that_says_nothing_is_given_up_at_the_deadline() {
    let dir = tempfile::tempdir().unwrap();
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = silent.local_addr().unwrap();
    let held = tokio::spawn(async move {
        let mut connections = Vec::new();
        while let Ok((connection, _)) = silent.accept().await {
            connections.push(connection);
        }
    });
    let quick = GrpcOptions { deadline: Duration::from_millis(100), retries: 1, ..options(&dir) };
    let client = GrpcStore::connect(&[format!("http://{address}")], &quick).unwrap();
    let (digest, bytes) = blob(10);
    let (large, many) = blob(20 << 20);
    let started = Instant::now();
    assert!(client.find_missing(&[digest]).await.is_err());
    assert!(client.get(&digest).await.is_err());
    assert!(client.put(&digest, bytes.into()).await.is_err());
    assert!(client.put(&large, many.into()).await.is_err());
    // Eight attempts of a tenth of a second and a few pauses, with room for a busy machine.
    assert!(started.elapsed() < Duration::from_secs(10), "{:?}", started.elapsed());
    held.abort();
}

#[tokio::test]
async fn wrong_bytes_from_a_server_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let store = memory();
    let server = Served::start(store.clone(), &dir);
    let client = server.client(&dir);
    for len in [100, 1 << 20] {
        let (digest, _) = blob(len);
        for wrong in [vec![1; len], vec![1; len - 1], vec![1; len + 1]] {
            store.damage(&digest, wrong.into());
            let refused = client.get(&digest).await;
            assert!(refused.is_err(), "{refused:?}");
        }
    }
    let spool = walk(&dir.path().join("client"));
    assert_eq!(spool, 0, "nothing stays on the way");
}

/// Files below a directory.
fn walk(dir: &std::path::Path) -> usize {
    std::fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .map(|path| if path.is_dir() { walk(&path) } else { 1 })
        .sum()
}
