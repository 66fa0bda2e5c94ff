//! What an engine tells of an upper directory becomes the layer that the directory itself does.

use std::collections::BTreeMap;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, FileType, Mode, XattrFlags};
use tar::{Builder, EntryType, Header};

use super::*;

fn same(uid: u32, gid: u32) -> (u32, u32) {
    (uid, gid)
}

fn rules(without: &'static [&'static str]) -> Capture<'static> {
    Capture { owners: &same, without, mtime_s: 1000, limits: Limits::default() }
}

/// An archive of a directory, in another order than any walk has; later names of a file are links to the first in it.
fn archive(dir: &Path, prefix: &str) -> PathBuf {
    let mut tar = Builder::new(Vec::new());
    let (mut pending, mut first) = (vec![PathBuf::new()], BTreeMap::new());
    while let Some(path) = pending.pop() {
        let stat = dir.join(&path).symlink_metadata().unwrap();
        let mut header = Header::new_gnu();
        header.set_mode(stat.mode() & 0o7777);
        header.set_uid(stat.uid().into());
        header.set_gid(stat.gid().into());
        header.set_mtime(77);
        header.set_size(0);
        let name = Path::new(prefix).join(&path);
        let kind = stat.file_type();
        if kind.is_dir() {
            header.set_entry_type(EntryType::Directory);
            if !name.as_os_str().is_empty() {
                tar.append_data(&mut header, name, std::io::empty()).unwrap();
            }
            let mut names: Vec<_> =
                std::fs::read_dir(dir.join(&path)).unwrap().map(|entry| entry.unwrap().file_name()).collect();
            names.sort();
            pending.extend(names.into_iter().map(|name| path.join(name)));
        } else if kind.is_symlink() {
            header.set_entry_type(EntryType::Symlink);
            tar.append_link(&mut header, name, std::fs::read_link(dir.join(&path)).unwrap()).unwrap();
        } else if !kind.is_file() {
            header.set_entry_type(EntryType::Char);
            tar.append_data(&mut header, name, std::io::empty()).unwrap();
        } else if let Some(target) = first.get(&stat.ino()) {
            header.set_entry_type(EntryType::Link);
            tar.append_link(&mut header, name, target).unwrap();
        } else {
            first.insert(stat.ino(), name.clone());
            let bytes = std::fs::read(dir.join(&path)).unwrap();
            header.set_size(bytes.len() as u64);
            tar.append_data(&mut header, name, &bytes[..]).unwrap();
        }
    }
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), tar.into_inner().unwrap()).unwrap();
    file.into_temp_path().keep().unwrap()
}

fn changes(list: &[(&str, Change)]) -> BTreeMap<Vec<u8>, Change> {
    list.iter().map(|(path, change)| (path.as_bytes().to_vec(), *change)).collect()
}

fn upper() -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    let at = |path: &str| dir.path().join(path);
    for name in ["a/deep", "a-beside", "opaque/in", "usr/sbin", "tmp/x", "var/tmp"] {
        std::fs::create_dir_all(at(name)).unwrap();
    }
    for name in
        ["a/deep/file", "a-beside/z", "a/secret", "opaque/new", "setuid", "tmp/x/file", "usr/sbin/engines"]
    {
        std::fs::write(at(name), name.repeat(100)).unwrap();
    }
    std::fs::set_permissions(at("setuid"), std::fs::Permissions::from_mode(0o4755)).unwrap();
    std::fs::set_permissions(at("a/deep"), std::fs::Permissions::from_mode(0o2711)).unwrap();
    std::fs::hard_link(at("a/secret"), at("a-beside/linked")).unwrap();
    std::fs::hard_link(at("a/secret"), at("zz")).unwrap();
    symlink("/nowhere", at("link")).unwrap();
    rustix::fs::mknodat(CWD, at("a/gone"), FileType::CharacterDevice, Mode::empty(), 0).unwrap();
    rustix::fs::setxattr(at("opaque"), "user.overlay.opaque", b"y", XattrFlags::empty()).unwrap();
    dir
}

fn layer(root: &EngineRoot<'_>, without: &'static [&'static str]) -> Vec<u8> {
    let mut bytes = Vec::new();
    capture_engine_layer(root, &mut bytes, &rules(without)).unwrap();
    bytes
}

const WITHOUT: &[&str] = &["tmp", "var/tmp", "usr/sbin/engines"];

#[test]
fn the_engines_archive_is_the_directory_itself() {
    let dir = upper();
    let upper = archive(dir.path(), "shown");
    let mut expected = Vec::new();
    // The engine made these directories, and nobody else touched them.
    let places: BTreeMap<Vec<u8>, Option<DirectoryOwner>> = ["usr", "usr/sbin", "var"]
        .map(|path| {
            let stat = dir.path().join(path).metadata().unwrap();
            (path.as_bytes().to_vec(), Some((stat.mode() & 0o7777, stat.uid(), stat.gid())))
        })
        .into();
    capture_layer(dir.path(), &mut expected, &rules(&["tmp", "var", "usr"])).unwrap();
    // As the engine of a kernel says it that moves directories by reference, and as that of another one does.
    for told in [
        changes(&[("a/gone", Change::Gone), ("opaque/before", Change::Gone)]),
        changes(&[("a/gone", Change::Gone), ("opaque", Change::Gone), ("tmp/other", Change::Gone)]),
    ] {
        let root = EngineRoot { upper: &upper, merged: None, changes: &told, places: &places };
        assert_eq!(layer(&root, WITHOUT), expected);
    }
    // One of these directories is not as it was, or has something of the step's.
    let told = changes(&[("a/gone", Change::Gone), ("opaque", Change::Gone)]);
    let mut other = places.clone();
    other.insert(b"usr/sbin".to_vec(), Some((0o700, 0, 0)));
    let root = EngineRoot { upper: &upper, merged: None, changes: &told, places: &other };
    let mut expected = Vec::new();
    capture_layer(dir.path(), &mut expected, &rules(&["tmp", "var", "usr/sbin/engines"])).unwrap();
    assert_eq!(layer(&root, WITHOUT), expected);
    std::fs::remove_file(upper).unwrap();
}

#[test]
fn what_was_moved_with_its_directory_comes_from_the_whole_root() {
    let (dir, whole, expected) =
        (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    for root in [&dir, &whole, &expected] {
        std::fs::create_dir_all(root.path().join("moved")).unwrap();
    }
    for root in [&whole, &expected] {
        std::fs::create_dir(root.path().join("moved/in")).unwrap();
        std::fs::write(root.path().join("moved/in/file"), "text").unwrap();
    }
    std::fs::write(whole.path().join("unchanged"), "text").unwrap();
    for root in [&dir, &expected] {
        rustix::fs::mknodat(CWD, root.path().join("before"), FileType::CharacterDevice, Mode::empty(), 0)
            .unwrap();
    }
    let (upper, merged) = (archive(dir.path(), "shown"), archive(whole.path(), ""));
    let told = changes(&[
        ("before", Change::Gone),
        ("moved", Change::There),
        ("moved/in", Change::There),
        ("moved/in/file", Change::There),
    ]);
    let mut bytes = Vec::new();
    capture_layer(expected.path(), &mut bytes, &rules(&[])).unwrap();
    let root = EngineRoot { upper: &upper, merged: Some(&merged), changes: &told, places: &BTreeMap::new() };
    assert_eq!(layer(&root, &[]), bytes);
    for file in [upper, merged] {
        std::fs::remove_file(file).unwrap();
    }
}
