use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::sync::{Arc, Mutex};

use cullet_cache::Action;
use cullet_digest::Digest;
use cullet_worker::{AttemptReport, Exit};

use crate::fixture::{Entry, FUNCTION, Fixture, action, run, succeeded};

fn reading(root: Digest) -> Action {
    Action { input_root: root, ..action(&[]) }
}

#[tokio::test]
async fn an_input_root_looks_the_same_every_time() {
    let fixture = Fixture::new();
    let below = fixture.directory(&[("file", Entry::File("same")), ("up", Entry::Link("../tool"))]).await;
    let entries = [
        ("below", Entry::Dir(below)),
        ("tool", Entry::Program("same")),
        ("none", Entry::File("")),
        ("empty", Entry::Dir(FUNCTION.digest(b""))),
    ];
    let root = fixture.directory(&entries).await;
    let worker = fixture.worker(|sight, _| {
        let inputs = &sight.launch.inputs;
        assert_eq!(fs::read_to_string(inputs.join("below/up")).unwrap(), "same");
        assert_eq!(fs::read_to_string(inputs.join("none")).unwrap(), "");
        assert_eq!(fs::read_dir(inputs.join("empty")).unwrap().count(), 0);
        let modes = [("", 0o755), ("below", 0o755), ("below/file", 0o644), ("tool", 0o755), ("none", 0o644)];
        for (path, mode) in modes {
            let metadata = fs::metadata(inputs.join(path)).unwrap();
            assert_eq!(metadata.permissions().mode() & 0o7777, mode, "{path}");
            assert_eq!((metadata.mtime(), metadata.mtime_nsec()), (1_262_304_000, 0), "{path}");
        }
        assert_eq!(fs::symlink_metadata(inputs.join("below/up")).unwrap().mtime(), 1_262_304_000);
        Exit::Code(0)
    });
    succeeded(run(&worker, reading(root)).await);
}

#[tokio::test]
async fn attempts_with_equal_inputs_share_them() {
    let fixture = Fixture::new();
    let root = fixture.directory(&[("a", Entry::File("x"))]).await;
    let other = fixture.directory(&[("a", Entry::File("y"))]).await;
    let seen = Arc::new(Mutex::new(BTreeSet::new()));
    let paths = Arc::clone(&seen);
    let worker = fixture.worker(move |sight, _| {
        paths.lock().unwrap().insert(sight.launch.inputs.clone());
        Exit::Code(0)
    });
    let (one, two, three) =
        tokio::join!(run(&worker, reading(root)), run(&worker, reading(root)), run(&worker, reading(other)));
    for report in [one, two, three] {
        succeeded(report);
    }
    succeeded(run(&worker, reading(root)).await);
    assert_eq!(seen.lock().unwrap().len(), 2);
    drop(worker);
    fixture.assert_clean();
}

#[tokio::test]
async fn lost_and_damaged_inputs_are_all_named() {
    let fixture = Fixture::new();
    let below = fixture.directory(&[("deleted", Entry::File("one")), ("fine", Entry::File("three"))]).await;
    let gone = fixture.directory(&[("x", Entry::File("unseen"))]).await;
    let entries = [("flipped", Entry::File("two")), ("below", Entry::Dir(below)), ("gone", Entry::Dir(gone))];
    let root = fixture.directory(&entries).await;
    for lost in [FUNCTION.digest(b"one"), gone] {
        fs::remove_file(fixture.blob_path(&lost)).unwrap();
    }
    let flipped = fixture.blob_path(&FUNCTION.digest(b"two"));
    fs::write(&flipped, "twO").unwrap();
    let worker = fixture.worker(|_, _| Exit::Code(0));
    match run(&worker, reading(root)).await {
        AttemptReport::InputLost(lost) => {
            let mut paths: Vec<_> = lost.inputs.iter().map(|lost| &*lost.path).collect();
            paths.sort_unstable();
            assert_eq!(paths, ["below/deleted", "flipped", "gone"]);
            assert_eq!(lost.inputs.iter().find(|lost| lost.path == "gone").unwrap().digest, gone);
        }
        other => panic!("{other:#?}"),
    }
    // Made again, they are found again.
    fixture.directory(&[("a", Entry::File("one")), ("b", Entry::File("two"))]).await;
    fixture.directory(&[("x", Entry::File("unseen"))]).await;
    succeeded(run(&worker, reading(root)).await);
}

#[tokio::test]
async fn sources_come_into_the_cache_when_they_are_needed() {
    let fixture = Fixture::new();
    let source = fixture.dir.path().join("main.c");
    fs::write(&source, "int main;").unwrap();
    let digest = FUNCTION.digest(b"int main;");
    fixture.sources.0.lock().unwrap().push((digest, source.clone()));
    let root = fixture.directory(&[("main.c", Entry::Blob(digest))]).await;
    let worker = fixture.worker(|sight, _| {
        assert_eq!(fs::read_to_string(sight.launch.inputs.join("main.c")).unwrap(), "int main;");
        Exit::Code(0)
    });
    succeeded(run(&worker, reading(root)).await);
    assert_eq!(fs::metadata(&source).unwrap().nlink(), 1);
}

#[tokio::test]
async fn a_source_that_changed_meanwhile_is_said_and_never_used() {
    let fixture = Fixture::new();
    let source = fixture.dir.path().join("main.c");
    let digest = FUNCTION.digest(b"as it was");
    fixture.sources.0.lock().unwrap().push((digest, source.clone()));
    let root = fixture.directory(&[("main.c", Entry::Blob(digest))]).await;
    let worker = fixture.worker(|_, _| panic!("must not run"));
    for contents in [Some("as it is now"), Some("as it iS"), None] {
        match contents {
            Some(text) => fs::write(&source, text).unwrap(),
            None => fs::remove_file(&source).unwrap(),
        }
        match run(&worker, reading(root)).await {
            AttemptReport::Infra { reason, result: None } => {
                let expected = format!("{} changed while the run was going on; run again", source.display());
                assert_eq!(reason, expected);
            }
            other => panic!("{other:#?}"),
        }
    }
    drop(worker);
    fixture.assert_clean();
}

#[tokio::test]
async fn many_files_in_many_directories_are_all_there() {
    let fixture = Fixture::new();
    let mut directories = Vec::new();
    for number in 0..40 {
        let names: Vec<String> = (0..25).map(|file| format!("f{file}")).collect();
        let text = number.to_string();
        let entries: Vec<_> = names.iter().map(|name| (&**name, Entry::File(&text))).collect();
        directories.push((format!("d{number}"), fixture.directory(&entries).await));
    }
    let entries: Vec<_> = directories.iter().map(|(name, digest)| (&**name, Entry::Dir(*digest))).collect();
    let root = fixture.directory(&entries).await;
    let worker = fixture.worker(|sight, _| {
        let files = crate::fixture::walk(&sight.launch.inputs);
        assert_eq!(files.len(), 1000);
        let text = fs::read_to_string(sight.launch.inputs.join("d39/f24")).unwrap();
        if text == "39" { Exit::Code(0) } else { Exit::Code(1) }
    });
    succeeded(run(&worker, reading(root)).await);
}
