//! `Execution.Execute`: what is missing is a `FAILED_PRECONDITION`, with a `PreconditionFailure` whose violations of type `MISSING` have
//! `blobs/{function/}{hash}/{size}` as their subjects, where the function is left out for SHA-256 and for no other of ours.

use super::super::actions::{Job, asking, execute, failure, named_missing};
use super::super::api::Api;
use super::super::blobs::{BLAKE3, Blob, Function, SHA256};
use super::super::directories::Directory;
use super::super::servers::of_execution;

/// What is told to be missing, when everything is stored but these.
async fn without(api: &Api, job: &Job, missing: &[&Blob]) -> Vec<String> {
    let [command, action] = job.messages();
    let all = job.inputs.iter().chain([&command, &action]);
    let there: Vec<&Blob> = all.filter(|blob| !missing.contains(blob)).collect();
    api.put(&there).await;
    let told = named_missing(&failure(execute(api, asking(&action)).await));
    // As the client is asked to do: upload what is missing, and ask again.
    api.put(missing).await;
    let executed = execute(api, asking(&action)).await.unwrap();
    assert_eq!(executed.result().exit_code, 0);
    told
}

fn names(blobs: &[&Blob]) -> Vec<String> {
    let mut names: Vec<String> = blobs.iter().map(|blob| blob.name()).collect();
    names.sort_unstable();
    names
}

/// Of `Action`: the Action itself is missing.
#[test]
fn the_action() {
    of_execution(async |api| {
        for function in [SHA256, BLAKE3] {
            let job = Job::new(function, &["/bin/true"]);
            let [_, action] = job.messages();
            assert_eq!(without(api, &job, &[&action]).await, names(&[&action]));
        }
    });
}

/// Of `Action.command_digest`: the Command is missing.
#[test]
fn the_command() {
    of_execution(async |api| {
        for function in [SHA256, BLAKE3] {
            let unseen = fastrand::u64(..).to_string();
            let job = Job::new(function, &["/bin/true", &unseen]);
            let [command, _] = job.messages();
            assert_eq!(without(api, &job, &[&command]).await, names(&[&command]));
        }
    });
}

/// Of `Action.input_root_digest`: the root is missing, or any directory or file below it. All that are known to be missing are named.
#[test]
fn inputs() {
    of_execution(async |api| {
        for function in [SHA256, BLAKE3] {
            let (job, blobs) = deep(function);
            let [root, middle, file, other] = &blobs;
            assert_eq!(without(api, &job, &[root]).await, names(&[root]), "the root");
            let (job, blobs) = deep(function);
            let [_, middle_again, ..] = &blobs;
            assert_ne!(middle, middle_again);
            assert_eq!(without(api, &job, &[middle_again]).await, names(&[middle_again]), "a directory");
            assert_ne!(file, other);
            let (job, blobs) = deep(function);
            let [_, _, file, other] = &blobs;
            assert_eq!(without(api, &job, &[file, other]).await, names(&[file, other]), "files");
        }
    });
}

/// A job with an input root: the root, a directory in it, a file in that, and another file.
fn deep(function: Function) -> (Job, [Blob; 4]) {
    let (file, other) = (Blob::unseen(function, 100), Blob::unseen(function, 200));
    let middle = Directory::default().file("f", &file).blob(function);
    let root = Directory::default().file("other", &other).directory("d", &middle);
    let script = "test $(wc -c < d/f) = 100 && test $(wc -c < other) = 200";
    let job = Job::new(function, &["/bin/sh", "-c", script]).root(&root);
    let job = [&middle, &file, &other].into_iter().fold(job, |job, blob| job.with(blob.clone()));
    (job, [root.blob(function), middle, file, other])
}
