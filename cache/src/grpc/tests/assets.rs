//! Assets: what is known by where it came from.

use cullet_proto::asset::service::fetch_client::FetchClient;
use cullet_proto::asset::service::push_client::PushClient;
use cullet_proto::asset::{FetchRequest, PushRequest, PushResponse, Qualifier};
use cullet_proto::reapi;
use prost_types::Timestamp;
use tonic::{Code, Response};

use super::results::Api;
use super::*;

fn qualifier(name: &str, value: &str) -> Qualifier {
    Qualifier { name: name.to_owned(), value: value.to_owned() }
}

fn asked(uris: &[&str], qualifiers: &[Qualifier]) -> FetchRequest {
    let uris = uris.iter().map(|uri| (*uri).to_owned()).collect();
    FetchRequest { uris, qualifiers: qualifiers.to_vec(), ..FetchRequest::default() }
}

fn pushing(uris: &[&str], qualifiers: &[Qualifier], digest: &reapi::Digest) -> PushRequest {
    let uris = uris.iter().map(|uri| (*uri).to_owned()).collect();
    let digest = Some(digest.clone());
    PushRequest { uris, qualifiers: qualifiers.to_vec(), digest, ..PushRequest::default() }
}

#[tokio::test]
async fn what_was_pushed_is_found_where_it_was_said_to_be() {
    let api = Api::start().await;
    let (mut push, mut fetch) = (PushClient::new(api.channel()), FetchClient::new(api.channel()));
    let blob = api.store("content").await;
    let said = [qualifier("vcs.branch", "main"), qualifier("resource_type", "x")];
    push.push_blob(pushing(&["https://a/x", "https://b/x"], &said, &blob)).await.unwrap();
    let reversed = [said[1].clone(), said[0].clone()];
    let found =
        fetch.fetch_blob(asked(&["https://nowhere", "https://b/x"], &reversed)).await.unwrap().into_inner();
    assert_eq!(
        (found.uri.as_str(), found.digest, found.digest_function),
        ("https://b/x", Some(blob.clone()), 1)
    );
    assert_eq!(
        (found.status.unwrap().code, found.qualifiers, found.expires_at),
        (0, reversed.to_vec(), None)
    );
    // Something else was said, or asked for, or in another function.
    let other = FetchRequest { digest_function: 9, ..asked(&["https://b/x"], &said) };
    for request in [asked(&["https://b/x"], &said[..1]), asked(&["https://c/x"], &said), other] {
        let found = fetch.fetch_blob(request).await.unwrap().into_inner();
        assert_eq!((found.status.unwrap().code, found.digest), (Code::NotFound as i32, None));
    }
    let found = fetch.fetch_directory(asked(&["https://b/x"], &said)).await.unwrap().into_inner();
    assert_eq!(found.status.unwrap().code, Code::NotFound as i32);
    // Not without its content.
    api.blobs.remove(&DigestFunction::Sha256.digest(b"content"));
    let found = fetch.fetch_blob(asked(&["https://a/x"], &said)).await.unwrap().into_inner();
    assert_eq!(found.status.unwrap().code, Code::NotFound as i32);
}

#[tokio::test]
async fn what_is_too_old_or_has_expired_is_not_found() {
    let api = Api::start().await;
    let (mut push, mut fetch) = (PushClient::new(api.channel()), FetchClient::new(api.channel()));
    let blob = api.store("content").await;
    let at = |seconds| Some(Timestamp { seconds, nanos: 0 });
    push.push_blob(PushRequest { expire_at: at(1), ..pushing(&["past"], &[], &blob) }).await.unwrap();
    push.push_blob(PushRequest { expire_at: at(9_999_999_999), ..pushing(&["future"], &[], &blob) })
        .await
        .unwrap();
    let found = fetch.fetch_blob(asked(&["past", "future"], &[])).await.unwrap().into_inner();
    assert_eq!((found.uri.as_str(), found.expires_at), ("future", at(9_999_999_999)));
    let later = FetchRequest { oldest_content_accepted: at(9_999_999_999), ..asked(&["future"], &[]) };
    let found = fetch.fetch_blob(later).await.unwrap().into_inner();
    assert_eq!(found.status.unwrap().code, Code::NotFound as i32);
}

#[tokio::test]
async fn what_is_not_there_is_not_pushed_and_who_may_not_write_pushes_nothing() {
    let api = Api::start().await;
    let mut push = PushClient::new(api.channel());
    let gone = wire::to_wire(&DigestFunction::Sha256.digest(b"gone"));
    let blob = api.store("content").await;
    let code = |answer: Result<Response<PushResponse>, tonic::Status>| answer.unwrap_err().code();
    assert_eq!(code(push.push_blob(pushing(&["x"], &[], &gone)).await), Code::FailedPrecondition);
    let refers = PushRequest { references_blobs: vec![gone.clone()], ..pushing(&["x"], &[], &blob) };
    assert_eq!(code(push.push_blob(refers).await), Code::FailedPrecondition);
    assert_eq!(code(push.push_blob(pushing(&[], &[], &blob)).await), Code::InvalidArgument);
    let nothing = PushRequest { digest: None, ..pushing(&["x"], &[], &blob) };
    assert_eq!(code(push.push_blob(nothing).await), Code::InvalidArgument);
    let reader = PushRequest { instance_name: "read".to_owned(), ..pushing(&["x"], &[], &blob) };
    assert_eq!(code(push.push_blob(reader).await), Code::PermissionDenied);
}
