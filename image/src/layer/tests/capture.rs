//! What a process left of its root becomes a layer, the same whoever it was.

use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};

use rustix::fs::{CWD, FileType, Mode, XattrFlags};

use super::*;
use crate::tarball::TarReader;

/// Ids of this machine are those of the image from here on.
const BLOCK: u32 = 100_000;

/// What belongs to whoever runs the tests is root's, and what is in the block belongs to others.
fn inside(uid: u32, gid: u32) -> (u32, u32) {
    let one = |id: u32| id.saturating_sub(BLOCK);
    (one(uid), one(gid))
}

fn rules(without: &[&'static str]) -> Capture<'static> {
    let without = without.to_vec().leak();
    Capture { owners: &inside, without, mtime_s: 1000, limits: Limits::default() }
}

fn capture(dir: &TempDir, rules: &Capture<'_>) -> Result<Vec<u8>, LayerError> {
    let mut bytes = Vec::new();
    capture_layer(dir.path(), &mut bytes, rules).map(|_| bytes)
}

fn entries(bytes: &[u8]) -> Vec<Entry> {
    let mut reader = TarReader::new(bytes, Limits::default());
    std::iter::from_fn(|| reader.next().unwrap()).collect()
}

fn find(entries: &[Entry], path: &str) -> Entry {
    let found = entries.iter().find(|entry| entry.path == path.as_bytes());
    found.unwrap_or_else(|| panic!("{path} is not in {:?}", paths(entries))).clone()
}

fn paths(entries: &[Entry]) -> Vec<String> {
    entries.iter().map(|entry| String::from_utf8_lossy(&entry.path).into_owned()).collect()
}

/// An upper directory with all that there is in one.
fn upper() -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    let at = |path: &str| dir.path().join(path);
    let mode = |path: &str, mode: u32| {
        std::fs::set_permissions(at(path), std::fs::Permissions::from_mode(mode)).unwrap();
    };
    for name in ["closed/below", "etc", "opaque", "tmp/x", "var/tmp"] {
        std::fs::create_dir_all(at(name)).unwrap();
    }
    for name in ["closed/below/file", "etc/hosts", "etc/kept", "opaque/new", "setuid", "secret", "tmp/x/file"]
    {
        std::fs::write(at(name), name).unwrap();
    }
    mode("setuid", 0o4755);
    std::fs::hard_link(at("secret"), at("secret-too")).unwrap();
    symlink("/nowhere", at("link")).unwrap();
    rustix::fs::mknodat(CWD, at("gone"), FileType::CharacterDevice, Mode::empty(), 0).unwrap();
    rustix::fs::mknodat(CWD, at("pipe"), FileType::Fifo, Mode::RUSR, 0).unwrap();
    drop(std::os::unix::net::UnixListener::bind(at("socket")).unwrap());
    rustix::fs::setxattr(at("opaque"), "user.overlay.opaque", b"y", XattrFlags::empty()).unwrap();
    rustix::fs::setxattr(at("setuid"), "user.kept", b"value", XattrFlags::empty()).unwrap();
    // For the last: nobody but root gets in or reads these.
    mode("secret", 0o040);
    mode("closed", 0o055);
    dir
}

#[test]
fn everything_that_a_layer_can_hold_is_in_it_and_nothing_of_the_machine() {
    let dir = upper();
    let bytes = capture(&dir, &rules(&["tmp", "var/tmp", "etc/hosts"])).unwrap();
    let found = entries(&bytes);
    assert_eq!(
        paths(&found),
        [
            "closed",
            "closed/below",
            "closed/below/file",
            "etc",
            "etc/kept",
            ".wh.gone",
            "link",
            "opaque",
            "opaque/.wh..wh..opq",
            "opaque/new",
            "secret",
            "secret-too",
            "setuid",
            "var",
        ]
        .map(str::to_owned)
        .map(|path| match &*path {
            "closed" | "closed/below" | "etc" | "opaque" | "var" => format!("{path}/"),
            _ => path,
        })
    );
    assert!(found.iter().all(|entry| entry.mtime.seconds == 1000 && (entry.uid, entry.gid) == (0, 0)));
    let setuid = find(&found, "setuid");
    assert_eq!((setuid.mode, &*setuid.xattrs), (0o4755, &[(b"user.kept".to_vec(), b"value".to_vec())][..]));
    let (first, second) = (find(&found, "secret"), find(&found, "secret-too"));
    assert_eq!((first.mode, first.size, second.kind), (0o040, 6, Kind::HardLink));
    assert_eq!((second.mode, &*second.link), (0o040, b"secret".as_slice()), "as it was before it was read");
    assert_eq!(find(&found, "closed/").mode, 0o055);
    assert!(find(&found, "opaque/").xattrs.is_empty());

    // And back again, for whoever continues it.
    let into = tempfile::tempdir().unwrap();
    let options = UnpackOptions::for_this_user();
    let size = bytes.len() as u64;
    unpack_made(&bytes[..], into.path(), size, &options, &AtomicBool::new(false)).unwrap();
    let stat = std::fs::metadata(into.path().join("setuid")).unwrap();
    assert_eq!((stat.mode() & 0o7777, stat.mtime()), (0o4755, 1000));
    assert_eq!(std::fs::metadata(into.path().join("secret")).unwrap().nlink(), 2);
    let opaque = attribute(&into.path().join("opaque"), &options.form.attribute("opaque"));
    assert_eq!(opaque.as_deref(), Some(&b"y"[..]));
}

#[test]
fn the_same_changes_are_the_same_bytes() {
    let (one, two) = (upper(), upper());
    std::fs::File::open(two.path().join("etc"))
        .unwrap()
        .set_modified(std::time::SystemTime::UNIX_EPOCH)
        .unwrap();
    let rules = rules(&["tmp"]);
    assert_eq!(capture(&one, &rules).unwrap(), capture(&two, &rules).unwrap());
    std::fs::write(two.path().join("etc/kept"), "other").unwrap();
    assert_ne!(capture(&one, &rules).unwrap(), capture(&two, &rules).unwrap());
}

#[test]
fn owners_are_those_of_the_image() {
    if !is_root() {
        println!("skipped: only root can give files away");
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    std::fs::write(&file, "").unwrap();
    std::os::unix::fs::chown(&file, Some(BLOCK + 7), Some(BLOCK + 8)).unwrap();
    let found = entries(&capture(&dir, &rules(&[])).unwrap());
    assert_eq!((found[0].uid, found[0].gid), (7, 8));
}

#[test]
fn attributes_that_name_owners_name_those_of_the_image() {
    let rules = rules(&[]);
    let words = |words: &[u32]| words.iter().flat_map(|word| word.to_le_bytes()).collect::<Vec<u8>>();
    // cap_net_raw+ep, given by the root of a namespace that begins at BLOCK; and by somebody else there.
    let version_3 = |root: u32| words(&[0x0300_0001, 1 << 13, 0, 0, 0, root]);
    let version_2 = words(&[0x0200_0001, 1 << 13, 0, 0, 0]);
    let acl = |user: u32, group: u32| {
        let entry =
            |tag: u16, id: u32| [&tag.to_le_bytes()[..], &6_u16.to_le_bytes(), &id.to_le_bytes()].concat();
        [words(&[2]), entry(1, u32::MAX), entry(2, user), entry(8, group), entry(0x20, u32::MAX)].concat()
    };
    let mut xattrs = vec![
        (b"security.capability".to_vec(), version_3(BLOCK)),
        (b"security.capability".to_vec(), version_3(BLOCK + 1)),
        (b"security.capability".to_vec(), version_2.clone()),
        (b"security.capability".to_vec(), vec![1]),
        (b"system.posix_acl_access".to_vec(), acl(BLOCK + 5, BLOCK + 6)),
        (b"user.any".to_vec(), version_3(BLOCK)),
    ];
    rules.attributes(&mut xattrs);
    let values: Vec<Vec<u8>> = xattrs.into_iter().map(|(_, value)| value).collect();
    let expected =
        vec![version_2.clone(), version_3(BLOCK + 1), version_2, vec![1], acl(5, 6), version_3(BLOCK)];
    assert_eq!(values, expected);
}

#[test]
fn what_no_layer_can_hold_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("large"), vec![1; 5000]).unwrap();
    let limited = |limits: Limits| capture(&dir, &Capture { limits, ..rules(&[]) }).unwrap_err().to_string();
    let all = Limits::default();
    assert!(limited(Limits { file_bytes: 4999, ..all }).contains("more than 4999 bytes in one file"));
    assert!(limited(Limits { unpacked_bytes: 5000, ..all }).contains("more than 5000 bytes"));
    assert!(limited(Limits { entries: 1, ..all }).contains("entries"));
    std::fs::write(dir.path().join(".wh.mine"), "").unwrap();
    let refused = capture(&dir, &rules(&[])).unwrap_err();
    assert!(matches!(&refused, LayerError::Entry { entry, .. } if entry == ".wh.mine"), "{refused}");
}

#[test]
fn names_need_not_be_text() {
    let dir = tempfile::tempdir().unwrap();
    let name = std::ffi::OsStr::from_bytes(b"caf\xe9");
    std::fs::write(dir.path().join(name), "").unwrap();
    assert_eq!(entries(&capture(&dir, &rules(&[])).unwrap())[0].path, b"caf\xe9");
}

#[test]
fn what_a_step_left_is_not_taken_for_compressed() {
    use std::ffi::OsStr;
    for start in [&b"\x1f\x8b"[..], b"\x28\xb5\x2f\xfd", b"\x5a\x2a\x4d\x18", b"BZh9", b"\xfd7zXZ"] {
        let dir = tempfile::tempdir().unwrap();
        let name = [start, b".log"].concat();
        let path = dir.path().join(OsStr::from_bytes(&name));
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, "text").unwrap();
        // In a directory, it has that before it.
        if !start.contains(&b'/') {
            let error = capture(&dir, &rules(&[])).unwrap_err();
            let text = error.to_string();
            assert!(matches!(error, LayerError::Entry { .. }) && text.contains("compressed"), "{text}");
        }
        // It is not the first one then.
        std::fs::write(dir.path().join("\x01"), "").unwrap();
        capture(&dir, &rules(&[])).unwrap();
        // What was captured before is unpacked for what it is.
        let bytes = Archive::new().file(&name, "text").bytes();
        let into = tempfile::tempdir().unwrap();
        let (size, options) = (bytes.len() as u64, UnpackOptions::for_this_user());
        unpack_made(&bytes[..], into.path(), size, &options, &AtomicBool::new(false)).unwrap();
        assert_eq!(std::fs::read(into.path().join(OsStr::from_bytes(&name))).unwrap(), b"text");
    }
}
