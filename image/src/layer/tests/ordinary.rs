//! What layers in use have.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;

use super::*;

#[test]
fn files_links_modes_and_times() {
    let archive = Archive::new()
        .dir("bin/")
        .with(Entry { mode: 0o4755, ..entry("bin/su", Kind::File) }, b"#!")
        .symlink("bin/sh", "/usr/bin/../bin/dash")
        .hard_link("bin/su2", "bin/su")
        .with(Entry { mode: 0o1777, ..entry("./tmp/", Kind::Directory) }, b"")
        .with(Entry { mode: 0o555, ..entry("sealed", Kind::Directory) }, b"")
        .file("sealed/x", "1")
        .file("not/described/y", "2");
    let (dir, unpacked) = archive.unpack().unwrap();
    let stat = |path: &str| std::fs::symlink_metadata(dir.path().join(path)).unwrap();
    assert_eq!((stat("bin/su").mode() & 0o7777, stat("bin/su").mtime()), (0o4755, MTIME));
    assert_eq!(stat("bin/su").ino(), stat("bin/su2").ino());
    assert_eq!(std::fs::read_link(dir.path().join("bin/sh")).unwrap(), Path::new("/usr/bin/../bin/dash"));
    assert_eq!(stat("bin/sh").mtime(), MTIME);
    assert_eq!((stat("tmp").mode() & 0o7777, stat("bin").mtime()), (0o1777, MTIME));
    assert_eq!((stat("sealed").mode() & 0o7777, stat("sealed").mtime()), (0o555, MTIME));
    assert_eq!((read(&dir, "sealed/x"), read(&dir, "not/described/y")), ("1".to_owned(), "2".to_owned()));
    assert_eq!((stat("not").mode() & 0o7777, stat("not").mtime()), (0o755, 0));
    assert_eq!((unpacked.entries, unpacked.notes), (8, Notes::default()));
}

#[test]
fn names_are_bytes() {
    let long = "d/".repeat(100) + &"n".repeat(255);
    let odd = b"caf\xe9";
    let (dir, _) = Archive::new()
        .file(odd, "latin")
        .file("Makefile", "upper")
        .file("makefile", "lower")
        .file(&long, "long")
        .file("line\nend", "newline")
        .unpack()
        .unwrap();
    assert_eq!(std::fs::read_to_string(dir.path().join(OsStr::from_bytes(odd))).unwrap(), "latin");
    assert_eq!((read(&dir, "Makefile"), read(&dir, "makefile")), ("upper".to_owned(), "lower".to_owned()));
    assert_eq!((read(&dir, &long), read(&dir, "line\nend")), ("long".to_owned(), "newline".to_owned()));
}

#[test]
fn attributes_are_kept_except_those_of_overlayfs() {
    let xattrs = [
        ("user.color", &b"blue\nred"[..]),
        ("user.overlay.redirect", b"/etc"),
        ("trusted.overlay.metacopy", b"y"),
        ("trusted.other", b"y"),
    ];
    let xattrs: Vec<_> =
        xattrs.iter().map(|(name, value)| (name.as_bytes().to_vec(), value.to_vec())).collect();
    let (dir, unpacked) = Archive::new()
        .with(Entry { xattrs: xattrs.clone(), ..entry("f", Kind::File) }, b"")
        .with(Entry { xattrs, ..entry("d", Kind::Directory) }, b"")
        .unpack()
        .unwrap();
    for name in ["f", "d"] {
        let path = dir.path().join(name);
        assert_eq!(attribute(&path, "user.color").unwrap(), b"blue\nred");
        for gone in ["user.overlay.redirect", "trusted.overlay.metacopy", "trusted.other"] {
            assert_eq!(attribute(&path, gone), None, "{gone}");
        }
    }
    assert_eq!(unpacked.notes.attributes, 6);
    assert!(unpacked.notes.examples[0].contains("user.overlay.redirect"), "{:?}", unpacked.notes);
}

#[test]
fn owners_are_kept_by_root_and_counted_for_others() {
    let owned = Entry { uid: 1234, gid: 3_000_000, ..entry("f", Kind::File) };
    let capability =
        (b"security.capability".to_vec(), b"\x01\0\0\x02\0\x04\0\0\0\0\0\0\0\0\0\0\0\0\0\0".to_vec());
    let archive = || {
        let capable = Entry { mode: 0o6755, xattrs: vec![capability.clone()], ..owned.clone() };
        Archive::new().with(capable, b"").with(Entry { uid: 7, ..entry("l", Kind::File) }, b"").bytes()
    };
    let options = UnpackOptions { owners: Owners::Unpacker, ..UnpackOptions::for_this_user() };
    let (dir, unpacked) = unpack(&archive(), &options).unwrap();
    assert_eq!(std::fs::metadata(dir.path().join("f")).unwrap().uid(), rustix::process::geteuid().as_raw());
    assert_eq!(unpacked.notes.owners, 2);
    if !is_root() {
        return;
    }
    let (dir, unpacked) = unpack(&archive(), &UnpackOptions::for_this_user()).unwrap();
    let stat = std::fs::metadata(dir.path().join("f")).unwrap();
    assert_eq!((stat.uid(), stat.gid(), stat.mode() & 0o7777), (1234, 3_000_000, 0o6755));
    assert_eq!(attribute(&dir.path().join("f"), "security.capability"), Some(capability.1));
    assert_eq!(unpacked.notes, Notes::default());
}

#[test]
fn every_compression_is_read() {
    let archive = Archive::new().file("a", &"text".repeat(100_000)).bytes();
    for compression in [Compression::None, Compression::Gzip, Compression::Zstd] {
        let stored = compressed(compression, &archive);
        let options = UnpackOptions::for_this_user();
        let (dir, _) = unpack_as(&stored, &id(&stored, &archive), &options).unwrap();
        assert_eq!(read(&dir, "a").len(), 400_000, "{compression:?}");
    }
    // Several members one after the other, as pigz, stargz and zstd:chunked write them.
    let (one, two) = archive.split_at(1000);
    for compression in [Compression::Gzip, Compression::Zstd] {
        let mut stored = [compressed(compression, one), compressed(compression, two)].concat();
        if compression == Compression::Zstd {
            stored.extend_from_slice(b"\x50\x2a\x4d\x18\x03\0\0\0abc");
        }
        let (dir, _) = unpack_as(&stored, &id(&stored, &archive), &UnpackOptions::for_this_user()).unwrap();
        assert_eq!(read(&dir, "a").len(), 400_000, "{compression:?}");
    }
}

#[test]
fn later_entries_replace_earlier_ones() {
    let (dir, _) = Archive::new()
        .file("a", "1")
        .file("a", "2")
        .symlink("b", "a")
        .file("b", "3")
        .dir("c")
        .file("c", "4")
        .file("d", "5")
        .dir("d")
        .file("d/x", "6")
        .unpack()
        .unwrap();
    let all = ["a", "b", "c", "d/x"].map(|path| read(&dir, path));
    assert_eq!(all, ["2", "3", "4", "6"]);
}

#[test]
fn an_empty_layer_is_a_layer() {
    let (_dir, unpacked) = Archive::new().unpack().unwrap();
    assert_eq!((unpacked.entries, unpacked.bytes), (0, 1024));
    let (_dir, unpacked) = unpack(b"", &UnpackOptions::for_this_user()).unwrap();
    assert_eq!(unpacked.bytes, 0);
}

/// Source: Linux, `include/uapi/linux/posix_acl_xattr.h`.
fn acl(entries: &[(u16, u16, u32)]) -> Vec<u8> {
    let mut value = 2u32.to_le_bytes().to_vec();
    for (tag, permissions, id) in entries {
        value.extend(tag.to_le_bytes());
        value.extend(permissions.to_le_bytes());
        value.extend(id.to_le_bytes());
    }
    value
}

#[test]
fn what_a_directory_gives_to_new_files_is_not_given_to_those_of_the_layer() {
    let nobody = u32::MAX;
    let default = acl(&[(1, 7, nobody), (2, 7, 1000), (4, 5, nobody), (0x10, 7, nobody), (0x20, 5, nobody)]);
    let name = b"system.posix_acl_default".to_vec();
    let open = || Entry { xattrs: vec![(name.clone(), default.clone())], ..entry("d", Kind::Directory) };
    let archive = Archive::new().with(open(), b"").file("d/file", "").dir("d/dir").file("d/dir/file", "");
    let (dir, unpacked) = archive.unpack().unwrap();
    if unpacked.notes.attributes > 0 {
        // This file system has no such attributes.
        assert!(attribute(&dir.path().join("d"), "system.posix_acl_default").is_none());
        return;
    }
    let of = |path: &str, name: &str| attribute(&dir.path().join(path), name);
    assert_eq!(of("d", "system.posix_acl_default"), Some(default.clone()));
    for path in ["d/file", "d/dir", "d/dir/file"] {
        assert_eq!(of(path, "system.posix_acl_access"), None, "{path}");
        assert_eq!(of(path, "system.posix_acl_default"), None, "{path}");
    }
    // A directory that is described again keeps it, and one that is made anew does not.
    let (dir, _) = Archive::new().with(open(), b"").dir("d").unpack().unwrap();
    assert_eq!(attribute(&dir.path().join("d"), "system.posix_acl_default"), Some(default.clone()));
    let (dir, _) = Archive::new().with(open(), b"").file("d", "").dir("d").unpack().unwrap();
    assert_eq!(attribute(&dir.path().join("d"), "system.posix_acl_default"), None);
}
