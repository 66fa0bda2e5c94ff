//! What a layer hides, as it is in the directory. `mounted` has what the kernel makes of it.

use std::os::fd::AsFd as _;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};

use super::super::whiteout::{Made, Markers};
use super::*;

fn form() -> OverlayForm {
    UnpackOptions::for_this_user().form
}

#[track_caller]
fn is_whiteout(dir: &TempDir, path: &str) -> bool {
    let stat = std::fs::symlink_metadata(dir.path().join(path)).unwrap();
    let device = stat.file_type().is_char_device() && stat.rdev() == 0;
    device || attribute(&dir.path().join(path), &form().attribute("whiteout")).is_some()
}

fn is_opaque(dir: &TempDir, path: &str) -> bool {
    attribute(&dir.path().join(path), &form().attribute("opaque")).is_some_and(|value| value == b"y")
}

#[test]
fn whiteouts_and_opaque_directories_are_marked() {
    let (dir, _) = Archive::new()
        .file(".wh.top", "")
        .file("a/.wh.b", "")
        .file("c/.wh..wh..opq", "")
        .file("c/new", "1")
        .file("e/.wh..wh.plnk", "")
        .unpack()
        .unwrap();
    assert!(is_whiteout(&dir, "top") && is_whiteout(&dir, "a/b"));
    assert!(is_opaque(&dir, "c") && !is_opaque(&dir, "a"));
    assert_eq!(read(&dir, "c/new"), "1");
    assert!(!dir.path().join("e").exists(), "AUFS' own files are nothing");
}

#[test]
fn what_is_in_the_layer_stays_whichever_came_first() {
    for whiteout_first in [true, false] {
        let hide = |archive: Archive| archive.file(".wh.file", "").file(".wh.dir", "").file(".wh.deep", "");
        let show = |archive: Archive| archive.file("file", "1").dir("dir").file("deep/x", "2");
        let archive = if whiteout_first { show(hide(Archive::new())) } else { hide(show(Archive::new())) };
        let (dir, _) = archive.unpack().unwrap();
        assert_eq!((read(&dir, "file"), read(&dir, "deep/x")), ("1".to_owned(), "2".to_owned()));
        assert!(is_opaque(&dir, "dir") && is_opaque(&dir, "deep"), "lower layers' entries are gone");
        assert!(!is_whiteout(&dir, "file"));
    }
}

#[test]
fn whiteouts_in_an_opaque_directory_say_nothing() {
    let (dir, _) =
        Archive::new().file("d/.wh.a", "").file("d/.wh..wh..opq", "").file("d/b", "").unpack().unwrap();
    let names: Vec<_> =
        std::fs::read_dir(dir.path().join("d")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names, ["b"]);
}

#[test]
fn where_devices_cannot_be_made_attributes_say_it() {
    let dir = tempfile::tempdir().unwrap();
    let fd = std::fs::File::open(dir.path()).unwrap();
    let markers = Markers::attributes_only(form());
    assert_eq!(markers.whiteout(fd.as_fd(), b"gone").unwrap(), Made::Attribute);
    assert!(is_whiteout(&dir, "gone"));
    let probed = Markers::probe(form(), fd.as_fd()).unwrap();
    assert_eq!(probed.whiteout(fd.as_fd(), b"device").unwrap(), Made::Device);
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 2, "the probe is gone");
}
