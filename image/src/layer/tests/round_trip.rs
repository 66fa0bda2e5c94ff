//! Any directory, written and unpacked again, is the same directory.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};

use proptest::prelude::*;

use super::*;

/// What a test puts under a name.
#[derive(Debug, Clone)]
enum Node {
    File { bytes: Vec<u8>, mode: u32, attribute: Option<Vec<u8>> },
    Directory { mode: u32 },
    Symlink(Vec<u8>),
    Link(prop::sample::Index),
}

fn name() -> impl Strategy<Value = Vec<u8>> {
    let usual =
        prop::sample::select(vec![&b"a"[..], b"A", b"b", b"usr", b"caf\xe9", b"a b", b"\n", b"...", b"-x"]);
    let long = (100..256usize).prop_map(|length| vec![b'n'; length]);
    prop_oneof![8 => usual.prop_map(<[u8]>::to_vec), 1 => long]
}

fn node() -> impl Strategy<Value = Node> {
    let bytes = prop_oneof![
        prop::collection::vec(any::<u8>(), 0..2000),
        (0..400_000usize).prop_map(|length| vec![0; length]),
        (0..300_000usize).prop_map(|length| (0..length).map(|at| (at / 7) as u8).collect()),
    ];
    let attribute = prop::option::of(prop::collection::vec(any::<u8>(), 0..300));
    let mode = prop::sample::select(vec![0o644, 0o755, 0o4711, 0o600, 0o2750]);
    let file =
        (bytes, mode, attribute).prop_map(|(bytes, mode, attribute)| Node::File { bytes, mode, attribute });
    let target = prop::collection::vec(1..=255u8, 1..200);
    prop_oneof![
        4 => file,
        3 => prop::sample::select(vec![0o755, 0o1777, 0o700, 0o555]).prop_map(|mode| Node::Directory { mode }),
        1 => target.prop_map(Node::Symlink),
        1 => any::<prop::sample::Index>().prop_map(Node::Link),
    ]
}

/// Makes what fits: parents are made, and what is taken stays.
fn grow(root: &Path, wanted: &[(Vec<Vec<u8>>, Node)]) {
    let (mut files, mut modes) = (Vec::new(), BTreeMap::new());
    for (names, node) in wanted {
        let path =
            names.iter().fold(root.to_path_buf(), |path, name| path.join(OsString::from_vec(name.clone())));
        if std::fs::create_dir_all(path.parent().unwrap()).is_err() || path.symlink_metadata().is_ok() {
            continue;
        }
        match node {
            Node::File { bytes, mode, attribute } => {
                std::fs::write(&path, bytes).unwrap();
                std::fs::set_permissions(&path, std::fs::Permissions::from_mode(*mode)).unwrap();
                if let Some(value) = attribute {
                    rustix::fs::setxattr(&path, "user.test", value, rustix::fs::XattrFlags::empty()).unwrap();
                }
                files.push(path);
            }
            Node::Directory { mode } => {
                std::fs::create_dir(&path).unwrap();
                modes.insert(path, *mode);
            }
            Node::Symlink(target) => symlink(OsString::from_vec(target.clone()), &path).unwrap(),
            Node::Link(which) if !files.is_empty() => std::fs::hard_link(which.get(&files), &path).unwrap(),
            Node::Link(_) => (),
        }
    }
    for (path, mode) in modes {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    }
}

/// Everything that a layer keeps, by path. Files with several names have the set of them.
fn describe(root: &Path) -> BTreeMap<Vec<u8>, String> {
    let (mut found, mut inodes, mut open) = (BTreeMap::new(), BTreeMap::new(), vec![root.to_path_buf()]);
    while let Some(dir) = open.pop() {
        for entry in std::fs::read_dir(&dir).unwrap() {
            let path = entry.unwrap().path();
            let stat = path.symlink_metadata().unwrap();
            let name = path.strip_prefix(root).unwrap().as_os_str().as_bytes().to_vec();
            let what = if stat.is_dir() {
                open.push(path.clone());
                "directory".to_owned()
            } else if stat.is_symlink() {
                format!("link to {:?}", std::fs::read_link(&path).unwrap())
            } else {
                inodes.entry(stat.ino()).or_insert_with(BTreeSet::new).insert(name.clone());
                format!("{:?}", Digest::of(&std::fs::read(&path).unwrap()))
            };
            let test = attribute_of_any_size(&path);
            found.insert(name, format!("{what} {:o} {test:?}", stat.mode()));
        }
    }
    for names in inodes.values().filter(|names| names.len() > 1) {
        for name in names {
            found.get_mut(name).unwrap().push_str(&format!(" same as {names:?}"));
        }
    }
    found
}

fn attribute_of_any_size(path: &Path) -> Option<Vec<u8>> {
    let mut value = vec![0; 4096];
    let length = rustix::fs::lgetxattr(path, "user.test", &mut value).ok()?;
    Some(value[..length].to_vec())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, max_shrink_iters: 200, ..ProptestConfig::default() })]

    #[test]
    fn what_is_written_comes_back(
        wanted in prop::collection::vec((prop::collection::vec(name(), 1..5), node()), 0..40),
        which in prop::sample::select(vec![Compression::None, Compression::Gzip, Compression::Zstd]),
    ) {
        let (dir, copy) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        grow(dir.path(), &wanted);
        let options = WriteOptions { compression: which, mtime_s: 7, ..WriteOptions::default() };
        let (mut stored, mut again) = (Vec::new(), Vec::new());
        let written = write_layer(dir.path(), &mut stored, &options).unwrap();
        let unpacked =
            unpack_layer(&stored[..], copy.path(), &written.id, &UnpackOptions::for_this_user(), &AtomicBool::new(false));
        prop_assert_eq!(unpacked.unwrap().notes, Notes::default());
        prop_assert_eq!(describe(copy.path()), describe(dir.path()));
        write_layer(copy.path(), &mut again, &options).unwrap();
        prop_assert!(again == stored, "the copy is another layer");
    }
}

#[test]
fn what_no_layer_can_hold_is_said() {
    let dir = tempfile::tempdir().unwrap();
    let write = |options: WriteOptions| write_layer(dir.path(), std::io::sink(), &options);
    std::os::unix::net::UnixListener::bind(dir.path().join("socket")).unwrap();
    assert_eq!(write(WriteOptions::default()).unwrap().notes.examples, ["socket, a socket"]);
    let refused = write(WriteOptions { devices: Devices::Refuse, ..WriteOptions::default() });
    assert!(matches!(refused, Err(LayerError::Device { kind: "socket", .. })));
    std::fs::write(dir.path().join(".wh.x"), "").unwrap();
    assert!(matches!(write(WriteOptions::default()), Err(LayerError::Entry { .. })));
}

#[test]
fn what_refers_to_lower_layers_is_refused() {
    for (name, says) in [("redirect", "redirect_dir=off"), ("metacopy", "metacopy=off")] {
        let dir = tempfile::tempdir().unwrap();
        let form = UnpackOptions::for_this_user().form;
        let path = dir.path().join("x");
        if name == "redirect" {
            std::fs::create_dir(&path).unwrap()
        } else {
            std::fs::write(&path, "").unwrap()
        }
        let attribute = form.attribute(name);
        rustix::fs::setxattr(&path, attribute, b"/other", rustix::fs::XattrFlags::empty()).unwrap();
        let error = write_layer(dir.path(), std::io::sink(), &WriteOptions::default()).unwrap_err();
        assert!(error.to_string().contains(says), "{error}");
    }
}
