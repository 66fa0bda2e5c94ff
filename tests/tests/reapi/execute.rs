//! `Execution.Execute`.

mod caching;
mod missing;
mod outputs;
mod refusing;

use cullet_proto::reapi::execution::{ExecuteRequest, Stage};
use cullet_proto::reapi::{Command, EnvironmentVariable, ExecutedActionMetadata};
use tonic::Code;

use super::actions::{Job, asking, execute, followed, metadata};
use super::blobs::{BLAKE3, Blob, SHA256, UNNAMED};
use super::differences::Difference;
use super::directories::Directory;
use super::servers::of_execution;

/// `Execution.Execute`: a stream of operations with one name, whose metadata are `ExecuteOperationMetadata`; `ExecutionStage`: the
/// operation is done when the stage is `COMPLETED` and not before, and then the stream ends.
#[test]
fn an_operation_goes_through_its_stages() {
    of_execution(async |api| {
        for function in [UNNAMED, SHA256, BLAKE3] {
            let job = Job::new(function, &["/bin/true"]);
            let action = job.stored(api).await;
            let executed = execute(api, asking(&action)).await.unwrap();
            assert_eq!(executed.result().exit_code, 0);
            assert!(!executed.response.cached_result);
            assert!(!executed.name().is_empty());
            for operation in &executed.told {
                assert_eq!(operation.name, executed.name());
                let metadata = metadata(operation);
                assert_eq!(metadata.action_digest.as_ref(), Some(&action.digest));
                assert_eq!(operation.done, metadata.stage() == Stage::Completed);
            }
            let stages = executed.stages();
            assert!(stages.is_sorted() && !stages.contains(&Stage::Unknown), "{stages:?}");
            assert_eq!(stages.last(), Some(&Stage::Completed));
            assert!(stages.len() > 1, "it is told of before it is done: {stages:?}");
        }
    });
}

/// `ExecutionStage.QUEUED`: nothing was found in the cache, and it waits for a worker.
#[test]
fn who_waits_for_a_worker_is_told_so() {
    of_execution(async |api| {
        let mut executing = Vec::new();
        // More than fit on the worker.
        for number in 0..12 {
            let action = Job::script(&format!("sleep 0.5; echo {number} of many")).stored(api).await;
            let stream = api.execution().execute(asking(&action)).await.unwrap().into_inner();
            executing.push(tokio::spawn(followed(stream)));
        }
        let waited = |stages: &[Stage]| {
            let place = |wanted| stages.iter().position(|stage| *stage == wanted);
            place(Stage::Queued) < place(Stage::Executing) && place(Stage::Queued).is_some()
        };
        let mut stages = Vec::new();
        for executed in executing {
            stages.push(executed.await.unwrap().unwrap().stages());
        }
        assert!(stages.iter().any(|stages| waited(stages)), "{stages:?}");
        assert!(stages.iter().all(|stages| stages.is_sorted()), "{stages:?}");
    });
}

/// `ExecutedActionMetadata`: who executed it and when, one thing after the other.
#[test]
fn times_are_told_in_their_order() {
    of_execution(async |api| {
        let executed = Job::script("sleep 0.2").executed(api).await;
        let said = executed.result().execution_metadata.clone().unwrap();
        assert!(!said.worker.is_empty());
        let ExecutedActionMetadata {
            queued_timestamp: queued,
            worker_start_timestamp: taken,
            worker_completed_timestamp: done,
            input_fetch_start_timestamp: fetching,
            input_fetch_completed_timestamp: fetched,
            execution_start_timestamp: started,
            execution_completed_timestamp: ended,
            output_upload_start_timestamp: storing,
            output_upload_completed_timestamp: stored,
            ..
        } = said;
        let all = [queued, taken, fetching, fetched, started, ended, storing, stored, done];
        let times = all.map(|time| time.map(|time| (time.seconds, time.nanos)));
        let told: Vec<(i64, i32)> = times.into_iter().flatten().collect();
        assert!(told.is_sorted(), "{times:?}");
        // Those by which people tell waiting from working.
        for (index, what) in [(0, "queued"), (4, "started"), (5, "ended")] {
            assert!(times[index].is_some_and(|time| time.0 > 1_600_000_000), "{what}: {times:?}");
        }
        let ms = |time: Option<(i64, i32)>| time.map(|time| time.0 * 1000 + i64::from(time.1) / 1_000_000);
        assert!(ms(times[5]).unwrap() - ms(times[4]).unwrap() >= 200, "{times:?}");
    });
}

/// `ActionResult.exit_code`, `stdout_digest`, `stderr_digest`: a process that fails was executed, so the status is OK, and what it
/// printed is there.
#[test]
fn a_process_that_fails_is_a_result() {
    of_execution(async |api| {
        for function in [SHA256, BLAKE3] {
            let job = Job::new(function, &["/bin/sh", "-c", "echo out; echo err >&2; exit 3"]);
            let executed = job.executed(api).await;
            assert_eq!(executed.result().exit_code, 3);
            assert_eq!(executed.stdout(api, function).await, "out\n");
            assert_eq!(executed.stderr(api, function).await, "err\n");
        }
    });
}

/// `Command.environment_variables`, `Command.arguments`: the process has these, and a program without a slash is looked for in `PATH`.
#[test]
fn arguments_and_variables_are_those_of_the_command() {
    of_execution(async |api| {
        let mut job =
            Job::new(SHA256, &["sh", "-c", "printf '%s|' \"$0\" \"$@\" \"$A\" \"$B\"", "a b", "", "$A"]);
        for (name, value) in [("A", "1 2"), ("B", "x\ny")] {
            let variable = EnvironmentVariable { name: name.to_owned(), value: value.to_owned() };
            job.command.environment_variables.push(variable);
        }
        job.command.environment_variables.sort_by(|one, other| one.name.cmp(&other.name));
        let executed = job.executed(api).await;
        assert_eq!(executed.stdout(api, SHA256).await, "a b||$A|1 2|x\ny|");
    });
}

/// `Action.input_root_digest`: files, programs, directories and links are where the command looks for them.
#[test]
fn inputs_are_there() {
    of_execution(async |api| {
        for function in [SHA256, BLAKE3] {
            let (file, program) =
                (Blob::new(function, "text\n"), Blob::new(function, "#!/bin/sh\necho run\n"));
            let below = Directory::default()
                .file("f", &file)
                .directory("empty", &Directory::default().blob(function));
            let root = Directory::default()
                .file("large", &Blob::unseen(function, 1))
                .program("program", &program)
                .directory("d", &below.blob(function))
                .link("l", "d/f");
            let large = Blob::unseen(function, 2_000_000);
            let mut root = root;
            root.files[0].digest = Some(large.digest.clone());
            let script =
                "cat l d/f; ./program; ls d; wc -c < large; test -x program && test ! -x d/f && echo modes";
            let job = Job::new(function, &["/bin/sh", "-c", script]).root(&root);
            let inputs = [file, program, below.blob(function), Directory::default().blob(function), large];
            let executed = inputs.into_iter().fold(job, Job::with).executed(api).await;
            let said = executed.stdout(api, function).await;
            assert_eq!(
                said,
                "text\ntext\nrun\nempty\nf\n2000000\nmodes\n",
                "{}",
                executed.stderr(api, function).await
            );
        }
    });
}

/// `Command.working_directory`: the process starts there; outputs are relative to it.
#[test]
fn it_starts_in_its_working_directory() {
    of_execution(async |api| {
        let file = Blob::new(SHA256, "above\n");
        let empty = Directory::default().blob(SHA256);
        let middle = Directory::default().directory("work", &empty);
        let root = Directory::default().file("f", &file).directory("in", &middle.blob(SHA256));
        let job =
            Job::script("cat ../../f; echo made > out; echo other > ../../out").root(&root).outputs(&["out"]);
        let mut job = [file, empty, middle.blob(SHA256)].into_iter().fold(job, Job::with);
        job.command.working_directory = "in/work".to_owned();
        let executed = job.executed(api).await;
        assert_eq!(executed.stdout(api, SHA256).await, "above\n");
        assert_eq!(executed.file(api, SHA256, "out").await, "made\n");
        assert_eq!(executed.result().output_files.len(), 1);
    });
}

/// `Action.timeout`: after it, the execution is ended; `ExecuteResponse.status` is `DEADLINE_EXCEEDED` then, and nothing is cached.
#[test]
fn a_timeout_ends_it() {
    of_execution(async |api| {
        let mut job = Job::script("echo begun; sleep 60");
        job.action.timeout = Some(prost_types::Duration { seconds: 1, nanos: 0 });
        let action = job.stored(api).await;
        let executed = execute(api, asking(&action)).await.unwrap();
        assert_eq!(executed.status().code(), Code::DeadlineExceeded, "{}", executed.status());
        assert!(!caching::is_cached(api, &action).await);
        // That of another action is its own.
        job.action.timeout = Some(prost_types::Duration { seconds: 60, nanos: 0 });
        job.command = Command { arguments: vec!["/bin/true".to_owned()], ..job.command };
        assert_eq!(job.executed(api).await.result().exit_code, 0);
    });
}

/// `ExecuteRequest.inline_stdout`, `inline_stderr`, `inline_output_files`: hints to send these with the result. Files
/// that were not asked for are not sent.
#[test]
fn what_is_asked_for_comes_with_the_result() {
    of_execution(async |api| {
        let job = Job::script("echo out; echo err >&2; echo a > a; echo b > b").outputs(&["a", "b"]);
        let action = job.stored(api).await;
        for inlined in [true, false, true] {
            let request = ExecuteRequest {
                inline_stdout: inlined,
                inline_stderr: inlined,
                inline_output_files: if inlined { vec!["b".to_owned()] } else { Vec::new() },
                ..asking(&action)
            };
            let executed = execute(api, request).await.unwrap();
            let result = executed.result();
            let mut files = result.output_files.clone();
            files.sort_by(|one, other| one.path.cmp(&other.path));
            assert_eq!([&files[0].contents, &files[1].contents], ["", if inlined { "b\n" } else { "" }]);
            if inlined {
                assert_eq!([&result.stdout_raw, &result.stderr_raw], ["out\n", "err\n"]);
            }
            assert_eq!(executed.printed(api).await, "out\n");
            assert_eq!(files[1].digest, Some(SHA256.digest(b"b\n")));
        }
    });
}

/// `ActionResult.stdout_raw`: the server should not inline standard output that nobody asked for.
#[test]
fn output_that_is_not_asked_for_does_not_come_with_the_result() {
    of_execution(async |api| {
        let executed = Job::script("echo out; echo err >&2").executed(api).await;
        let result = executed.result();
        if api.differs(Difference::OutputUnasked) {
            assert_eq!([&result.stdout_raw, &result.stderr_raw], ["out\n", "err\n"]);
            return;
        }
        assert!(result.stdout_raw.is_empty() && result.stderr_raw.is_empty());
        assert_eq!(result.stdout_digest, Some(SHA256.digest(b"out\n")));
    });
}
