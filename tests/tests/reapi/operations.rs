//! `google.longrunning.Operations`, of which `Execution.Execute` lets servers have as much as they like.

use std::time::{Duration, Instant};

use cullet_proto::longrunning::{
    CancelOperationRequest, DeleteOperationRequest, GetOperationRequest, ListOperationsRequest, Operation,
    WaitOperationRequest,
};
use cullet_proto::reapi::execution::{Stage, WaitExecutionRequest};
use tonic::{Code, Status};

use super::actions::{Job, asking, execute, followed, metadata, response};
use super::api::{Api, refused};
use super::servers::of_execution;
use super::wait_execution::begun;

async fn get(api: &Api, name: &str) -> Result<Operation, Status> {
    let request = GetOperationRequest { name: name.to_owned() };
    Ok(api.operations().get_operation(request).await?.into_inner())
}

async fn wait(api: &Api, name: &str, timeout_s: Option<i64>) -> Result<Operation, Status> {
    let timeout = timeout_s.map(|seconds| prost_types::Duration { seconds, nanos: 0 });
    let request = WaitOperationRequest { name: name.to_owned(), timeout };
    Ok(api.operations().wait_operation(request).await?.into_inner())
}

async fn cancel(api: &Api, name: &str) -> Result<(), Status> {
    let request = CancelOperationRequest { name: name.to_owned() };
    api.operations().cancel_operation(request).await.map(drop)
}

/// `Operations.GetOperation`, `WaitOperation`: how far it is now, and at its end or after the timeout, whichever comes first.
#[test]
fn an_operation_can_be_looked_at_and_waited_for() {
    of_execution(async |api| {
        let name = begun(api, &Job::script("sleep 3")).await;
        let now = get(api, &name).await.unwrap();
        assert_eq!((&*now.name, now.done, now.result.clone()), (&*name, false, None));
        assert_ne!(metadata(&now).stage(), Stage::Completed);
        let asked = Instant::now();
        let early = wait(api, &name, Some(1)).await.unwrap();
        assert!(!early.done && asked.elapsed() >= Duration::from_secs(1));
        let end = wait(api, &name, None).await.unwrap();
        assert_eq!(response(&end).result.unwrap().exit_code, 0);
        assert_eq!(metadata(&end).stage(), Stage::Completed);
        assert_eq!(get(api, &name).await.unwrap(), end);
        for timeout_s in [60, i64::MAX, 0, -1, i64::MIN] {
            assert_eq!(wait(api, &name, Some(timeout_s)).await.unwrap(), end, "{timeout_s}");
        }
    });
}

/// `Execution.Execute`: `CANCELLED`, in the response, where somebody called `Operations.CancelOperation`.
#[test]
fn an_operation_can_be_cancelled() {
    of_execution(async |api| {
        let job = Job::script("sleep 60");
        let name = begun(api, &job).await;
        cancel(api, &name).await.unwrap();
        let request = WaitExecutionRequest { name: name.clone() };
        let stream = api.execution().wait_execution(request).await.unwrap().into_inner();
        let ended = followed(stream).await.unwrap();
        assert_eq!(ended.status().code(), Code::Cancelled, "{}", ended.status());
        assert!(get(api, &name).await.unwrap().done);
        // What has ended stays as it is.
        cancel(api, &name).await.unwrap();
        let done = Job::script("true").executed(api).await;
        cancel(api, done.name()).await.unwrap();
        assert_eq!(response(&get(api, done.name()).await.unwrap()).result, done.response.result);
    });
}

/// `Operations.CancelOperation`: it is one request for an execution that ends, not the execution for everybody.
#[test]
fn who_is_not_cancelled_gets_the_result() {
    of_execution(async |api| {
        let job = Job::script("sleep 3; echo done");
        let action = job.stored(api).await;
        let name = begun(api, &job).await;
        let (other, _) = tokio::join!(execute(api, asking(&action)), async {
            tokio::time::sleep(Duration::from_secs(1)).await;
            cancel(api, &name).await.unwrap();
        });
        assert_eq!(other.unwrap().stdout(api, super::blobs::SHA256).await, "done\n");
        assert!(get(api, &name).await.unwrap().done);
    });
}

/// `Operations`: an operation that is not there is `NOT_FOUND`; what is no name of one is none of ours to look for.
#[test]
fn what_is_no_operation_is_not_found() {
    of_execution(async |api| {
        let none = format!("operations/{:032x}", fastrand::u128(..));
        refused(get(api, &none).await, Code::NotFound, &none);
        refused(wait(api, &none, Some(1)).await, Code::NotFound, &none);
        refused(cancel(api, &none).await, Code::NotFound, &none);
        for name in ["", "x", "operations/x"] {
            refused(get(api, name).await, Code::InvalidArgument, name);
            refused(wait(api, name, Some(1)).await, Code::InvalidArgument, name);
            refused(cancel(api, name).await, Code::InvalidArgument, name);
        }
    });
}

/// `Execution.Execute`: a server need not have the other calls; then it says `UNIMPLEMENTED`.
#[test]
fn calls_that_are_not_there_say_so() {
    of_execution(async |api| {
        let listed = api.operations().list_operations(ListOperationsRequest::default()).await;
        refused(listed, Code::Unimplemented, "list");
        let deleted = api.operations().delete_operation(DeleteOperationRequest::default()).await;
        refused(deleted, Code::Unimplemented, "delete");
    });
}
