use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::copy::Copy;
use super::place::Place;
use super::publish::MOST_LAYERS;
use super::record::{self, Record};
use super::*;

mod secrets;
mod taking;

#[derive(Debug, Default)]
struct Heard(Mutex<Vec<String>>);

impl VolumeEvents for Heard {
    fn tell(&self, _: &str, _: bool, text: String) {
        self.0.lock().unwrap().push(text);
    }
}

struct Fixture {
    dir: tempfile::TempDir,
    volumes: Volumes,
    heard: Arc<Heard>,
}

fn wanted(volume: &str) -> VolumeUse {
    let (scope, volume, path) = ("app".to_owned(), volume.to_owned(), "/c".to_owned());
    VolumeUse { scope, volume, path, locked: false, empty: false, travels: None }
}

/// By a step that has succeeded and has no secrets.
fn left(reachable: bool) -> Leaving {
    Leaving { succeeded: true, reachable, ..Leaving::default() }
}

impl Fixture {
    fn with(volume_bytes: u64, total_bytes: u64) -> Self {
        Self::of(tempfile::tempdir().unwrap(), volume_bytes, total_bytes)
    }

    fn of(dir: tempfile::TempDir, volume_bytes: u64, total_bytes: u64) -> Self {
        let heard = Arc::new(Heard::default());
        let config = VolumesConfig {
            dir: dir.path().join("volumes"),
            owner: None,
            volume_bytes,
            total_bytes,
            patience: Duration::from_millis(300),
            events: heard.clone(),
            reclaim: || None,
        };
        Self { dir, volumes: Volumes::new(config), heard }
    }

    fn new() -> Self {
        Self::with(1 << 30, 1 << 30)
    }

    /// Another process, as far as files tell.
    fn other(self) -> Self {
        Self::of(self.dir, 1 << 30, 1 << 30)
    }

    fn place(&self, volume: &str) -> Place {
        self.volumes.0.place(&wanted(volume)).0
    }

    fn copy(&self, volume: &str) -> Result<Copy, VolumeError> {
        let (place, about) = self.volumes.0.place(&wanted(volume));
        self.volumes.0.copy(&place, &about)
    }

    /// A step that writes files in what it sees as the volume, and succeeds.
    fn step(&self, volume: &str, files: &[(&str, &str)]) -> bool {
        let mut copy = self.copy(volume).unwrap();
        write(&copy.draft.upper(), files);
        self.volumes.0.publish(&mut copy, &left(false)).unwrap()
    }

    fn layers(&self, volume: &str) -> usize {
        let record: Option<Record> = record::read(&self.place(volume).current()).unwrap();
        record.map_or(0, |record| record.layers.len())
    }

    fn told(&self) -> String {
        self.heard.0.lock().unwrap().join("\n")
    }
}

fn write(dir: &Path, files: &[(&str, &str)]) {
    for (path, text) in files {
        let path = dir.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
}

/// What a step sees, as `path=contents`, without mounting anything.
fn seen(copy: &Copy) -> Vec<String> {
    use crate::layers::{Entry, LayerSet, Workspace, join};
    let mut layers = copy.layers();
    layers.reverse();
    if layers.is_empty() {
        return Vec::new();
    }
    let merged = Workspace::open(&layers, Path::new("")).unwrap();
    let mut pending: Vec<(Vec<u8>, LayerSet)> = vec![(Vec::new(), merged.root())];
    let mut found = Vec::new();
    while let Some((path, set)) = pending.pop() {
        for (name, entry) in merged.list(&path, set, u64::MAX).unwrap().unwrap() {
            let path = join(&path, &name);
            let text = String::from_utf8(path.clone()).unwrap();
            match entry {
                Entry::Directory(set) => pending.push((path, set)),
                Entry::File(file) => {
                    found.push(format!(
                        "{text}={}",
                        fs::read_to_string(layers[file.layer].join(&text)).unwrap()
                    ));
                }
                other => found.push(format!("{text}: {other:?}")),
            }
        }
    }
    found.sort();
    found
}

/// Everything below a directory, to compare what was there with what is.
fn names(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut pending = vec![dir.to_owned()];
    while let Some(dir) = pending.pop() {
        for entry in fs::read_dir(&dir).into_iter().flatten().flatten() {
            found.push(entry.path());
            if entry.file_type().unwrap().is_dir() {
                pending.push(entry.path());
            }
        }
    }
    found
}

#[test]
fn what_a_step_wrote_is_there_for_the_next_and_a_failed_one_leaves_nothing() {
    let fixture = Fixture::new();
    assert!(fixture.step("v", &[("a", "1"), ("d/b", "2")]));
    assert!(fixture.step("v", &[("d/b", "3"), ("d/c", "4")]));
    assert_eq!(seen(&fixture.copy("v").unwrap()), ["a=1", "d/b=3", "d/c=4"]);
    let failed = fixture.copy("v").unwrap();
    write(&failed.draft.upper(), &[("a", "bad")]);
    drop(failed);
    assert!(!fixture.step("v", &[]), "nothing was written");
    assert_eq!((seen(&fixture.copy("v").unwrap()).len(), fixture.layers("v")), (3, 2));
    assert!(names(&fixture.place("v").drafts()).is_empty());
    assert!(seen(&fixture.copy("w").unwrap()).is_empty(), "another name is another volume");
}

#[test]
fn the_last_of_two_writers_wins_with_all_that_it_had() {
    let fixture = Fixture::new();
    fixture.step("v", &[("base", "0")]);
    let (mut one, mut two) = (fixture.copy("v").unwrap(), fixture.copy("v").unwrap());
    write(&one.draft.upper(), &[("one", "1")]);
    write(&two.draft.upper(), &[("two", "2")]);
    assert!(fixture.volumes.0.publish(&mut one, &left(false)).unwrap());
    assert_eq!(seen(&two), ["base=0"], "a copy does not change while it is used");
    assert!(fixture.volumes.0.publish(&mut two, &left(false)).unwrap());
    drop((one, two));
    assert_eq!(seen(&fixture.copy("v").unwrap()), ["base=0", "two=2"]);
    fixture.step("v", &[("three", "3")]);
    assert_eq!(fs::read_dir(fixture.place("v").layers()).unwrap().count(), 3, "what nobody names goes");
}

#[test]
fn many_layers_are_made_one_and_nothing_is_lost() {
    let fixture = Fixture::new();
    let long = "x".repeat(100);
    for number in 0..=MOST_LAYERS {
        fixture.step("v", &[(&format!("d{}/f{number}", number % 3), &long), ("last", &number.to_string())]);
    }
    let copy = fixture.copy("v").unwrap();
    assert_eq!((fixture.layers("v"), seen(&copy).len()), (1, MOST_LAYERS + 2));
    assert!(seen(&copy).contains(&format!("last={MOST_LAYERS}")));
    drop(copy);
    fixture.step("v", &[("more", "1")]);
    assert_eq!(fs::read_dir(fixture.place("v").layers()).unwrap().count(), 2);
}

#[test]
fn what_somebody_may_still_hold_open_is_copied() {
    let fixture = Fixture::new();
    fixture.step("v", &[("old", "1")]);
    let mut copy = fixture.copy("v").unwrap();
    let upper = copy.draft.upper();
    write(&upper, &[("d/new", "2")]);
    symlink("new", upper.join("d/link")).unwrap();
    let then = std::time::SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000);
    fs::File::options().write(true).open(upper.join("d/new")).unwrap().set_modified(then).unwrap();
    let held = fs::metadata(upper.join("d/new")).unwrap().ino();
    assert!(fixture.volumes.0.publish(&mut copy, &left(true)).unwrap());
    let copy = fixture.copy("v").unwrap();
    let layer = &copy.layers()[0];
    let kept = fs::metadata(layer.join("d/new")).unwrap();
    assert_eq!((copy.layers().len(), kept.modified().unwrap()), (1, then));
    assert_ne!(kept.ino(), held);
    assert_eq!(fs::read_link(layer.join("d/link")).unwrap(), Path::new("new"));
    assert_eq!(fs::read_to_string(layer.join("old")).unwrap(), "1");
}

#[test]
fn what_no_step_should_find_is_not_kept() {
    let fixture = Fixture::new();
    let mut copy = fixture.copy("v").unwrap();
    let upper = copy.draft.upper();
    write(&upper, &[("locked/deep/file", "1"), ("suid", "2")]);
    let mode =
        |path: &str, mode| fs::set_permissions(upper.join(path), fs::Permissions::from_mode(mode)).unwrap();
    mode("suid", 0o6755);
    for path in ["locked/deep", "locked"] {
        mode(path, 0);
    }
    let _socket = std::os::unix::net::UnixListener::bind(upper.join("socket")).unwrap();
    assert!(fixture.volumes.0.publish(&mut copy, &left(false)).unwrap());
    let copy = fixture.copy("v").unwrap();
    let layer = &copy.layers()[0];
    assert_eq!(fs::metadata(layer.join("suid")).unwrap().permissions().mode() & 0o7777, 0o755);
    assert_eq!(seen(&copy), ["locked/deep/file=1", "suid=2"]);
}

#[test]
fn one_that_grows_too_large_stays_what_it_was() {
    let fixture = Fixture::with(20 * 4096, 1 << 30);
    fixture.step("v", &[("a", "1")]);
    let mut copy = fixture.copy("v").unwrap();
    let files: Vec<String> = (0..30).map(|number| format!("f{number}")).collect();
    write(&copy.draft.upper(), &files.iter().map(|name| (name.as_str(), "x")).collect::<Vec<_>>());
    for reachable in [false, true] {
        let refused = fixture.volumes.0.publish(&mut copy, &left(reachable));
        assert!(matches!(refused, Err(VolumeError::TooLarge(81_920))), "{refused:?}");
    }
    drop(copy);
    assert_eq!(seen(&fixture.copy("v").unwrap()), ["a=1"]);
    // Rewriting one file does not make it grow for ever.
    for number in 0..100 {
        fixture.step("v", &[("a", &number.to_string()), ("b", "1")]);
    }
    assert_eq!(seen(&fixture.copy("v").unwrap()), ["a=99", "b=1"]);
}

#[test]
fn whole_volumes_go_that_were_not_used_for_longest_and_that_nobody_has() {
    let fixture = Fixture::new();
    for volume in ["a", "b", "c"] {
        fixture.step(volume, &[("f", volume)]);
        std::thread::sleep(Duration::from_millis(20));
    }
    let in_use = fixture.copy("a").unwrap();
    let all = fixture.volumes.list().unwrap();
    let bytes = all[0].bytes;
    assert_eq!(
        all.iter().map(|info| (&*info.volume, info.in_use)).collect::<Vec<_>>(),
        [("a", true), ("b", false), ("c", false)]
    );
    let evicted = fixture.volumes.evict(2 * bytes).unwrap();
    assert_eq!((evicted.volumes, evicted.bytes_after), (1, 2 * bytes));
    assert!(seen(&fixture.copy("b").unwrap()).is_empty());
    assert_eq!(seen(&fixture.copy("c").unwrap()), ["f=c"]);
    fixture.volumes.evict(0).unwrap();
    assert_eq!(seen(&in_use), ["f=a"]);
    drop(in_use);
    assert_eq!(fixture.volumes.remove(|info| info.volume == "a").unwrap().volumes, 1);
    assert!(names(&fixture.dir.path().join("volumes/.gone")).is_empty());
}

#[test]
fn what_may_not_have_reached_the_disk_is_not_trusted_after_a_restart_of_the_machine() {
    let fixture = Fixture::new();
    fixture.step("v", &[("a", "1")]);
    fixture.volumes.settle(|_| Ok(true)).unwrap();
    let restart = |fixture: &Fixture| {
        let current = fixture.place("v").current();
        let record: Record = record::read(&current).unwrap().unwrap();
        record::write(&current, &Record { boot: "another".to_owned(), ..record }).unwrap();
    };
    restart(&fixture);
    assert_eq!(seen(&fixture.copy("v").unwrap()), ["a=1"]);
    fixture.step("v", &[("a", "2")]);
    // The disk is busy.
    fixture.volumes.settle(|_| Ok(false)).unwrap();
    restart(&fixture);
    assert!(seen(&fixture.copy("v").unwrap()).is_empty());
    fixture.step("v", &[("a", "3")]);
    assert_eq!(seen(&fixture.copy("v").unwrap()), ["a=3"]);
    // What was left is there the next time, and is settled once.
    fixture.volumes.settle(|_| Ok(false)).unwrap();
    fixture.volumes.settle(|_| Err(std::io::ErrorKind::Other.into())).unwrap_err();
    fixture.volumes.settle(|_| Ok(true)).unwrap();
    fixture.volumes.settle(|_| panic!("nothing is left")).unwrap();
    restart(&fixture);
    assert_eq!(seen(&fixture.copy("v").unwrap()), ["a=3"]);
    // Another process has no reason to sync either, and finds out by itself.
    let other = Volumes::new(fixture.volumes.0.config.clone());
    other.settle(|_| panic!("nothing is left")).unwrap();
    fixture.step("v", &[("a", "4")]);
    other.settle(|_| panic!("it has looked")).unwrap();
    let another = Volumes::new(fixture.volumes.0.config.clone());
    another.settle(|_| Ok(true)).unwrap();
    restart(&fixture);
    assert_eq!(seen(&fixture.copy("v").unwrap()), ["a=4"]);
}

#[test]
fn a_process_that_is_killed_leaves_the_old_version_or_the_new_one() {
    let fixture = Fixture::new();
    fixture.step("v", &[("a", "old")]);
    let place = fixture.place("v");
    // While the step ran; when the layer had its name; when the list was written but not renamed.
    let half = place.drafts().join("1-1");
    write(&half.join("upper"), &[("a", "half")]);
    write(&place.layers().join("orphan"), &[("a", "half")]);
    fs::write(place.dir().join("current.new"), "half").unwrap();
    let fixture = fixture.other();
    assert_eq!(seen(&fixture.copy("v").unwrap()), ["a=old"]);
    assert!(!half.exists() && !place.layers().join("orphan").exists());
    fixture.step("v", &[("a", "new")]);
    let fixture = fixture.other();
    assert_eq!(seen(&fixture.copy("v").unwrap()), ["a=new"]);
}
