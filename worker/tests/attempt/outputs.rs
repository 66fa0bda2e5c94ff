use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use cullet_digest::TreeRef;

use crate::fixture::{Entry, FUNCTION, Fixture, action, failed, pairs, succeeded, tree};

#[tokio::test]
async fn files_and_directories_keep_contents_programs_links_and_empty_directories() {
    let fixture = Fixture::new();
    let report = fixture.run(action(&["dist", "bin/app"]), |sight| {
        sight.write("dist/a", "one");
        sight.write("dist/sub/b", "two");
        sight.link("dist/sub/c", "../a");
        sight.link("dist/lib/libfoo.so", "libfoo.so.1");
        fs::create_dir(sight.upper.join("dist/empty")).unwrap();
        sight.write("bin/app", "#!");
        fs::set_permissions(sight.upper.join("bin/app"), fs::Permissions::from_mode(0o6711)).unwrap();
        sight.write("other", "not declared");
    });
    let result = succeeded(report.await);
    let paths: Vec<&str> = result.outputs.iter().map(|output| &*output.path).collect();
    assert_eq!(paths, ["bin/app", "dist"]);
    assert_eq!(tree(&result, "bin/app"), TreeRef::File { digest: FUNCTION.digest(b"#!"), executable: true });
    let expected = [
        ("/", ""),
        ("/a", "one"),
        ("/empty/", ""),
        ("/lib/", ""),
        ("/lib/libfoo.so@", "libfoo.so.1"),
        ("/sub/", ""),
        ("/sub/b", "two"),
        ("/sub/c@", "../a"),
    ];
    assert_eq!(fixture.listing(tree(&result, "dist")).await, pairs(&expected));
    assert_eq!((result.exit_code, result.started_at_ms, result.duration_ms), (0, 7000, 3));
}

#[tokio::test]
async fn a_missing_output_fails_and_says_what_is_there() {
    let fixture = Fixture::new();
    let report = fixture.run(action(&["target/app", "?gone"]), |sight| {
        sight.write("target/debug/app", "x");
        sight.write("target/apps", "x");
    });
    assert_eq!(failed(report.await), "output 'target/app' is missing: 'target' holds apps, debug/");
    let report = fixture.run(action(&["a/b"]), |sight| sight.write("a", "x"));
    assert_eq!(failed(report.await), "output 'a/b' is missing: 'a' is a file");
    let report = fixture.run(action(&["a"]), |_| ());
    assert_eq!(failed(report.await), "output 'a' is missing: the workspace is empty");
}

#[tokio::test]
async fn globs_give_one_tree_with_the_paths() {
    let fixture = Fixture::new();
    let globs = "dist/*.whl\nreports/**/*.xml\nkept/*";
    let report = fixture.run(action(&[globs]), |sight| {
        for path in
            ["dist/a.whl", "dist/a.txt", "dist/deep/b.whl", "reports/x/y/r.xml", "top.xml", "kept/d/all"]
        {
            sight.write(path, "x");
        }
        fs::create_dir(sight.upper.join("reports/hollow")).unwrap();
    });
    let result = succeeded(report.await);
    let expected = [
        ("/", ""),
        ("/dist/", ""),
        ("/dist/a.whl", "x"),
        ("/kept/", ""),
        ("/kept/d/", ""),
        ("/kept/d/all", "x"),
        ("/reports/", ""),
        ("/reports/x/", ""),
        ("/reports/x/y/", ""),
        ("/reports/x/y/r.xml", "x"),
    ];
    assert_eq!(fixture.listing(tree(&result, globs)).await, pairs(&expected));
}

#[tokio::test]
async fn globs_that_match_nothing_fail_unless_they_may() {
    let fixture = Fixture::new();
    let report = fixture.run(action(&["*.xml"]), |sight| sight.write("a.txt", "x"));
    assert_eq!(failed(report.await), "nothing matches output '*.xml': the workspace holds a.txt");
    let report = fixture.run(action(&["?*.xml"]), |sight| sight.write("a.txt", "x"));
    assert_eq!(succeeded(report.await).outputs, []);
}

#[tokio::test]
async fn an_output_that_is_a_link_in_the_workspace_is_what_it_points_to() {
    let fixture = Fixture::new();
    let report = fixture.run(action(&["app", "latest/app", "abs"]), |sight| {
        sight.write("build-1/app", "x");
        sight.link("latest", "build-1");
        sight.link("app", "latest/../latest/app");
        sight.link("abs", "/workspace/latest");
    });
    let result = succeeded(report.await);
    let file = TreeRef::File { digest: FUNCTION.digest(b"x"), executable: false };
    assert_eq!((tree(&result, "app"), tree(&result, "latest/app")), (file, file));
    assert_eq!(fixture.listing(tree(&result, "abs")).await, pairs(&[("/", ""), ("/app", "x")]));
}

#[tokio::test]
async fn what_comes_from_the_inputs_unchanged_is_not_taken_from_them() {
    let fixture = Fixture::new();
    let below = fixture.directory(&[("f", Entry::File("deep")), ("up", Entry::Link("../kept"))]).await;
    let data = [("kept", Entry::File("kept")), ("edited", Entry::File("old")), ("sub", Entry::Dir(below))];
    let data = fixture.directory(&data).await;
    let root = fixture.directory(&[("data", Entry::Dir(data)), ("run", Entry::Program("#!"))]).await;
    let mut action = action(&["data", "run", "data/kept"]);
    action.input_root = root;
    let worker = fixture.worker(|sight, _| {
        sight.write("data/edited", "new");
        assert!(sight.launch.inputs.join("data/kept").exists());
        cullet_worker::Exit::Code(0)
    });
    for _ in 0..2 {
        let result = succeeded(crate::fixture::run(&worker, action.clone()).await);
        let expected = [
            ("/", ""),
            ("/edited", "new"),
            ("/kept", "kept"),
            ("/sub/", ""),
            ("/sub/f", "deep"),
            ("/sub/up@", "../kept"),
        ];
        assert_eq!(fixture.listing(tree(&result, "data")).await, pairs(&expected));
        assert_eq!(tree(&result, "run"), TreeRef::File { digest: FUNCTION.digest(b"#!"), executable: true });
        let kept = TreeRef::File { digest: FUNCTION.digest(b"kept"), executable: false };
        assert_eq!(tree(&result, "data/kept"), kept);
    }
}

#[tokio::test]
async fn overlapping_outputs_and_hard_links_are_all_whole() {
    let fixture = Fixture::new();
    let report = fixture.run(action(&["out", "out/a", "**/*.txt"]), |sight| {
        sight.write("out/a", "x");
        sight.write("out/b.txt", "y");
        fs::hard_link(sight.upper.join("out/a"), sight.upper.join("out/c")).unwrap();
    });
    let result = succeeded(report.await);
    let expected = [("/", ""), ("/a", "x"), ("/b.txt", "y"), ("/c", "x")];
    assert_eq!(fixture.listing(tree(&result, "out")).await, pairs(&expected));
    assert_eq!(tree(&result, "out/a"), TreeRef::File { digest: FUNCTION.digest(b"x"), executable: false });
}

#[tokio::test]
async fn paths_are_relative_to_the_working_directory() {
    let fixture = Fixture::new();
    let mut action = action(&["out", "*.txt"]);
    action.working_directory = "sub".to_owned();
    let report = fixture.run(action, |sight| {
        sight.write("sub/out", "x");
        sight.write("sub/a.txt", "y");
        sight.write("out", "wrong");
        sight.write("b.txt", "wrong");
    });
    let result = succeeded(report.await);
    assert_eq!(tree(&result, "out").digest(), FUNCTION.digest(b"x"));
    assert_eq!(fixture.listing(tree(&result, "*.txt")).await, pairs(&[("/", ""), ("/a.txt", "y")]));
}

#[tokio::test]
async fn many_files_are_collected_on_two_threads_with_the_same_result() {
    let fixture = Fixture::new();
    let report = fixture.run(action(&["out"]), |sight| {
        for number in 0..1000 {
            sight.write(&format!("out/{}/{number}", number % 7), number.to_string());
        }
    });
    let result = succeeded(report.await);
    let listing = fixture.listing(tree(&result, "out")).await;
    assert_eq!(listing.len(), 1000 + 7 + 1);
    for (path, contents) in listing.iter().filter(|(path, _)| !path.ends_with('/')) {
        assert_eq!(path.rsplit('/').next(), Some(&**contents));
    }
}
