//! `Execution.WaitExecution`.

use cullet_proto::longrunning::Operation;
use cullet_proto::reapi::execution::WaitExecutionRequest;
use tonic::{Code, Status, Streaming};

use super::actions::{Executed, Job, asking, followed};
use super::api::{Api, refused};
use super::servers::of_execution;

async fn wait(api: &Api, name: &str) -> Result<Streaming<Operation>, Status> {
    let request = WaitExecutionRequest { name: name.to_owned() };
    Ok(api.execution().wait_execution(request).await?.into_inner())
}

/// Begins an execution and goes away: its name.
pub(crate) async fn begun(api: &Api, job: &Job) -> String {
    let action = job.stored(api).await;
    let mut stream = api.execution().execute(asking(&action)).await.unwrap().into_inner();
    let first = stream.message().await.unwrap().unwrap();
    assert!(!first.done);
    first.name
}

/// `WaitExecutionRequest.name`: the name that `Execute` told. Who comes back is told at once how far it is, and at the end of the
/// result; an execution does not end with whoever asked for it.
#[test]
fn who_comes_back_gets_the_result() {
    of_execution(async |api| {
        let name = begun(api, &Job::script("sleep 2; echo made > out; echo said").outputs(&["out"])).await;
        let mut stream = wait(api, &name).await.unwrap();
        let first = stream.message().await.unwrap().unwrap();
        assert_eq!((&*first.name, first.done), (&*name, false));
        let (one, other) = tokio::join!(followed(stream), async { followed(wait(api, &name).await?).await });
        let (one, other) = (one.unwrap(), other.unwrap());
        assert_eq!(one.stdout(api, super::blobs::SHA256).await, "said\n");
        assert_eq!(one.file(api, super::blobs::SHA256, "out").await, "made\n");
        let same = |other: &Executed| {
            assert_eq!(other.name(), name);
            assert_eq!(other.result(), one.result());
            assert!(!other.response.cached_result);
        };
        same(&other);
        // And once it is done.
        let late = followed(wait(api, &name).await.unwrap()).await.unwrap();
        assert_eq!(late.told.len(), 1);
        same(&late);
    });
}

/// `Execution.WaitExecution`: an operation that is not there is `NOT_FOUND`; what is no name of one is none of ours to look for.
#[test]
fn what_is_no_operation_is_not_found() {
    of_execution(async |api| {
        let name = begun(api, &Job::script("true")).await;
        // Another number.
        let flipped = |digit: char| if digit == '0' { '1' } else { '0' };
        let last = name.chars().next_back().unwrap();
        let other = format!("{}{}", &name[..name.len() - 1], flipped(last));
        refused(wait(api, &other).await, Code::NotFound, &other);
        for name in ["", "x", "operations/", "operations/x", &format!("{name}/x"), &name[1..]] {
            refused(wait(api, name).await, Code::InvalidArgument, name);
        }
    });
}
