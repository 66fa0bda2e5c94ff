//! A bucket that fails.

use super::server::{Fault, Server};
use super::*;
use crate::objects::Created;

/// What a request must not survive longer than, with all that is done again.
const PATIENT: Duration = Duration::from_secs(20);

fn cache(server: &Server) -> SharedCache {
    let options = ObjectOptions { deadline: Duration::from_millis(500), ..server.options() };
    SharedCache::open("s3://bucket/prefix", &options).unwrap()
}

fn place(server: &Server, deadline: Duration) -> Arc<Place> {
    let options = ObjectOptions { deadline, ..server.options() };
    Place::open(&"s3://bucket/prefix".parse().unwrap(), &options).unwrap()
}

const PASSING: [Fault; 9] = [
    Fault::Status(500, "InternalError", None),
    Fault::Status(503, "SlowDown", None),
    Fault::Status(429, "TooManyRequests", None),
    Fault::Status(408, "RequestTimeout", None),
    Fault::Silence,
    Fault::Slow,
    Fault::Cut,
    Fault::Short,
    Fault::Lost,
];

#[tokio::test]
async fn what_passes_leaves_no_trace_in_what_is_stored_and_read() {
    let server = Server::start().await;
    let (digest, bytes) = blob(100_000);
    let action = DigestFunction::Blake3.digest(b"action");
    for fault in PASSING {
        server.fail(fault, 2);
        let writer = cache(&server);
        writer.blobs.put(&digest, bytes.clone().into()).await.unwrap();
        server.fail(fault, 2);
        writer.actions.put(&action, &conformance::result("text")).await.unwrap();
        let reader = cache(&server);
        server.fail(fault, 2);
        let got = reader.blobs.get(&digest).await.unwrap().into_bytes().unwrap();
        assert!(got == bytes, "{fault:?}");
        server.fail(fault, 2);
        let got = reader.actions.get(&action).await.unwrap();
        assert_eq!(got, Some(conformance::result("text")), "{fault:?}");
        for path in server.files("prefix") {
            std::fs::remove_file(path).unwrap();
        }
    }
}

#[tokio::test]
async fn what_does_not_pass_is_an_error_or_a_miss_in_time() {
    let server = Server::start().await;
    let (digest, bytes) = blob(100_000);
    let action = DigestFunction::Blake3.digest(b"action");
    cache(&server).blobs.put(&digest, bytes.clone().into()).await.unwrap();
    cache(&server).actions.put(&action, &conformance::result("text")).await.unwrap();
    let refusals = [
        Fault::Status(403, "AccessDenied", None),
        Fault::Status(404, "NoSuchBucket", None),
        Fault::Status(501, "NotImplemented", None),
    ];
    for fault in PASSING.into_iter().filter(|fault| *fault != Fault::Lost).chain(refusals) {
        let cache = cache(&server);
        server.fail(fault, usize::MAX);
        let started = Instant::now();
        server.take_asked();
        let error = cache.blobs.get(&digest).await.unwrap_err();
        let asked = server.take_asked().requests;
        assert!(
            matches!(error, StoreError::Remote { .. } | StoreError::Deadline { .. }),
            "{fault:?}: {error:?}"
        );
        assert!(error.to_string().contains("s3://bucket/prefix"), "{error}");
        if refusals.contains(&fault) {
            assert_eq!(asked, 1, "{fault:?} is no better another time");
            let cause = format!("{error:?}");
            let Fault::Status(_, code, _) = fault else { unreachable!() };
            assert!(cause.contains(code), "{cause}");
        } else {
            assert!(asked <= 4, "{fault:?}: {asked}");
        }
        assert_eq!(cache.actions.get(&action).await.unwrap(), None, "{fault:?}: trouble is a miss");
        if !matches!(fault, Fault::Slow | Fault::Cut | Fault::Short) {
            let other = blob(2000);
            assert!(cache.blobs.put(&other.0, other.1.into()).await.is_err(), "{fault:?}");
        }
        assert!(started.elapsed() < PATIENT, "{fault:?}: {:?}", started.elapsed());
        server.fail(fault, 0);
        let got = cache.blobs.get(&digest).await.unwrap().into_bytes().unwrap();
        assert!(got == bytes, "{fault:?} is over");
    }
}

#[tokio::test]
async fn wrong_bytes_are_never_handed_out() {
    let server = Server::start().await;
    for len in [1000, 100_000, 6 << 20] {
        let (digest, bytes) = blob(len);
        cache(&server).blobs.put(&digest, bytes.clone().into()).await.unwrap();
        let reader = cache(&server);
        server.fail(Fault::Wrong, usize::MAX);
        let got = reader.blobs.get(&digest).await;
        assert!(got.is_err(), "{len}");
        server.fail(Fault::Wrong, 0);
        // It may have been removed: what cannot be told from damage is made again.
        let writer = cache(&server);
        writer.blobs.put(&digest, bytes.clone().into()).await.unwrap();
        let got = cache(&server).blobs.get(&digest).await.unwrap().into_bytes().unwrap();
        assert!(got == bytes, "{len}");
    }
}

#[tokio::test]
async fn a_bucket_in_trouble_is_asked_hardly_more_often() {
    let server = Server::start().await;
    let cache = cache(&server);
    server.fail(Fault::Status(503, "SlowDown", None), usize::MAX);
    server.take_asked();
    for number in 0..200 {
        assert!(cache.blobs.get(&blob(number + 1).0).await.is_err());
    }
    let asked = server.take_asked().requests;
    assert!((200..=240).contains(&asked), "{asked} requests for 200 blobs");
}

#[tokio::test]
async fn a_bucket_is_left_alone_for_as_long_as_it_says() {
    let server = Server::start().await;
    for (status, code) in [(429, "TooManyRequests"), (503, "SlowDown")] {
        let place = place(&server, Duration::from_secs(2));
        let name = place.probe(1);
        server.fail(Fault::Status(status, code, Some(1)), 1);
        let started = Instant::now();
        assert_eq!(place.create(&name, Bytes::from_static(b"x")).await.unwrap(), Created::Made);
        assert!(started.elapsed() >= Duration::from_secs(1), "{:?}", started.elapsed());
        std::fs::remove_file(server.path(name.as_ref())).unwrap();
        // Longer than the operation may take: it is not even waited for.
        server.fail(Fault::Status(status, code, Some(60)), 1);
        let started = Instant::now();
        assert!(place.create(&name, Bytes::from_static(b"x")).await.is_err());
        // And nobody else asks meanwhile.
        server.take_asked();
        let error = place.create(&place.probe(2), Bytes::from_static(b"x")).await.unwrap_err();
        assert!(format!("{error:?}").contains("asked nothing for 59 s more"), "{error:?}");
        assert_eq!(server.take_asked().requests, 0);
        assert!(started.elapsed() < Duration::from_secs(1), "{:?}", started.elapsed());
    }
}

#[tokio::test]
async fn what_a_bucket_says_to_one_holds_for_all() {
    let server = Server::start().await;
    let place = place(&server, Duration::from_secs(2));
    server.fail(Fault::Status(503, "SlowDown", Some(1)), 1);
    let started = Instant::now();
    let first = place.probe(1);
    let first = place.create(&first, Bytes::from_static(b"x"));
    let second = async {
        while server.take_asked().requests == 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        // By now it has arrived.
        tokio::time::sleep(Duration::from_millis(200)).await;
        place.create(&place.probe(2), Bytes::from_static(b"x")).await
    };
    let (first, second) = tokio::join!(first, async { (second.await, started.elapsed()) });
    assert!(first.is_ok() && second.0.is_ok());
    assert!(second.1 >= Duration::from_secs(1), "{:?}", second.1);
}

#[tokio::test]
async fn creating_is_probed_and_a_lost_answer_is_found_out() {
    let server = Server::start().await;
    let open = || place(&server, Duration::from_secs(2));
    let name = open().probe(7);
    let (one, two) = (Bytes::from_static(b"one"), Bytes::from_static(b"two"));
    server.fail(Fault::Unconditional, usize::MAX);
    assert_eq!(open().create(&name, one.clone()).await.unwrap(), Created::Unsupported);
    server.fail(Fault::Status(501, "NotImplemented", None), usize::MAX);
    assert_eq!(open().create(&name, one.clone()).await.unwrap(), Created::Unsupported);
    server.fail(Fault::Status(503, "SlowDown", None), usize::MAX);
    let place = open();
    assert!(place.create(&name, one.clone()).await.is_err(), "trouble says nothing about it");
    server.fail(Fault::Silence, 0);
    assert!(!server.path(name.as_ref()).exists());
    // The probe goes first, with both of its puts.
    assert_eq!(place.create(&open().probe(8), one.clone()).await.unwrap(), Created::Made);
    server.fail_method(Fault::Lost, 1, hyper::Method::PUT);
    assert_eq!(place.create(&name, one.clone()).await.unwrap(), Created::Made, "it was ours");
    server.fail_method(Fault::Status(500, "InternalError", None), 1, hyper::Method::PUT);
    assert_eq!(place.create(&name, two).await.unwrap(), Created::Exists);
    assert_eq!(std::fs::read(server.path(name.as_ref())).unwrap(), one);
}
