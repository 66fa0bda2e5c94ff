//! What an execution leaves: `ActionResult`.

use cullet_proto::reapi::{OutputDirectory, OutputSymlink, Tree};
use prost::Message as _;
use tonic::Code;

use super::super::actions::{Executed, Job, asking, execute, failure, stored};
use super::super::api::Api;
use super::super::blobs::{BLAKE3, Blob, Function, SHA256};
use super::super::differences::Difference;
use super::super::directories::Directory;
use super::super::servers::of_execution;

/// The directories of a `Tree`: the root, and those below it by their digests. All blobs that it names are there.
async fn tree(
    api: &Api,
    function: Function,
    output: &OutputDirectory,
) -> (Directory, Vec<(Blob, Directory)>) {
    let bytes = stored(api, function, output.tree_digest.as_ref().expect("a tree")).await;
    let Tree { root, children } = Tree::decode(bytes).unwrap();
    let children = children.into_iter().map(|bytes| {
        let directory = Directory::decode(bytes.clone()).unwrap();
        (Blob::new(function, bytes), directory)
    });
    let (root, children) = (Directory::decode(root).unwrap(), children.collect::<Vec<_>>());
    for directory in children.iter().map(|(_, directory)| directory).chain([&root]) {
        for file in &directory.files {
            stored(api, function, file.digest.as_ref().unwrap()).await;
        }
        for child in &directory.directories {
            let known = children.iter().any(|(blob, _)| Some(&blob.digest) == child.digest.as_ref());
            assert!(known, "{} is in the tree", child.name);
        }
    }
    (root, children)
}

fn directory<'a>(executed: &'a Executed, path: &str) -> &'a OutputDirectory {
    let found = executed.result().output_directories.iter().find(|directory| directory.path == path);
    found.unwrap_or_else(|| panic!("no {path}: {:?}", executed.result()))
}

fn file_paths(executed: &Executed) -> Vec<&str> {
    let mut paths: Vec<&str> = executed.result().output_files.iter().map(|file| &*file.path).collect();
    paths.sort_unstable();
    paths
}

/// `Command.output_paths`, `ActionResult.output_files`: files are told with their paths, digests and whether they can be executed;
/// what is no output is not told, and what was not made is left out.
#[test]
fn files_are_told_and_missing_ones_left_out() {
    of_execution(async |api| {
        for function in [SHA256, BLAKE3] {
            let script = "echo 1 > a; mkdir d; echo 2 > d/b; chmod +x d/b; : > empty; echo 3 > other";
            let job = Job::new(function, &["/bin/sh", "-c", script]);
            let executed = job.outputs(&["a", "d/b", "empty", "none", "way/none"]).executed(api).await;
            assert_eq!(executed.result().exit_code, 0);
            assert_eq!(file_paths(&executed), ["a", "d/b", "empty"]);
            assert_eq!(executed.file(api, function, "a").await, "1\n");
            assert_eq!(executed.file(api, function, "empty").await, "");
            let executable = executed.result().output_files.iter().filter(|file| file.is_executable);
            assert_eq!(executable.map(|file| &*file.path).collect::<Vec<_>>(), ["d/b"]);
            let others = (&executed.result().output_directories, &executed.result().output_symlinks);
            assert_eq!(others, (&Vec::new(), &Vec::new()));
        }
    });
}

/// `ActionResult.output_directories`, `OutputDirectory.tree_digest`: a directory is a `Tree` with all directories below it.
#[test]
fn a_directory_is_a_tree() {
    of_execution(async |api| {
        for function in [SHA256, BLAKE3] {
            let script = "mkdir -p d/x/y d/empty; echo 1 > d/f; echo 2 > d/x/y/g; ln -s ../f d/x/l";
            let job = Job::new(function, &["/bin/sh", "-c", script]).outputs(&["d"]);
            let executed = job.executed(api).await;
            assert_eq!(executed.result().output_files, []);
            let output = directory(&executed, "d");
            let (root, children) = tree(api, function, output).await;
            let names: Vec<&str> = root.directories.iter().map(|child| &*child.name).collect();
            assert_eq!((&*root.files[0].name, &*names), ("f", &["empty", "x"][..]));
            assert_eq!(children.len(), 3, "empty, x, y");
            let x = children.iter().find(|(_, directory)| !directory.symlinks.is_empty());
            let x = &x.unwrap().1;
            assert_eq!((&*x.symlinks[0].name, &*x.symlinks[0].target), ("l", "../f"));
            // Where both are told, they are the same directory.
            if let Some(digest) = &output.root_directory_digest {
                assert_eq!(root.blob(function).digest, *digest);
            }
            let empty = Job::new(function, &["/bin/mkdir", "e"]).outputs(&["e"]).executed(api).await;
            let (root, children) = tree(api, function, directory(&empty, "e")).await;
            assert_eq!((root, children.len()), (Directory::default(), 0));
        }
    });
}

/// `Command.output_directory_format`: 0 `TREE_ONLY`, 1 `DIRECTORY_ONLY`, 2 `TREE_AND_DIRECTORY`; more than what was asked for may be told.
#[test]
fn directories_come_in_the_form_that_is_asked_for() {
    of_execution(async |api| {
        for format in [0, 1, 2] {
            let mut job = Job::script("mkdir -p d/x; echo 1 > d/x/f").outputs(&["d"]);
            job.command.output_directory_format = format;
            let executed = job.executed(api).await;
            let output = directory(&executed, "d");
            if format != 1 {
                tree(api, SHA256, output).await;
            }
            if format != 0 {
                let root = output.root_directory_digest.as_ref().unwrap();
                let root = Directory::decode(stored(api, SHA256, root).await).unwrap();
                let below = root.directories[0].digest.as_ref().unwrap();
                let below = Directory::decode(stored(api, SHA256, below).await).unwrap();
                assert_eq!(below.files[0].digest, Some(SHA256.digest(b"1\n")));
            }
        }
    });
}

/// `ActionResult.output_symlinks`: a link is told as one, wherever it points; `output_file_symlinks` says the same for version 2.0.
#[test]
fn links_are_links() {
    of_execution(async |api| {
        let script = "echo 1 > f; mkdir d; ln -s f to-file; ln -s d to-directory; ln -s /nowhere dangling";
        let job = Job::script(script).outputs(&["dangling", "to-directory", "to-file"]);
        let executed = job.executed(api).await;
        let mut links = executed.result().output_symlinks.clone();
        links.sort_by(|one, other| one.path.cmp(&other.path));
        let link =
            |path: &str, target: &str| OutputSymlink { path: path.to_owned(), target: target.to_owned() };
        let expected = [link("dangling", "/nowhere"), link("to-directory", "d"), link("to-file", "f")];
        assert_eq!(links, expected);
        assert!(executed.result().output_file_symlinks.contains(&expected[2]));
        assert_eq!(file_paths(&executed), [""; 0]);
        assert_eq!(executed.result().output_directories, []);
    });
}

/// `Command.output_files`, `Command.output_directories`: how clients of version 2.0 say it; `output_paths` makes both ignored.
#[test]
fn outputs_of_version_2_0_are_told() {
    of_execution(async |api| {
        let mut job = Job::script("echo 1 > a/f; mkdir -p b/d; echo 2 > b/d/g");
        job.command.output_files = ["a/f", "a/none"].map(str::to_owned).to_vec();
        job.command.output_directories = ["b/d", "none"].map(str::to_owned).to_vec();
        let executed = job.executed(api).await;
        assert_eq!(executed.result().exit_code, 0, "{}", executed.stderr(api, SHA256).await);
        assert_eq!(file_paths(&executed), ["a/f"]);
        assert_eq!(executed.result().output_directories.len(), 1);
        let (root, _) = tree(api, SHA256, directory(&executed, "b/d")).await;
        assert_eq!(root.files[0].digest, Some(SHA256.digest(b"2\n")));

        let mut job = Job::script("echo 1 > f; echo 2 > g").outputs(&["g"]);
        job.command.output_files = vec!["f".to_owned()];
        assert_eq!(file_paths(&job.executed(api).await), ["g"]);
    });
}

/// `Command.output_paths`: the directories that lead to outputs are there before it begins, the outputs themselves are not.
#[test]
fn ways_to_outputs_are_there() {
    of_execution(async |api| {
        let script = "test -d a/b && test -d c && test ! -e a/b/out && test ! -e top && echo 1 > a/b/out";
        let executed = Job::script(script).outputs(&["a/b/out", "c/none", "top"]).executed(api).await;
        assert_eq!(executed.result().exit_code, 0);
        assert_eq!(file_paths(&executed), ["a/b/out"]);
    });
}

/// `Command.output_paths`: outputs may be large, many, and inputs that were changed.
#[test]
fn outputs_may_be_large_and_many() {
    of_execution(async |api| {
        let file = Blob::new(SHA256, "before\n");
        let root = Directory::default().file("in", &file);
        let script = "head -c 6000000 /dev/zero > large; for i in $(seq 200); do echo $i > many.$i; done; \
                      rm -f in; echo after > in; seq 100000";
        let mut names: Vec<String> = (1..=200).map(|index| format!("many.{index}")).collect();
        names.extend(["in", "large"].map(str::to_owned));
        names.sort_unstable();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let executed = Job::script(script).root(&root).with(file).outputs(&names).executed(api).await;
        assert_eq!(file_paths(&executed), names);
        assert_eq!(executed.file(api, SHA256, "in").await, "after\n");
        assert_eq!(executed.file(api, SHA256, "large").await.len(), 6_000_000);
        assert_eq!(executed.stdout(api, SHA256).await.lines().last(), Some("100000"));
    });
}

/// `ActionResult.output_files`: a directory where `Command.output_files` has a file is a `FAILED_PRECONDITION`.
#[test]
fn a_directory_is_no_output_file() {
    of_execution(async |api| {
        let mut job = Job::script("mkdir f");
        job.command.output_files = vec!["f".to_owned()];
        let outcome = execute(api, asking(&job.stored(api).await)).await;
        if api.differs(Difference::OutputsOfAnyKind) {
            assert_eq!(outcome.unwrap().result().output_directories.len(), 1);
            return;
        }
        let status = failure(outcome);
        assert_eq!(status.code(), Code::FailedPrecondition, "{status}");
    });
}
