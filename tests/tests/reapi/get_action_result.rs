//! `ActionCache.GetActionResult`.

use bytes::Bytes;
use cullet_proto::reapi::results::GetActionResultRequest;
use cullet_proto::reapi::{ActionResult, OutputFile};
use tonic::{Code, Status};

use super::api::{Api, refused};
use super::blobs::{BLAKE3, Blob, SHA256};
use super::differences::Difference;
use super::find_missing_blobs::no_digests;
use super::servers::of_caches;
use super::update_action_result::{file, update};

/// The usual question about an Action.
pub(crate) fn about(action: &Blob) -> GetActionResultRequest {
    GetActionResultRequest {
        action_digest: Some(action.digest.clone()),
        digest_function: action.function.number,
        ..GetActionResultRequest::default()
    }
}

/// What the cache has of an Action.
pub(crate) async fn get(api: &Api, request: GetActionResultRequest) -> Result<ActionResult, Status> {
    Ok(api.results().get_action_result(request).await?.into_inner())
}

/// `ActionCache.GetActionResult`: an Action without a result is `NOT_FOUND`, whether there is such an Action or not.
#[test]
fn what_was_not_stored_is_not_found() {
    of_caches(async |api| {
        for function in api.functions() {
            let action = Blob::unseen(function, 150);
            refused(get(api, about(&action)).await, Code::NotFound, "no Action");
            api.put(&[&action]).await;
            refused(get(api, about(&action)).await, Code::NotFound, "an Action");
        }
    });
}

/// `GetActionResultRequest.inline_stdout`, `inline_stderr`, `inline_output_files`: hints to send these with the result. Contents of
/// files that were not asked for are not sent.
#[test]
fn what_is_asked_for_comes_with_the_result() {
    of_caches(async |api| {
        for function in api.functions() {
            let [out, err, a, b] = [20, 30, 40, 50].map(|len| Blob::unseen(function, len));
            api.put(&[&out, &err, &a, &b]).await;
            let result = ActionResult {
                stdout_digest: Some(out.digest.clone()),
                stderr_digest: Some(err.digest.clone()),
                output_files: vec![file("a", &a), file("d/b", &b)],
                ..ActionResult::default()
            };
            let action = Blob::unseen(function, 150);
            api.put(&[&action]).await;
            update(api, &action, result).await.unwrap();
            let request = GetActionResultRequest {
                inline_stdout: true,
                inline_stderr: true,
                inline_output_files: vec!["d/b".to_owned(), "none".to_owned()],
                ..about(&action)
            };
            let said = get(api, request).await.unwrap();
            let contents = |path: &str| {
                let found: Option<&OutputFile> = said.output_files.iter().find(|file| file.path == path);
                found.unwrap().contents.clone()
            };
            let nothing = Bytes::new();
            let inlined = if api.differs(Difference::NoInlining) {
                [&nothing; 4]
            } else {
                [&nothing, &b.bytes, &out.bytes, &err.bytes]
            };
            let told = [&contents("a"), &contents("d/b"), &said.stdout_raw, &said.stderr_raw];
            assert_eq!(told, inlined);
            let said = get(api, about(&action)).await.unwrap();
            assert!(said.output_files.iter().all(|file| file.contents.is_empty()));
            assert_eq!((said.stdout_digest, said.stderr_digest), (Some(out.digest), Some(err.digest)));
            assert!(said.stdout_raw.is_empty() && said.stderr_raw.is_empty());
        }
    });
}

/// `GetActionResultRequest.inline_output_files`: what would make the message too large must not be inlined.
#[test]
fn what_does_not_fit_is_not_inlined() {
    of_caches(async |api| {
        let function = api.functions()[0];
        let large: Vec<Blob> = (0..3).map(|_| Blob::unseen(function, 2_000_000)).collect();
        for blob in &large {
            api.put(&[blob]).await;
        }
        let names = ["a", "b", "c"];
        let output_files = names.iter().zip(&large).map(|(name, blob)| file(name, blob)).collect();
        let action = Blob::unseen(function, 150);
        api.put(&[&action]).await;
        update(api, &action, ActionResult { output_files, ..ActionResult::default() }).await.unwrap();
        let request = GetActionResultRequest {
            inline_output_files: names.map(str::to_owned).to_vec(),
            ..about(&action)
        };
        let said = get(api, request).await.unwrap();
        let inlined: usize = said.output_files.iter().map(|file| file.contents.len()).sum();
        assert!(inlined < 4 << 20, "{inlined}");
        assert_eq!(said.output_files.len(), 3);
    });
}

/// `ActionCache.GetActionResult`: the blobs that a result names should be there when it is returned, so one that lost any is no result.
#[test]
fn a_result_whose_blob_vanished_is_not_found() {
    of_caches(async |api| {
        for function in api.functions() {
            let [kept, lost, action] = [70, 80, 150].map(|len| Blob::unseen(function, len));
            api.put(&[&kept, &lost, &action]).await;
            let output_files = vec![file("kept", &kept), file("lost", &lost)];
            update(api, &action, ActionResult { output_files, ..ActionResult::default() }).await.unwrap();
            assert!(get(api, about(&action)).await.is_ok());
            if !api.lose(&lost).await {
                return;
            }
            assert!(!api.has(&lost).await);
            let said = get(api, about(&action)).await;
            refused(said, Code::NotFound, "incomplete");
            // It is one again when the blob is back.
            api.put(&[&lost]).await;
            assert!(get(api, about(&action)).await.is_ok());
        }
    });
}

/// `GetActionResultRequest.digest_function`: what the digest of the Action was made with; the same digits of another one are another
/// Action.
#[test]
fn another_function_is_another_action() {
    of_caches(async |api| {
        if !api.differs(Difference::OnlySha256) {
            let action = Blob::unseen(BLAKE3, 150);
            api.put(&[&action]).await;
            update(
                api,
                &action,
                ActionResult { exit_code: 0, stdout_raw: "x".into(), ..ActionResult::default() },
            )
            .await
            .unwrap();
            assert!(get(api, about(&action)).await.is_ok());
            let other = Blob { function: SHA256, ..action };
            refused(get(api, about(&other)).await, Code::NotFound, "as SHA-256");
        }
    });
}

/// `GetActionResultRequest`: a digest that is one, of a function that is announced, in an instance that is one.
#[test]
fn what_cannot_be_asked_is_refused() {
    of_caches(async |api| {
        let action = Blob::unseen(SHA256, 150);
        for digest in no_digests(&action.digest) {
            let what = format!("{digest:?}");
            let request = GetActionResultRequest { action_digest: Some(digest), ..about(&action) };
            api.refuses_name(get(api, request).await, &what);
        }
        let none = GetActionResultRequest { action_digest: None, ..about(&action) };
        api.refuses_name(get(api, none).await, "no digest");
        let other = GetActionResultRequest { digest_function: 99, ..about(&action) };
        refused(get(api, other).await, Code::InvalidArgument, "no function");
        let other = GetActionResultRequest { instance_name: "a/b/c".to_owned(), ..about(&action) };
        refused(get(api, other).await, Code::InvalidArgument, "a/b/c");
    });
}
