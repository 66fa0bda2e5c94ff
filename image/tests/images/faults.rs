//! Registries that fail, refuse, and lie.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use cullet_image::{
    Credentials, ImageError, Reference, Registries, RegistryOptions, RegistryProblem, Resolved, Store,
    StoreOptions, resolve,
};

use crate::made::{Made, amd64, chain, is_emptied, names};
use crate::stub::{Fault, Request, Stub};

const SIZE: usize = 5 << 20;

fn quick() -> RegistryOptions {
    RegistryOptions { pause: Duration::from_millis(5), retries: 3, ..RegistryOptions::default() }
}

async fn find(stub: &Stub, options: RegistryOptions) -> Result<Resolved, ImageError> {
    let reference: Reference = stub.reference(":1").parse().unwrap();
    resolve(&reference, &amd64(), &Registries::new(options).unwrap()).await
}

/// Pulls everything into a store, which is checked afterwards.
async fn pull(stub: &Stub, options: RegistryOptions) -> Result<(), ImageError> {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path(), StoreOptions::default()).unwrap();
    let image = find(stub, options).await?;
    let layers = store.pull(&image).await;
    is_emptied(&dir.path().join("unpacking")).await;
    let layers = layers?;
    assert_eq!(std::fs::read_to_string(layers[0].tree.join("etc/os")).unwrap(), "test");
    assert_eq!(std::fs::metadata(layers[1].tree.join("data")).unwrap().len(), SIZE as u64);
    assert_eq!(names(&dir.path().join("partial")), Vec::<String>::new());
    Ok(())
}

#[track_caller]
fn problem(error: &ImageError) -> &RegistryProblem {
    let ImageError::Registry(error) = error else { panic!("{error:?}") };
    &error.problem
}

/// What a registry does to the second layer only.
fn on_data(fault: impl Fn(usize) -> Fault + Send + Sync + 'static) -> (Made, Stub) {
    let (made, image) = Made::image("1", SIZE);
    let data = image.blobs[2].0.digest.to_string();
    let script = move |request: &Request, count| {
        if request.path.ends_with(&data) { fault(count) } else { Fault::None }
    };
    let stub = Stub::new(&made.layout(), script);
    (made, stub)
}

#[tokio::test]
async fn refusals_name_the_place_and_say_what_to_do() {
    let (made, _) = Made::image("1", 10);
    for (status, says) in
        [(401, "cullet login"), (403, "ask for access"), (404, "check the name and the tag")]
    {
        let body = br#"{"errors":[{"code":"X","message":"because\u001b[31m of you"}]}"#.to_vec();
        let stub = Stub::new(&made.layout(), move |_, _| Fault::Answer(status, Vec::new(), body.clone()));
        let text = chain(&find(&stub, quick()).await.unwrap_err());
        for part in [
            says,
            "team/app",
            "manifest 1",
            &stub.address.to_string(),
            &status.to_string(),
            "because[31m of you",
        ] {
            assert!(text.contains(part), "{text}");
        }
        assert_eq!(stub.requests().len(), 1, "{status} does not pass");
    }
}

#[tokio::test]
async fn failures_that_may_pass_are_tried_again_within_bounds() {
    for status in [408, 429, 500, 502, 503, 504] {
        let (_made, stub) = on_data(move |count| if count < 3 { Fault::status(status) } else { Fault::None });
        pull(&stub, quick()).await.unwrap_or_else(|error| panic!("{status}: {}", chain(&error)));
        let (_made, stub) = on_data(move |_| Fault::status(status));
        let error = pull(&stub, quick()).await.unwrap_err();
        assert!(chain(&error).contains(&status.to_string()), "{}", chain(&error));
        assert_eq!(stub.blob_requests(), 4 + 2, "one attempt and three retries, and the other two blobs");
    }
}

#[tokio::test]
async fn a_registry_says_when_to_come_back() {
    let after = |value: &'static str| {
        on_data(move |count| match count {
            1 => Fault::Answer(429, vec![("Retry-After", value.to_owned())], Vec::new()),
            _ => Fault::None,
        })
    };
    let (_made, stub) = after("1");
    let start = Instant::now();
    pull(&stub, quick()).await.unwrap();
    assert!(start.elapsed() >= Duration::from_secs(1));
    let (_made, stub) = after("Sun, 06 Nov 1994 08:49:37 GMT");
    pull(&stub, quick()).await.unwrap();
    let (_made, stub) = after("3600");
    let error = pull(&stub, quick()).await.unwrap_err();
    assert!(matches!(problem(&error), RegistryProblem::Limited { after_s: Some(3600), .. }));
    assert!(chain(&error).contains("try again in 3600 seconds"), "{}", chain(&error));
}

#[tokio::test]
async fn a_cut_connection_is_resumed() {
    let (_made, stub) = on_data(|count| if count < 4 { Fault::Cut(SIZE / 4) } else { Fault::None });
    pull(&stub, RegistryOptions { retries: 1, ..quick() }).await.unwrap();
    let ranges: Vec<_> =
        stub.requests().iter().filter_map(|request| request.headers.get("range").cloned()).collect();
    let quarter = SIZE / 4;
    assert_eq!(
        ranges,
        [1, 2, 3].map(|part| format!("bytes={}-", part * quarter)),
        "with progress, there are more retries"
    );
}

#[tokio::test]
async fn without_ranges_it_begins_again_and_ends_some_time() {
    let (_made, stub) = on_data(|count| if count < 3 { Fault::Cut(SIZE / 2) } else { Fault::NoRange });
    pull(&stub, quick()).await.unwrap();
    let (_made, stub) = on_data(|_| Fault::NoRangeCut(SIZE / 2));
    let error = pull(&stub, quick()).await.unwrap_err();
    assert!(
        matches!(problem(&error), RegistryProblem::Unreachable { .. } | RegistryProblem::Cut { .. }),
        "{error:?}"
    );
    assert!(stub.blob_requests() < 12, "{}", stub.blob_requests());
    let (_made, stub) = on_data(|_| Fault::Cut(10));
    assert!(pull(&stub, quick()).await.is_err());
    assert_eq!(stub.blob_requests(), 4 + 2, "ten bytes are no progress");
}

#[tokio::test]
async fn other_bytes_are_not_taken() {
    let (_made, stub) = on_data(|_| Fault::Wrong);
    assert!(matches!(problem(&pull(&stub, quick()).await.unwrap_err()), RegistryProblem::Damaged { .. }));
    let (_made, stub) = on_data(|_| Fault::Longer);
    assert!(matches!(problem(&pull(&stub, quick()).await.unwrap_err()), RegistryProblem::TooLong { .. }));
    let (made, image) = Made::image("1", 10);
    let config = image.blobs[0].0.digest.to_string();
    for fault in [Fault::Wrong, Fault::Longer, Fault::Cut(3)] {
        let (config, fault) = (config.clone(), fault.clone());
        let stub = Stub::new(&made.layout(), move |request, _| {
            if request.path.ends_with(&config) { fault.clone() } else { Fault::None }
        });
        assert!(matches!(find(&stub, quick()).await, Err(ImageError::Registry(_))));
    }
    let stub = Stub::new(&made.layout(), |_, _| Fault::Answer(200, Vec::new(), b"<html>".to_vec()));
    assert!(matches!(problem(&find(&stub, quick()).await.unwrap_err()), RegistryProblem::Answer { .. }));
    let stub = Stub::new(&made.layout(), |_, _| Fault::Answer(200, Vec::new(), vec![b' '; 5 << 20]));
    assert!(matches!(problem(&find(&stub, quick()).await.unwrap_err()), RegistryProblem::TooLong { .. }));
    let digest = format!("sha256:{}", "0".repeat(64));
    let stub = Stub::new(&made.layout(), move |request, _| {
        let headers = vec![("Docker-Content-Digest", digest.clone())];
        if request.is_blob() { Fault::None } else { Fault::Answer(200, headers, b"{}".to_vec()) }
    });
    assert!(matches!(problem(&find(&stub, quick()).await.unwrap_err()), RegistryProblem::Damaged { .. }));
}

#[tokio::test]
async fn a_part_that_is_damaged_on_the_disk_is_fetched_anew() {
    let (_made, stub) = on_data(|_| Fault::None);
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path(), StoreOptions::default()).unwrap();
    let image = find(&stub, quick()).await.unwrap();
    let hex = image.layers[1].blob.digest.hex();
    for part in [vec![7; 1000], vec![7; image.layers[1].blob.size as usize], vec![7; SIZE * 2]] {
        let _gone = std::fs::remove_file(dir.path().join("blobs/sha256").join(&hex));
        std::fs::write(dir.path().join("partial").join(&hex), part).unwrap();
        store.blob(&image, &image.layers[1].blob).await.unwrap();
    }
    assert_eq!(stub.requests().iter().filter(|request| request.headers.contains_key("range")).count(), 1);
}

#[tokio::test]
async fn a_token_is_fetched_once_and_again_when_it_has_expired() {
    let (made, _) = Made::image("1", SIZE);
    let port = std::sync::Arc::new(std::sync::OnceLock::new());
    let known = std::sync::Arc::clone(&port);
    let stub = Stub::new(&made.layout(), move |request, count| {
        let authorization = request.headers.get("authorization").map_or("", String::as_str);
        if request.path.starts_with("/token") {
            // `user:secret`.
            let good = authorization == "Basic dXNlcjpzZWNyZXQ="
                && request.path.contains("scope=repository%3Ateam%2Fapp%3Apull");
            let token = format!(r#"{{"token":"t{count}","expires_in":1}}"#).into_bytes();
            return if good { Fault::Answer(200, Vec::new(), token) } else { Fault::status(401) };
        }
        // The first token is good for the manifest only.
        let good = authorization == "Bearer t2" || (authorization == "Bearer t1" && !request.is_blob());
        let realm = format!(r#"Bearer realm="http://{}/token",service="s""#, known.get().unwrap());
        if good { Fault::None } else { Fault::Answer(401, vec![("WWW-Authenticate", realm)], Vec::new()) }
    });
    port.set(stub.address).unwrap();
    let users = BTreeMap::from([(stub.address.to_string(), ("user".to_owned(), "secret".to_owned()))]);
    pull(&stub, RegistryOptions { credentials: Credentials::Fixed(users), ..quick() }).await.unwrap();
    let tokens = stub.requests().iter().filter(|request| request.path.starts_with("/token")).count();
    assert!((2..=3).contains(&tokens), "{tokens}");
    let error = find(&stub, quick()).await.unwrap_err();
    assert!(matches!(problem(&error), RegistryProblem::Unauthorized { who: None, .. }), "{error:?}");
    let users = BTreeMap::from([(stub.address.to_string(), ("mallory".to_owned(), "secret".to_owned()))]);
    let error =
        find(&stub, RegistryOptions { credentials: Credentials::Fixed(users), ..quick() }).await.unwrap_err();
    assert!(
        chain(&error).contains("login of `mallory`") && !chain(&error).contains("secret"),
        "{}",
        chain(&error)
    );
}

#[tokio::test]
async fn credentials_stay_with_the_registry() {
    let (made, _) = Made::image("1", SIZE);
    let storage = Stub::new(&made.layout(), |_, _| Fault::None);
    let place = storage.address;
    let stub = Stub::new(&made.layout(), move |request, _| {
        if !request.headers.contains_key("authorization") {
            return Fault::Answer(
                401,
                vec![("WWW-Authenticate", "Basic realm=\"x\"".to_owned())],
                Vec::new(),
            );
        }
        // Another host by name, so that it is another origin.
        let location = format!("http://localhost:{}{}", place.port(), request.path);
        if request.is_blob() {
            Fault::Answer(307, vec![("Location", location)], Vec::new())
        } else {
            Fault::None
        }
    });
    let users = BTreeMap::from([(stub.address.to_string(), ("user".to_owned(), "secret".to_owned()))]);
    pull(&stub, RegistryOptions { credentials: Credentials::Fixed(users), ..quick() }).await.unwrap();
    assert!(storage.requests().len() >= 3);
    assert!(storage.requests().iter().all(|request| !request.headers.contains_key("authorization")));
}

#[tokio::test]
async fn mirrors_come_first_and_their_failures_are_forgiven() {
    let (made, _) = Made::image("1", SIZE);
    let origin = Stub::new(&made.layout(), |_, _| Fault::None);
    for fault in [Fault::status(500), Fault::status(404), Fault::Wrong, Fault::Cut(5), Fault::status(401)] {
        let mirror = Stub::new(&made.layout(), move |_, _| fault.clone());
        let bases = vec!["http://127.0.0.1:1".to_owned(), format!("http://{}", mirror.address)];
        let mirrors = BTreeMap::from([(origin.address.to_string(), bases)]);
        pull(&origin, RegistryOptions { mirrors, ..quick() }).await.unwrap();
        assert!(!mirror.requests().is_empty());
    }
    let before = origin.requests().len();
    let mirror = Stub::new(&made.layout(), |_, _| Fault::None);
    let mirrors = BTreeMap::from([(origin.address.to_string(), vec![format!("http://{}", mirror.address)])]);
    pull(&origin, RegistryOptions { mirrors, ..quick() }).await.unwrap();
    assert_eq!(origin.requests().len(), before, "the mirror had everything");
}

#[tokio::test]
async fn nobody_there_is_said() {
    let reference: Reference = "127.0.0.1:1/app".parse().unwrap();
    let registries = Registries::new(RegistryOptions { retries: 1, ..quick() }).unwrap();
    let error = resolve(&reference, &amd64(), &registries).await.unwrap_err();
    assert!(matches!(problem(&error), RegistryProblem::Unreachable { .. }));
    assert!(chain(&error).contains("127.0.0.1:1/app: manifest latest: no answer"), "{}", chain(&error));
}
