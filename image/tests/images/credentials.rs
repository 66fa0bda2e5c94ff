//! Who gets to see credentials.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use cullet_image::{
    Credentials, ImageError, Reference, Registries, RegistryOptions, RegistryProblem, Store, StoreOptions,
    resolve,
};

use crate::made::{Made, amd64, chain};
use crate::stub::{Fault, Stub};

/// For every registry of this machine that is named in it, `user:secret` or an identity token.
fn options(credentials: Credentials) -> RegistryOptions {
    RegistryOptions { credentials, pause: Duration::from_millis(5), retries: 2, ..RegistryOptions::default() }
}

fn user_of(stub: &Stub) -> Credentials {
    let user = ("user".to_owned(), "secret".to_owned());
    Credentials::Fixed(BTreeMap::from([(stub.address.to_string(), user)]))
}

async fn pull(stub: &Stub, credentials: Credentials) -> Result<(), ImageError> {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path(), StoreOptions::default()).unwrap();
    let reference: Reference = stub.reference(":1").parse().unwrap();
    let image = resolve(&reference, &amd64(), &Registries::new(options(credentials)).unwrap()).await?;
    store.pull(&image).await.map(drop)
}

/// Takes whatever is sent to it and gives a token for it.
fn thief() -> Stub {
    let token = || Fault::Answer(200, Vec::new(), br#"{"token":"t"}"#.to_vec());
    Stub::new(std::path::Path::new("/nowhere"), move |_, _| token())
}

fn challenge(realm: &str) -> Fault {
    Fault::Answer(401, vec![("WWW-Authenticate", realm.to_owned())], Vec::new())
}

#[tokio::test]
async fn a_storage_cannot_ask_for_credentials() {
    let (made, _) = Made::image("1", 10);
    // Another port, and another name besides.
    for host in ["127.0.0.1", "localhost"] {
        for scheme in ["Bearer", "Basic"] {
            let thief = thief();
            let realm = format!(r#"{scheme} realm="http://{host}:{}/t",service="s""#, thief.address.port());
            let storage = Stub::new(&made.layout(), move |_, _| challenge(&realm));
            let port = storage.address.port();
            let stub = Stub::new(&made.layout(), move |request, _| {
                let location = format!("http://{host}:{port}{}", request.path);
                if request.is_blob() {
                    Fault::Answer(307, vec![("Location", location)], Vec::new())
                } else {
                    Fault::None
                }
            });
            let error = pull(&stub, user_of(&stub)).await.unwrap_err();
            assert_eq!(thief.requests().len(), 0, "{:?}", thief.requests());
            let shown = |stub: &Stub| {
                stub.requests().iter().filter(|request| request.headers.contains_key("authorization")).count()
            };
            assert_eq!((shown(&storage), shown(&stub)), (0, 0), "nobody who may ask has asked");
            let text = chain(&error);
            assert!(text.contains(host) && text.contains("a login of its own (401)"), "{text}");
        }
    }
}

#[tokio::test]
async fn a_token_is_not_fetched_behind_a_redirect() {
    let (made, _) = Made::image("1", 10);
    let dir = tempfile::tempdir().unwrap();
    let identity = dir.path().join("config.json");
    for by_identity in [false, true] {
        let thief = thief();
        let location = format!("http://localhost:{}/t", thief.address.port());
        let own = Arc::new(OnceLock::new());
        let known = Arc::clone(&own);
        let stub = Stub::new(&made.layout(), move |request, _| {
            if request.path.starts_with("/token") {
                return Fault::Answer(307, vec![("Location", location.clone())], Vec::new());
            }
            challenge(&format!(r#"Bearer realm="http://{}/token",service="s""#, known.get().unwrap()))
        });
        own.set(stub.address).unwrap();
        let login = format!(r#"{{"auths":{{"{}":{{"identitytoken":"precious"}}}}}}"#, stub.address);
        std::fs::write(&identity, login).unwrap();
        let credentials =
            if by_identity { Credentials::DockerConfig(identity.clone()) } else { user_of(&stub) };
        let error = pull(&stub, credentials).await.unwrap_err();
        let asked: Vec<_> =
            stub.requests().into_iter().filter(|request| request.path.starts_with("/token")).collect();
        assert_eq!((asked.len(), asked[0].body.contains("precious")), (1, by_identity), "{asked:?}");
        assert_eq!(thief.requests().len(), 0, "{:?}", thief.requests());
        let ImageError::Registry(at) = &error else { panic!("{error:?}") };
        assert!(matches!(*at.problem, RegistryProblem::Answer { .. }), "{error:?}");
        assert!(chain(&error).contains("sends on to elsewhere"), "{}", chain(&error));
    }
}
