//! What is refused before anything is executed.

use cullet_proto::reapi::Digest;
use cullet_proto::reapi::execution::ExecuteRequest;
use tonic::Code;

use super::super::actions::{Job, asking, execute, failure};
use super::super::api::refused;
use super::super::blobs::{Blob, SHA256};
use super::super::find_missing_blobs::no_digests;
use super::super::servers::of_execution;

/// `ExecuteRequest.instance_name`: a server may tell instances apart by it. One that is none is refused here.
#[test]
fn what_is_no_instance() {
    of_execution(async |api| {
        let action = Job::script("true").stored(api).await;
        let request = ExecuteRequest { instance_name: "a/b/c".to_owned(), ..asking(&action) };
        refused(execute(api, request).await, Code::InvalidArgument, "a/b/c");
    });
}

/// `ExecuteRequest.action_digest`, `digest_function`: there has to be a digest that is one, of a function that is announced.
#[test]
fn what_is_no_digest() {
    of_execution(async |api| {
        let action = Job::script("true").stored(api).await;
        let none = ExecuteRequest { action_digest: None, ..asking(&action) };
        refused(execute(api, none).await, Code::InvalidArgument, "none");
        for digest in no_digests(&action.digest) {
            let what = format!("{digest:?}");
            let request = ExecuteRequest { action_digest: Some(digest), ..asking(&action) };
            refused(execute(api, request).await, Code::InvalidArgument, &what);
        }
        let request = ExecuteRequest { digest_function: 3, ..asking(&action) };
        refused(execute(api, request).await, Code::InvalidArgument, "MD5");
    });
}

/// `Execution.Execute`: `INVALID_ARGUMENT` where arguments are invalid, as an Action is that is none, or whose Command is none.
#[test]
fn what_is_no_action() {
    of_execution(async |api| {
        let none = Blob::new(SHA256, "\u{7}no message");
        api.put(&[&none]).await;
        refused(execute(api, asking(&none)).await, Code::InvalidArgument, "no Action");
        let mut job = Job::script("true");
        job.command.arguments.clear();
        refused(execute(api, asking(&job.stored(api).await)).await, Code::InvalidArgument, "no arguments");
        let mut job = Job::script("true");
        job.action.input_root_digest = Some(Digest { hash: "x".to_owned(), size_bytes: 0 });
        refused(execute(api, asking(&job.stored(api).await)).await, Code::InvalidArgument, "no root");
    });
}

/// `Action.platform`: what the server means by properties is its own. Secrets and services are for pipelines, and an image has to
/// be one by its digest, so that the Action says which.
#[test]
fn properties_that_clients_may_not_have() {
    of_execution(async |api| {
        let image = "docker://example.org/image:1";
        for property in
            [("secret", "x"), ("secret-env", "A=x"), ("services", "x"), ("container-image", image)]
        {
            let action = Job::script("true").platform(&[property]).stored(api).await;
            let status = failure(execute(api, asking(&action)).await);
            assert_eq!(status.code(), Code::InvalidArgument, "{property:?}: {status}");
        }
    });
}

/// `Command.working_directory`: a directory of the input root. Nothing is executed anywhere else.
#[test]
fn working_directories_that_are_not_there() {
    of_execution(async |api| {
        let starting = async |path: &str| {
            let mut job = Job::script("pwd");
            job.command.working_directory = path.to_owned();
            execute(api, asking(&job.stored(api).await)).await
        };
        for path in ["../out", "/etc", "../../etc", "a/../../b"] {
            refused(starting(path).await, Code::InvalidArgument, path);
        }
        // One that only is not there may be found out late.
        let outcome = starting("none").await;
        let ran = outcome
            .is_ok_and(|executed| executed.response.result.is_some_and(|result| result.exit_code == 0));
        assert!(!ran);
    });
}

/// `Command.output_paths`: relative paths. A server may refuse what is not canonical; it gives nothing from outside of the input root,
/// neither by such a path nor through a link.
#[test]
fn outputs_outside_of_the_input_root() {
    of_execution(async |api| {
        for path in [
            "/etc/passwd",
            "../etc/passwd",
            "../../../../../../../etc/passwd",
            "a/../../etc/passwd",
            "link/passwd",
        ] {
            let action = Job::script("rm -rf link; ln -s /etc link").outputs(&[path]).stored(api).await;
            if let Ok(executed) = execute(api, asking(&action)).await {
                let result = executed.response.result.unwrap_or_default();
                assert_eq!(result.output_files, [], "{path}");
                assert_eq!(result.output_directories, [], "{path}");
            }
        }
    });
}

/// `Action.timeout`: one that is longer than the longest of the server has to be refused.
#[test]
fn timeouts_that_nobody_waits_for() {
    of_execution(async |api| {
        for seconds in [10 * 365 * 24 * 3600, i64::MAX, -1, i64::MIN] {
            let mut job = Job::script("true");
            job.action.timeout = Some(prost_types::Duration { seconds, nanos: 0 });
            let outcome = execute(api, asking(&job.stored(api).await)).await;
            refused(outcome, Code::InvalidArgument, &seconds.to_string());
        }
    });
}

/// `Command.arguments`, `Command.environment_variables`: what no process can have is an invalid argument, and no trouble of the worker.
#[test]
fn what_no_process_can_have() {
    of_execution(async |api| {
        let argument = Job::new(SHA256, &["/bin/echo", "a\0b"]);
        let mut value = Job::script("true");
        value.command.environment_variables[0].value = "a\0b".to_owned();
        for (job, what) in [(argument, "an argument"), (value, "a value")] {
            let outcome = execute(api, asking(&job.stored(api).await)).await;
            refused(outcome, Code::InvalidArgument, what);
        }
    });
}
