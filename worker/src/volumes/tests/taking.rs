use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::*;

#[tokio::test]
async fn damage_is_told_and_the_step_has_an_empty_one_that_is_not_kept() {
    let fixture = Fixture::new();
    fixture.step("v", &[("a", "1")]);
    fs::write(fixture.place("v").current(), "nonsense").unwrap();
    let scratch = tempfile::tempdir().unwrap();
    let cancel = CancellationToken::new();
    let taken = fixture.volumes.take("s", &[wanted("v")], scratch.path(), &cancel).await.unwrap();
    let mount = &taken.mounts()[0];
    assert!(mount.layers.is_empty() && mount.draft.starts_with(scratch.path()));
    assert!(mount.draft.join("upper").is_dir() && mount.draft.join("work").is_dir());
    assert!(
        fixture.told().contains("has an empty directory in place of the cache 'v'"),
        "{}",
        fixture.told()
    );
    taken.end(left(false)).await;
    assert!(fixture.step("v", &[("b", "2")]), "the next one starts anew");
    assert_eq!(seen(&fixture.copy("v").unwrap()), ["b=2"]);
    fs::remove_dir_all(fixture.place("v").layers()).unwrap();
    assert!(matches!(fixture.copy("v"), Err(VolumeError::Damaged(_))));
}

#[tokio::test]
async fn who_wants_an_empty_one_finds_and_leaves_nothing_and_waits_for_nobody() {
    let fixture = Fixture::new();
    fixture.step("v", &[("a", "1")]);
    let scratch = tempfile::tempdir().unwrap();
    let cancel = CancellationToken::new();
    let locked = VolumeUse { locked: true, ..wanted("v") };
    let other =
        fixture.volumes.take("one", std::slice::from_ref(&locked), scratch.path(), &cancel).await.unwrap();
    let empty = [VolumeUse { empty: true, ..locked }];
    let taken = fixture.volumes.take("two", &empty, scratch.path(), &cancel).await.unwrap();
    let mount = taken.mounts().remove(0);
    assert!(mount.path == "/c" && mount.layers.is_empty() && mount.draft.starts_with(scratch.path()));
    // Two attempts may have one scratch directory, one after the other.
    let beside = fixture.volumes.take("two", &empty, scratch.path(), &cancel).await.unwrap();
    assert_ne!(beside.mounts()[0].draft, mount.draft);
    write(&mount.draft.join("upper"), &[("b", "2")]);
    taken.end(left(false)).await;
    assert!(!mount.draft.exists() && beside.mounts()[0].draft.exists());
    other.end(Leaving::default()).await;
    assert_eq!((seen(&fixture.copy("v").unwrap()), fixture.told()), (vec!["a=1".to_owned()], String::new()));
}

#[tokio::test]
async fn what_could_not_be_mounted_is_told_and_not_kept() {
    let fixture = Fixture::new();
    let scratch = tempfile::tempdir().unwrap();
    for succeeded in [true, false] {
        let cancel = CancellationToken::new();
        let taken = fixture.volumes.take("s", &[wanted("v")], scratch.path(), &cancel).await.unwrap();
        let draft = taken.mounts()[0].draft.clone();
        write(&draft, &[("upper/a", "1"), (VolumeMount::FAILED, "no such thing")]);
        taken.end(Leaving { succeeded, ..left(false) }).await;
        assert!(!draft.exists());
    }
    assert!(seen(&fixture.copy("v").unwrap()).is_empty());
    let told = fixture.told();
    assert_eq!(told.lines().count(), 1, "{told}");
    assert!(told.ends_with("is not kept: it could not be mounted: no such thing"), "{told}");
}

#[tokio::test]
async fn a_locked_volume_is_waited_for_and_given_up_and_cancelled() {
    let fixture = Fixture::new();
    let scratch = tempfile::tempdir().unwrap();
    let locked = [VolumeUse { locked: true, ..wanted("v") }];
    let cancel = CancellationToken::new();
    let first = fixture.volumes.take("one", &locked, scratch.path(), &cancel).await.unwrap();
    write(&first.mounts()[0].draft, &[("upper/a", "1")]);
    let second = fixture.volumes.take("two", &locked, scratch.path(), &cancel).await.unwrap();
    assert!(fixture.told().contains("has an empty directory in place"), "{}", fixture.told());
    second.end(left(false)).await;
    let waiting = fixture.volumes.take("three", &locked, scratch.path(), &cancel);
    let (third, ()) = tokio::join!(waiting, async {
        tokio::time::sleep(Duration::from_millis(50)).await;
        first.end(left(false)).await;
    });
    let third = third.unwrap();
    assert_eq!(third.mounts()[0].layers.len(), 1, "what the first one wrote is there");
    cancel.cancel();
    assert!(fixture.volumes.take("four", &locked, scratch.path(), &cancel).await.is_none());
    drop(third);
}

#[tokio::test]
async fn places_in_the_workspace_are_none_of_its_files() {
    let fixture = Fixture::new();
    let dir = tempfile::tempdir().unwrap();
    let (upper, inputs) = (dir.path().join("upper"), dir.path().join("inputs"));
    for path in ["upper/a/b/c", "upper/kept/target", "inputs/kept", "upper/full/x/target"] {
        fs::create_dir_all(dir.path().join(path)).unwrap();
    }
    fs::write(upper.join("full/file"), "").unwrap();
    // A step may move the directory above a volume, and put a link in its place.
    fs::create_dir_all(dir.path().join("outside/b")).unwrap();
    std::os::unix::fs::symlink(dir.path().join("outside"), upper.join("linked")).unwrap();
    let at = |volume: &str, path: &str| VolumeUse { path: path.to_owned(), ..wanted(volume) };
    let all = [
        at("v", "/workspace/a/b/c"),
        at("w", "/workspace/kept/target"),
        at("x", "/workspace/full/x/target"),
        at("y", "/root"),
        at("z", "/workspace/linked/b"),
    ];
    let cancel = CancellationToken::new();
    let taken = fixture.volumes.take("s", &all, dir.path(), &cancel).await.unwrap();
    taken.clear_workspace(&upper, &inputs);
    taken.end(Leaving::default()).await;
    let mut left: Vec<PathBuf> = names(&upper);
    left.sort();
    assert_eq!(left, ["full", "full/file", "kept", "linked"].map(|path| upper.join(path)));
    assert!(dir.path().join("outside/b").is_dir());
}
