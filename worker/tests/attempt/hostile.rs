use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::sync::{Arc, Mutex};

use cullet_digest::TreeRef;
use cullet_worker::{AttemptReport, Exit};
use rustix::fs::{FileType, Mode, OFlags};

use crate::fixture::{Entry, FUNCTION, Fixture, action, failed, run, succeeded, tree};

#[tokio::test]
async fn links_out_of_the_workspace_are_refused_by_name() {
    let fixture = Fixture::new();
    let canary = fixture.dir.path().join("canary");
    fs::write(&canary, "secret").unwrap();
    let target = canary.to_str().unwrap().to_owned();
    let cases = [
        ("out", "out", target.clone(), "outside the workspace; copy"),
        ("out", "out", "../../../etc".to_owned(), "outside the workspace; copy"),
        ("dir/out", "dir", target.clone(), "outside the workspace; copy"),
        ("dir", "dir/x/link", target.clone(), "holds the symlink 'dir/x/link'"),
        ("dir", "dir/x/link", "../../..".to_owned(), "holds the symlink"),
        ("d*", "dir/link", target, "holds the symlink"),
        ("loop", "loop", "loop".to_owned(), "more than 40 symlinks"),
    ];
    for (output, link, target, expected) in cases {
        let report = fixture.run(action(&[output]), move |sight| sight.link(link, &target));
        let reason = failed(report.await);
        assert!(reason.contains(expected), "{reason}");
    }
    for path in crate::fixture::walk(&fixture.store.dir().join("cas")) {
        assert_ne!(fs::read(path).unwrap(), b"secret");
    }
}

#[tokio::test]
async fn output_paths_that_climb_are_refused() {
    let fixture = Fixture::new();
    for path in ["../x", "/etc/passwd", "a/../../x"] {
        let reason = failed(fixture.run(action(&[path]), |_| ()).await);
        assert!(reason.contains("is not a path below the workspace"), "{reason}");
    }
}

#[tokio::test]
async fn what_is_no_data_is_refused() {
    let fixture = Fixture::new();
    let report = fixture.run(action(&["out"]), |sight| {
        fs::create_dir(sight.upper.join("out")).unwrap();
        let path = sight.upper.join("out/pipe");
        rustix::fs::mknodat(rustix::fs::CWD, path, FileType::Fifo, Mode::RUSR, 0).unwrap();
    });
    let expected =
        "output 'out': 'out/pipe' is a named pipe, which cannot be kept; remove it before the step ends";
    assert_eq!(failed(report.await), expected);
    let report = fixture.run(action(&["sock"]), |sight| {
        drop(std::os::unix::net::UnixListener::bind(sight.upper.join("sock")).unwrap());
    });
    assert!(failed(report.await).contains("'sock' is a socket"));
}

#[tokio::test]
async fn names_that_are_no_text_are_refused_where_they_are_outputs() {
    let fixture = Fixture::new();
    let strange = |sight: &crate::fixture::Sight<'_>| {
        sight.write("out/plain", "x");
        fs::write(sight.upper.join("out").join(OsStr::from_bytes(b"a\xff\n")), "x").unwrap();
    };
    let reason = failed(fixture.run(action(&["out"]), strange).await);
    assert!(reason.contains(r"'out/a\xff\n' is not valid UTF-8"), "{reason}");
    succeeded(fixture.run(action(&["out/plain", "out/p*"]), strange).await);
}

#[tokio::test]
async fn outputs_have_limits_that_are_checked_before_anything_is_read() {
    let mut fixture = Fixture::new();
    fixture.change = |config| (config.outputs.bytes, config.outputs.entries) = (1 << 30, 100);
    let report = fixture.run(action(&["out"]), |sight| {
        sight.write("out/small", "x");
        let large = fs::File::create(sight.upper.join("out/large")).unwrap();
        large.set_len(100 << 30).unwrap();
    });
    let expected = "the outputs have more than 1073741824 bytes, the most that the step may leave (at 'out/small'); see `limits.output`";
    let reason = failed(report.await);
    assert_eq!(reason.replace("large", "small"), expected);
    let report = fixture.run(action(&["out"]), |sight| {
        (0..200).for_each(|number| sight.write(&format!("out/{number}"), "x"));
    });
    assert!(failed(report.await).contains("more than 100 files"));
}

#[tokio::test]
async fn locked_files_and_directories_are_collected_and_removed() {
    let fixture = Fixture::new();
    let report = fixture.run(action(&["out"]), |sight| {
        sight.write("out/locked/file", "x");
        sight.write("rest/a/b/file", "x");
        for path in ["out/locked/file", "out/locked", "rest/a/b", "rest/a", "rest"] {
            fs::set_permissions(sight.upper.join(path), fs::Permissions::from_mode(0o0)).unwrap();
        }
        fs::create_dir_all(sight.launch.scratch.join("work/work")).unwrap();
        fs::set_permissions(sight.launch.scratch.join("work/work"), fs::Permissions::from_mode(0o0)).unwrap();
    });
    let result = succeeded(report.await);
    assert_eq!(fixture.listing(tree(&result, "out")).await.len(), 3);
}

#[tokio::test]
async fn four_thousand_levels_are_collected_made_again_and_removed() {
    let fixture = Fixture::new();
    let deep = |sight: &crate::fixture::Sight<'_>| {
        let mut here: std::os::fd::OwnedFd = fs::File::open(sight.upper).unwrap().into();
        for _ in 0..4096 {
            rustix::fs::mkdirat(&here, "d", Mode::from_raw_mode(0o755)).unwrap();
            here = rustix::fs::openat(&here, "d", OFlags::DIRECTORY, Mode::empty()).unwrap();
        }
        rustix::fs::openat(&here, "bottom", OFlags::CREATE | OFlags::WRONLY, Mode::RUSR).unwrap();
    };
    let result = succeeded(fixture.run(action(&["d"]), deep).await);
    let TreeRef::Directory(root) = tree(&result, "d") else { panic!("no directory") };
    let mut again = action(&["d"]);
    again.input_root = root;
    let result = succeeded(fixture.run(again, |sight| sight.write("d/x", "y")).await);
    assert_ne!(tree(&result, "d").digest(), root);
}

#[tokio::test]
async fn a_failed_step_keeps_what_can_be_kept_and_is_not_recorded() {
    let fixture = Fixture::new();
    let worker = fixture.worker(|sight, log| {
        log.write(cullet_worker::Stream::Stderr, b"assertion failed\n");
        sight.write("results.xml", "<testsuite/>");
        sight.link("bad", "/etc");
        Exit::Code(3)
    });
    let action = action(&["results.xml", "bad", "missing"]);
    match run(&worker, action.clone()).await {
        AttemptReport::Failed { result, reason: None, warnings } if warnings.is_empty() => {
            assert_eq!(result.exit_code, 3);
            assert_eq!(result.outputs.len(), 1);
            assert_eq!(crate::fixture::text(&fixture, &result.stderr).await, "assertion failed\n");
        }
        other => panic!("{other:#?}"),
    }
    let key = action.encode(crate::fixture::FUNCTION).digest;
    assert_eq!(fixture.actions.get_blocking(&key).unwrap(), None);
}

#[tokio::test]
async fn a_file_held_open_outside_is_not_a_blob() {
    use std::io::Write as _;
    let fixture = Fixture::new();
    let held = Arc::new(Mutex::new(None));
    let (file, digest) = (Arc::clone(&held), FUNCTION.digest(b"result"));
    let mut action = action(&["out"]);
    action.platform = vec![("network".to_owned(), "full".to_owned())];
    let report = fixture.run(action, move |sight| {
        sight.write("out/app", "result");
        let path = sight.upper.join("out/app");
        *file.lock().unwrap() = Some(fs::File::options().write(true).open(path).unwrap());
    });
    succeeded(report.await);
    held.lock().unwrap().take().unwrap().write_all(b"POISON").unwrap();
    assert_eq!(fs::read(fixture.blob_path(&digest)).unwrap(), b"result");
}

#[tokio::test]
async fn links_out_of_the_output_are_refused_although_they_stay_in_the_workspace() {
    let fixture = Fixture::new();
    let cases = [
        ("out/a/b", "out/a/b/l", "../../../etc/passwd"),
        ("out/a/b", "out/a/b/l", "../c"),
        ("out", "out/up/m", "n/../../../etc/hosts"),
        ("out", "out/up/m", "n/.."),
        ("out/*", "out/m", "../.."),
    ];
    for (output, link, target) in cases {
        let report = fixture.run(action(&[output]), move |sight| sight.link(link, target));
        let reason = failed(report.await);
        assert!(reason.contains("which may lead outside"), "{link} -> {target}: {reason}");
    }
    // The root of what globs match is the workspace.
    let good =
        [("out", "out/bin/tool", "../lib/x"), ("out/*", "out/m", "../sub/x"), ("out", "out/a/up", "..")];
    for (output, link, target) in good {
        succeeded(fixture.run(action(&[output]), move |sight| sight.link(link, target)).await);
    }
}

#[tokio::test]
async fn links_of_untouched_inputs_keep_to_the_same_rule() {
    let fixture = Fixture::new();
    // The link of `in/b/c` stays inside of `in` and leads out of `in/b`.
    let deep = fixture.directory(&[("up", Entry::Link("../../x"))]).await;
    let middle = fixture.directory(&[("c", Entry::Dir(deep)), ("d", Entry::Dir(deep))]).await;
    let top = fixture.directory(&[("a", Entry::Dir(middle)), ("b", Entry::Dir(middle))]).await;
    let absolute = fixture.directory(&[("etc", Entry::Link("/etc"))]).await;
    let winding = fixture.directory(&[("w", Entry::Link("n/../x"))]).await;
    let (absolute, winding) = (("abs", Entry::Dir(absolute)), ("wind", Entry::Dir(winding)));
    let bad = fixture.directory(&[absolute, winding]).await;
    let root = fixture.directory(&[("in", Entry::Dir(top)), ("bad", Entry::Dir(bad))]).await;
    let run = |output: &str, edit: Option<&'static str>| {
        let mut action = action(&[output]);
        action.input_root = root;
        fixture.run(action, move |sight| edit.into_iter().for_each(|path| sight.write(path, "x")))
    };
    let cases = [
        ("in/b", "/up' to '../../x'"),
        ("bad", "' to '"),
        ("bad/a*", "'bad/abs/etc' to '/etc'"),
        ("bad/w*", "'bad/wind/w' to 'n/../x'"),
        ("**", "' to '"),
    ];
    for (output, expected) in cases {
        for edit in [None, Some("in/other"), Some("in/b/c/other"), Some("bad/abs/other")] {
            let reason = failed(run(output, edit).await);
            assert!(reason.contains(expected) && reason.contains("which may lead"), "{output}: {reason}");
        }
    }
    // The root of what globs match is the workspace.
    succeeded(run("in/b/*", None).await);
    let kept = succeeded(run("in", None).await);
    assert_eq!(tree(&kept, "in").digest(), top, "what was checked is handed out as it was");
}
