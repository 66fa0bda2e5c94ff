//! Unpacked layers, mounted: what the kernel makes of them. Mounting takes root.

use std::ffi::CString;
use std::path::PathBuf;

use rustix::mount::{MountFlags, UnmountFlags};

use super::super::whiteout::Markers;
use super::*;

struct Mounted {
    _layers: Vec<TempDir>,
    place: TempDir,
}

impl Mounted {
    /// Layers from the lowest up; nothing where this machine forbids to mount.
    fn new(layers: Vec<TempDir>, form: OverlayForm) -> Option<Self> {
        let place = tempfile::tempdir().unwrap();
        for name in ["upper", "work", "merged"] {
            std::fs::create_dir(place.path().join(name)).unwrap();
        }
        let lower: Vec<_> = layers.iter().rev().map(|dir| dir.path().to_str().unwrap()).collect();
        let at = place.path().display();
        let userxattr = if form == OverlayForm::User { ",userxattr" } else { "" };
        let options =
            format!("lowerdir={},upperdir={at}/upper,workdir={at}/work{userxattr}", lower.join(":"));
        let options = CString::new(options).unwrap();
        let merged = place.path().join("merged");
        match rustix::mount::mount("overlay", &merged, "overlay", MountFlags::empty(), options.as_c_str()) {
            Ok(()) => Some(Self { _layers: layers, place }),
            Err(error) if !is_root() => {
                eprintln!("not mounted: {error}");
                None
            }
            Err(error) => panic!("cannot mount an overlay: {error}"),
        }
    }

    fn merged(&self) -> PathBuf {
        self.place.path().join("merged")
    }

    /// Every path with what it holds, sorted.
    fn list(&self) -> Vec<String> {
        let mut found = Vec::new();
        let mut open = vec![self.merged()];
        while let Some(dir) = open.pop() {
            for entry in std::fs::read_dir(&dir).unwrap() {
                let path = entry.unwrap().path();
                let name = path.strip_prefix(self.merged()).unwrap().to_str().unwrap().to_owned();
                let stat = std::fs::symlink_metadata(&path).unwrap_or_else(|error| panic!("{name}: {error}"));
                if stat.is_dir() {
                    open.push(path);
                    found.push(format!("{name}/"));
                } else {
                    found.push(format!("{name}={}", std::fs::read_to_string(&path).unwrap()));
                }
            }
        }
        found.sort();
        found
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = rustix::mount::unmount(self.merged(), UnmountFlags::DETACH);
    }
}

fn layers(form: OverlayForm) -> Vec<TempDir> {
    let options = UnpackOptions { form, ..UnpackOptions::for_this_user() };
    let lower = Archive::new()
        .file("a/one", "1")
        .file("a/two", "1")
        .file("b/old", "1")
        .file("c/old", "1")
        .file("d", "1")
        .file("e/old", "1")
        .file("gone", "1")
        .file("Case", "1");
    let upper = Archive::new()
        .file("a/.wh.one", "")
        .file("b/.wh..wh..opq", "")
        .file("b/.wh.old", "")
        .file("b/new", "2")
        .file(".wh.c", "")
        .file("c/new", "2")
        .file(".wh.d", "")
        .dir("e")
        .file("e/new", "2")
        .file(".wh.gone", "")
        .file("case", "2");
    [lower, upper].map(|archive| unpack(&archive.bytes(), &options).unwrap().0).into()
}

const EXPECTED: [&str; 10] =
    ["Case=1", "a/", "a/two=1", "b/", "b/new=2", "c/", "c/new=2", "case=2", "e/", "e/new=2"];

#[test]
fn the_kernel_sees_what_the_layers_say() {
    for form in [OverlayForm::Trusted, OverlayForm::User] {
        if form == OverlayForm::Trusted && !is_root() {
            continue;
        }
        let Some(mounted) = Mounted::new(layers(form), form) else { return };
        let list = mounted.list();
        assert_eq!(list[..10], EXPECTED, "{form:?}");
        assert_eq!(list[10..], ["e/old=1"], "{form:?}");
    }
}

#[test]
fn an_upper_directory_becomes_a_layer_that_says_the_same() {
    let form = UnpackOptions::for_this_user().form;
    let Some(mounted) = Mounted::new(layers(form), form) else { return };
    let at = |path: &str| mounted.merged().join(path);
    std::fs::remove_file(at("a/two")).unwrap();
    std::fs::remove_dir_all(at("e")).unwrap();
    std::fs::remove_dir_all(at("b")).unwrap();
    std::fs::create_dir(at("b")).unwrap();
    std::fs::write(at("b/newest"), "3").unwrap();
    std::fs::write(at("Case"), "3").unwrap();
    std::fs::hard_link(at("Case"), at("a/linked")).unwrap();
    let expected = mounted.list();
    assert!(expected.contains(&"b/newest=3".to_owned()) && !expected.contains(&"a/two=1".to_owned()));

    let mut stored = Vec::new();
    let options = WriteOptions::default();
    let written = write_layer(&mounted.place.path().join("upper"), &mut stored, &options).unwrap();
    let mut again = Vec::new();
    assert_eq!(write_layer(&mounted.place.path().join("upper"), &mut again, &options).unwrap(), written);
    assert_eq!(again, stored, "reproducible");
    let (third, _) = unpack_as(&stored, &written.id, &UnpackOptions::for_this_user()).unwrap();
    let mut all = layers(form);
    all.push(third);
    assert_eq!(Mounted::new(all, form).unwrap().list(), expected);
}

/// Kernels before 6.7 do not know this form, which is why it is the second choice.
#[test]
fn whiteouts_that_are_files_are_known_to_new_kernels() {
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap();
    let mut numbers = release.split(['.', '-']).filter_map(|part| part.parse::<u32>().ok());
    if (numbers.next(), numbers.next()) < (Some(6), Some(7)) {
        eprintln!("left out: Linux {release} has no such whiteouts");
        return;
    }
    let options = UnpackOptions::for_this_user();
    let lower = unpack(&Archive::new().file("a/one", "1").file("a/two", "1").bytes(), &options).unwrap().0;
    let upper = tempfile::tempdir().unwrap();
    let archive = Archive::new().file("a/.wh.one", "").file("a/three", "2").bytes();
    let markers = Markers::attributes_only(options.form);
    super::super::unpack::unpack_marked(&archive, upper.path(), markers, &options).unwrap();
    assert_eq!(attribute(&upper.path().join("a"), &options.form.attribute("opaque")).unwrap(), b"x");
    let Some(mounted) = Mounted::new(vec![lower, upper], options.form) else { return };
    assert_eq!(mounted.list(), ["a/", "a/three=2", "a/two=1"]);
}
