//! Registries that fail and refuse.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use cullet_cache::StoreError;
use cullet_digest::DigestFunction;
use cullet_image::{Credentials, Registries, RegistryOptions};

use crate::stub::{Fault, Request, Stub};
use crate::support::{chain, name, open};

/// A registry that has nothing.
fn stub(script: impl Fn(&Request, usize) -> Fault + Send + Sync + 'static) -> Stub {
    Stub::new(std::path::Path::new("/nonexistent"), script)
}

#[tokio::test]
async fn a_registry_says_when_to_come_back() {
    let stub = stub(|_, count| match count {
        1 => Fault::Answer(429, vec![("Retry-After", "1".to_owned())], Vec::new()),
        _ => Fault::None,
    });
    let objects = open(&stub.address.to_string(), "team/cache");
    let start = Instant::now();
    assert_eq!(objects.record(&name("a")).await.unwrap(), None, "it is not there (404)");
    assert!(start.elapsed() >= Duration::from_secs(1));
    assert_eq!(stub.requests().len(), 2, "a lookup is one request");
}

#[tokio::test]
async fn a_registry_that_fails_is_asked_a_few_times_and_named() {
    let stub = stub(|_, _| Fault::status(500));
    let objects = open(&stub.address.to_string(), "team/cache");
    let data = DigestFunction::Sha256.digest(b"data");
    let mut errors = vec![objects.record(&name("a")).await.unwrap_err()];
    assert_eq!(stub.requests().len(), 4, "one attempt and three retries");
    errors.push(objects.has_record(&name("a")).await.unwrap_err());
    errors.push(objects.put_record(&name("a"), "a".into(), &[]).await.unwrap_err());
    errors.push(objects.remove_record(&name("a")).await.unwrap_err());
    errors.push(objects.data(&data).await.unwrap_err());
    errors.push(objects.has_data(&data).await.unwrap_err());
    errors.push(objects.put_data(&data, "data".into()).await.unwrap_err());
    errors.push(objects.remove_data(&data).await.unwrap_err());
    for error in errors {
        assert!(matches!(error, StoreError::Remote { .. }), "{error:?}");
        let text = chain(&error);
        assert!(text.contains(&format!("oci://{}/team/cache", stub.address)), "{text}");
        assert!(text.contains("status 500"), "{text}");
    }
}

#[tokio::test]
async fn a_refused_login_is_said_without_the_password() {
    let stub = stub(|_, _| {
        Fault::Answer(401, vec![("WWW-Authenticate", "Basic realm=\"test\"".to_owned())], Vec::new())
    });
    let address = stub.address.to_string();
    let users = BTreeMap::from([(address.clone(), ("user".to_owned(), "word-of-the-user".to_owned()))]);
    let options = RegistryOptions { credentials: Credentials::Fixed(users), ..RegistryOptions::default() };
    let registries = Registries::new(options).unwrap();
    let objects = cullet_cache_registry::open(&format!("oci://{address}/team/cache"), &registries).unwrap();
    let error = objects.record(&name("a")).await.unwrap_err();
    let text = format!("{} {error:?} {objects:?}", chain(&error));
    assert!(text.contains("does not accept the login of `user`"), "{text}");
    assert!(!text.contains("word-of-the-user") && !text.contains("d29yZC1vZi10aGUtdXNlcg"), "{text}");
    assert_eq!(stub.requests().len(), 2, "a refusal does not pass");
}

#[tokio::test]
async fn whoever_reads_and_writes_in_turn_keeps_both_tokens() {
    let token = Fault::Answer(200, Vec::new(), br#"{"token":"abc"}"#.to_vec());
    let stub = stub(move |request, _| {
        if request.path.starts_with("/token") {
            return token.clone();
        }
        if request.headers.contains_key("authorization") {
            // Everything is there and accepted, and nothing is a record.
            return Fault::Answer(200, Vec::new(), b"{}".to_vec());
        }
        let host = request.headers.get("host").cloned().unwrap_or_default();
        Fault::Answer(
            401,
            vec![("WWW-Authenticate", format!("Bearer realm=\"http://{host}/token\""))],
            vec![],
        )
    });
    let objects = open(&stub.address.to_string(), "team/cache");
    for _ in 0..3 {
        assert_eq!(objects.record(&name("a")).await.unwrap(), None);
        objects.put_record(&name("a"), "a".into(), &[]).await.unwrap();
    }
    let tokens = stub.requests().iter().filter(|request| request.path.starts_with("/token")).count();
    assert_eq!(tokens, 2, "one to read and one to write");
}
