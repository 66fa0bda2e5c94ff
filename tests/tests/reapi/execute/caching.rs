//! What is executed again, and what is not.

use cullet_proto::reapi::execution::ExecuteRequest;
use cullet_proto::reapi::results::GetActionResultRequest;
use tonic::Code;

use super::super::actions::{Job, asking, execute};
use super::super::api::Api;
use super::super::blobs::{BLAKE3, Blob, SHA256};
use super::super::servers::of_execution;

/// A script that never prints the same twice, so that it shows which execution a result is of.
const UNIQUE: &str = "cat /proc/sys/kernel/random/uuid";

/// Whether the action cache has a result of this.
pub(super) async fn is_cached(api: &Api, action: &Blob) -> bool {
    let request = GetActionResultRequest {
        action_digest: Some(action.digest.clone()),
        digest_function: action.function.number,
        ..GetActionResultRequest::default()
    };
    match api.results().get_action_result(request).await {
        Ok(_) => true,
        Err(status) => {
            assert_eq!(status.code(), Code::NotFound, "{status}");
            false
        }
    }
}

/// `ExecuteResponse.cached_result`: whether it was executed, or was in the action cache before.
#[test]
fn the_second_time_it_is_a_hit() {
    of_execution(async |api| {
        for function in [SHA256, BLAKE3] {
            let job =
                Job::new(function, &["/bin/sh", "-c", "echo made > out; cat /proc/sys/kernel/random/uuid"]);
            let job = job.outputs(&["out"]);
            let action = job.stored(api).await;
            assert!(!is_cached(api, &action).await);
            let first = execute(api, asking(&action)).await.unwrap();
            assert!(!first.response.cached_result);
            assert!(is_cached(api, &action).await);
            let second = execute(api, asking(&action)).await.unwrap();
            assert!(second.response.cached_result);
            assert_eq!(second.stdout(api, function).await, first.stdout(api, function).await);
            assert_eq!(second.file(api, function, "out").await, "made\n");
            assert!(!second.name().is_empty() && second.told.last().unwrap().done);
        }
    });
}

/// `ExecuteRequest.skip_cache_lookup`: it is executed although there is a result, which the new one should replace.
#[test]
fn who_skips_the_cache_has_it_executed() {
    of_execution(async |api| {
        let job = Job::script(UNIQUE);
        let action = job.stored(api).await;
        let first = execute(api, asking(&action)).await.unwrap();
        let request = ExecuteRequest { skip_cache_lookup: true, ..asking(&action) };
        let second = execute(api, request).await.unwrap();
        assert!(!second.response.cached_result);
        assert!(second.printed(api).await != first.printed(api).await);
        let third = execute(api, asking(&action)).await.unwrap();
        assert!(third.response.cached_result);
        assert_eq!(third.printed(api).await, second.printed(api).await, "the new one is kept");
    });
}

/// `Action.do_not_cache`: the result is in no cache, so every request is executed.
#[test]
fn what_must_not_be_cached_is_not() {
    of_execution(async |api| {
        let mut job = Job::script(UNIQUE);
        job.action.do_not_cache = true;
        let action = job.stored(api).await;
        let first = execute(api, asking(&action)).await.unwrap();
        assert!(!is_cached(api, &action).await);
        let second = execute(api, asking(&action)).await.unwrap();
        assert!(!first.response.cached_result && !second.response.cached_result);
        assert_ne!(first.printed(api).await, second.printed(api).await);
    });
}

/// `ExecuteRequest.skip_cache_lookup`, `Action.do_not_cache`: requests in flight for the same Action may become one execution, but not
/// where it must not be cached.
#[test]
fn two_at_once_are_executed_once_unless_they_must_not() {
    of_execution(async |api| {
        for do_not_cache in [false, true] {
            let mut job = Job::script(&format!("{UNIQUE}; sleep 1"));
            job.action.do_not_cache = do_not_cache;
            let action = job.stored(api).await;
            let (first, second) = tokio::join!(execute(api, asking(&action)), execute(api, asking(&action)));
            let (first, second) = (first.unwrap(), second.unwrap());
            assert_eq!(first.printed(api).await == second.printed(api).await, !do_not_cache);
            assert_ne!(first.name(), second.name(), "each can be cancelled for itself");
        }
    });
}

/// `ExecuteResponse.cached_result`: a process that failed may be kept or not; whoever asks again is told of the same exit code.
#[test]
fn a_failure_stays_one() {
    of_execution(async |api| {
        let action = Job::script("exit 7").stored(api).await;
        for _ in 0..2 {
            assert_eq!(execute(api, asking(&action)).await.unwrap().result().exit_code, 7);
        }
    });
}

/// `Action.salt`: another salt is another Action, whose result is its own.
#[test]
fn another_salt_is_another_action() {
    of_execution(async |api| {
        let mut job = Job::script(UNIQUE);
        let first = job.executed(api).await;
        job.action.salt = Blob::unseen(SHA256, 8).bytes;
        let second = job.executed(api).await;
        assert!(!second.response.cached_result);
        assert_ne!(first.printed(api).await, second.printed(api).await);
    });
}
