//! `ActionCache.UpdateActionResult`.

use cullet_proto::reapi::results::UpdateActionResultRequest;
use cullet_proto::reapi::{
    ActionResult, Digest, ExecutedActionMetadata, OutputDirectory, OutputFile, OutputSymlink, Tree,
};
use prost::Message as _;
use tonic::{Code, Status};

use super::actions::Job;
use super::api::{Api, refused};
use super::blobs::{Blob, Function, SHA256};
use super::differences::Difference;
use super::directories::Directory;
use super::find_missing_blobs::no_digests;
use super::get_action_result::{about, get};
use super::servers::of_caches;

/// Says what came of an Action.
pub(crate) async fn update(api: &Api, action: &Blob, result: ActionResult) -> Result<ActionResult, Status> {
    let request = UpdateActionResultRequest {
        action_digest: Some(action.digest.clone()),
        action_result: Some(result),
        digest_function: action.function.number,
        ..UpdateActionResultRequest::default()
    };
    Ok(api.results().update_action_result(request).await?.into_inner())
}

/// An output file with these bytes.
pub(crate) fn file(path: &str, blob: &Blob) -> OutputFile {
    OutputFile { path: path.to_owned(), digest: Some(blob.digest.clone()), ..OutputFile::default() }
}

/// A result of one file.
fn of_file(blob: &Blob) -> ActionResult {
    ActionResult { output_files: vec![file("out", blob)], ..ActionResult::default() }
}

/// `ActionCache.UpdateActionResult`: from then on, the result is found; a later one takes its place. The Action and its Command are
/// stored first.
#[test]
fn what_was_stored_is_found() {
    of_caches(async |api| {
        for function in api.functions() {
            let action = Job::new(function, &["/bin/true"]).stored(api).await;
            let [one, other, out] = [60, 61, 5000].map(|len| Blob::unseen(function, len));
            api.put(&[&one, &other, &out]).await;
            let result = ActionResult {
                stdout_digest: Some(out.digest.clone()),
                execution_metadata: Some(ExecutedActionMetadata {
                    worker: "somebody".to_owned(),
                    ..ExecutedActionMetadata::default()
                }),
                output_symlinks: vec![OutputSymlink { path: "link".to_owned(), target: "out".to_owned() }],
                ..of_file(&one)
            };
            let answer = update(api, &action, result.clone()).await.unwrap();
            assert_eq!(answer.output_files, result.output_files);
            let found = get(api, about(&action)).await.unwrap();
            assert_eq!(found.output_files, result.output_files);
            assert_eq!(found.output_symlinks, result.output_symlinks);
            assert_eq!((found.exit_code, found.stdout_digest), (0, result.stdout_digest));
            assert_eq!(found.execution_metadata.unwrap().worker, "somebody");
            update(api, &action, of_file(&other)).await.unwrap();
            assert_eq!(get(api, about(&action)).await.unwrap().output_files, of_file(&other).output_files);
        }
    });
}

/// `ActionCache.UpdateActionResult`: `FAILED_PRECONDITION` where something has not been uploaded that the result names; nothing is
/// found then.
#[test]
fn a_result_of_missing_blobs_is_refused() {
    of_caches(async |api| {
        for function in api.functions() {
            let [missing, there] = [90, 91].map(|len| Blob::unseen(function, len));
            let directory = Directory::default().file("f", &missing);
            let tree = Tree { root: directory.encode_to_vec().into(), children: Vec::new() };
            let tree = Blob::new(function, tree.encode_to_vec());
            let unstored = Blob::new(function, Directory::default().file("g", &there).encode_to_vec());
            api.put(&[&there, &tree]).await;
            let of_tree = |tree: &Blob| {
                let tree_digest = Some(tree.digest.clone());
                let output =
                    OutputDirectory { path: "d".to_owned(), tree_digest, ..OutputDirectory::default() };
                ActionResult { output_directories: vec![output], ..ActionResult::default() }
            };
            let both = ActionResult {
                output_files: vec![file("a", &there), file("b", &missing)],
                ..ActionResult::default()
            };
            let digest = || Some(missing.digest.clone());
            for (result, what) in [
                (of_file(&missing), "a file"),
                (both, "one of two files"),
                (ActionResult { stdout_digest: digest(), ..ActionResult::default() }, "standard output"),
                (ActionResult { stderr_digest: digest(), ..ActionResult::default() }, "standard error"),
                (of_tree(&unstored), "a tree"),
                (of_tree(&tree), "a file of a tree"),
            ] {
                let action = Blob::unseen(function, 150);
                api.put(&[&action]).await;
                let answer = update(api, &action, result).await;
                if api.differs(Difference::ResultsUnchecked) {
                    assert!(answer.is_ok());
                } else {
                    refused(answer, Code::FailedPrecondition, what);
                }
                refused(get(api, about(&action)).await, Code::NotFound, what);
            }
        }
    });
}

/// `OutputDirectory.tree_digest`: a directory is a `Tree`, as it was uploaded, with all that it names.
#[test]
fn a_directory_comes_back_as_its_tree() {
    of_caches(async |api| {
        for function in api.functions() {
            let contents = Blob::unseen(function, 77);
            let below = Directory::default().file("f", &contents);
            let root = Directory::default().directory("below", &below.blob(function)).link("l", "below/f");
            let tree = tree_of(function, &root, &[&below]);
            let action = Blob::unseen(function, 150);
            api.put(&[&contents, &tree, &action]).await;
            if api.differs(Difference::TreesWithDirectories) {
                api.put(&[&root.blob(function), &below.blob(function)]).await;
            }
            let output = OutputDirectory {
                path: "d".to_owned(),
                tree_digest: Some(tree.digest.clone()),
                ..OutputDirectory::default()
            };
            let result = ActionResult { output_directories: vec![output], ..ActionResult::default() };
            update(api, &action, result).await.unwrap();
            let found = get(api, about(&action)).await.unwrap();
            assert_eq!(found.output_directories[0].path, "d");
            assert_eq!(found.output_directories[0].tree_digest, Some(tree.digest.clone()));
            // Who is told of the root can read it, and it is that of the tree.
            if let Some(digest) = &found.output_directories[0].root_directory_digest {
                assert_eq!(*digest, root.blob(function).digest);
                assert!(api.has(&root.blob(function)).await && api.has(&below.blob(function)).await);
            }
        }
    });
}

fn tree_of(function: Function, root: &Directory, children: &[&Directory]) -> Blob {
    let children = children.iter().map(|child| child.encode_to_vec().into()).collect();
    Blob::new(function, Tree { root: root.encode_to_vec().into(), children }.encode_to_vec())
}

/// `ActionCache.UpdateActionResult`: the Action should be stored before. Whoever names something else by the digest is believed here:
/// tools that keep things of their own make digests of them.
#[test]
fn a_digest_of_no_action_is_taken() {
    of_caches(async |api| {
        for function in api.functions() {
            let (action, out) = (Blob::unseen(function, 150), Blob::unseen(function, 88));
            api.put(&[&out]).await;
            update(api, &action, of_file(&out)).await.unwrap();
            assert_eq!(get(api, about(&action)).await.unwrap().output_files, of_file(&out).output_files);
        }
    });
}

/// `OutputFile.contents`, `ActionResult.stdout_raw`: clients should not send these. Where they do, what is sent has to be what the digest
/// says, or it is not kept.
#[test]
fn what_comes_inline_is_checked() {
    of_caches(async |api| {
        let function = api.functions()[0];
        let (action, out) = (Blob::unseen(function, 150), Blob::unseen(function, 99));
        api.put(&[&action]).await;
        let mut result = of_file(&out);
        result.output_files[0].contents = Blob::unseen(function, 99).bytes;
        if api.differs(Difference::ResultsUnchecked) {
            return;
        }
        refused(update(api, &action, result.clone()).await, Code::InvalidArgument, "other bytes");
        assert!(!api.has(&out).await);
        result.output_files[0].contents = out.bytes.clone();
        update(api, &action, result).await.unwrap();
        assert!(api.has(&out).await, "it was brought along");
        assert_eq!(get(api, about(&action)).await.unwrap().output_files, of_file(&out).output_files);
    });
}

/// `UpdateActionResultRequest`: a digest that is one, a result whose digests are, a function that is announced, an instance that is one.
#[test]
fn what_is_no_result_is_refused() {
    of_caches(async |api| {
        let (action, out) = (Blob::unseen(SHA256, 150), Blob::unseen(SHA256, 100));
        api.put(&[&action, &out]).await;
        let request = |action_digest: Option<Digest>, action_result: Option<ActionResult>| {
            UpdateActionResultRequest { action_digest, action_result, ..UpdateActionResultRequest::default() }
        };
        let asked = async |request| api.results().update_action_result(request).await.map(drop);
        for digest in no_digests(&action.digest) {
            let what = format!("{digest:?}");
            let answer = asked(request(Some(digest), Some(of_file(&out)))).await;
            api.refuses_name(answer, &what);
        }
        let digest = || Some(action.digest.clone());
        let function =
            UpdateActionResultRequest { digest_function: 99, ..request(digest(), Some(of_file(&out))) };
        let instance = UpdateActionResultRequest {
            instance_name: "a/b/c".to_owned(),
            ..request(digest(), Some(of_file(&out)))
        };
        refused(asked(instance).await, Code::InvalidArgument, "a/b/c");
        refused(asked(function).await, Code::InvalidArgument, "no function");
        if !api.differs(Difference::ResultsUnchecked) {
            refused(asked(request(digest(), None)).await, Code::InvalidArgument, "no result");
            for wrong in no_digests(&out.digest) {
                let mut result = of_file(&out);
                result.output_files[0].digest = Some(wrong);
                let what = format!("{:?}", result.output_files);
                refused(asked(request(digest(), Some(result))).await, Code::InvalidArgument, &what);
            }
            let mut result = of_file(&out);
            result.output_files[0].digest = None;
            refused(
                asked(request(digest(), Some(result))).await,
                Code::InvalidArgument,
                "a file without digest",
            );
        }
        if !api.differs(Difference::LooseNames) {
            refused(get(api, about(&action)).await, Code::NotFound, "nothing was kept");
        }
    });
}
