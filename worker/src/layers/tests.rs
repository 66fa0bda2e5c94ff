use super::*;
use std::fs;

struct Fixture {
    dir: tempfile::TempDir,
}

impl Fixture {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("upper")).unwrap();
        fs::create_dir(dir.path().join("lower")).unwrap();
        Self { dir }
    }

    fn file(&self, path: &str) {
        let path = self.dir.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, "x").unwrap();
    }

    fn attribute(&self, path: &str, name: &str) -> bool {
        let flags = rustix::fs::XattrFlags::empty();
        rustix::fs::setxattr(self.dir.path().join(path), name, b"y", flags).is_ok()
    }

    fn workspace(&self) -> Workspace {
        let layers = [self.dir.path().join("upper"), self.dir.path().join("lower")];
        Workspace::open(&layers, &layers[1]).unwrap()
    }

    fn names(&self, path: &str) -> Vec<String> {
        let workspace = self.workspace();
        let mut layers = workspace.root();
        let mut at: Vec<u8> = Vec::new();
        for name in path.split('/').filter(|name| !name.is_empty()) {
            match workspace.entry(&at, layers, name.as_bytes()).unwrap() {
                Some(Entry::Directory(below)) => layers = below,
                other => panic!("{name}: {other:?}"),
            }
            at = join(&at, name.as_bytes());
        }
        let entries = workspace.list(&at, layers, 100).unwrap().unwrap();
        for (name, entry) in &entries {
            assert_eq!(workspace.entry(&at, layers, name).unwrap().as_ref(), Some(entry));
        }
        entries.into_iter().map(|(name, _)| String::from_utf8(name).unwrap()).collect()
    }
}

#[test]
fn directories_are_merged_and_upper_names_win() {
    let fixture = Fixture::new();
    for path in ["lower/d/a", "lower/d/b", "upper/d/b", "upper/d/c", "lower/only/x", "lower/f", "upper/f/y"] {
        fixture.file(path);
    }
    assert_eq!(fixture.names(""), ["d", "f", "only"]);
    assert_eq!(fixture.names("d"), ["a", "b", "c"]);
    assert_eq!(fixture.names("f"), ["y"]);
    let workspace = fixture.workspace();
    let d = LayerSet::first(2);
    let layer_of = |name: &[u8]| match workspace.entry(b"d", d, name) {
        Ok(Some(Entry::File(file))) => file.layer,
        other => panic!("{other:?}"),
    };
    assert_eq!((layer_of(b"a"), layer_of(b"b"), layer_of(b"c")), (1, 0, 0));
    assert_eq!(workspace.entry(b"d", d, b"nothing").unwrap(), None);
}

#[test]
fn whiteouts_by_attribute_and_opaque_directories_hide() {
    let fixture = Fixture::new();
    for path in ["lower/gone", "lower/d/a", "upper/d/b", "lower/kept"] {
        fixture.file(path);
    }
    fs::write(fixture.dir.path().join("upper/gone"), "").unwrap();
    if !fixture.attribute("upper/gone", "user.overlay.whiteout") {
        eprintln!("skipped: this filesystem has no user attributes");
        return;
    }
    assert_eq!(fixture.names(""), ["d", "kept"]);
    assert_eq!(fixture.names("d"), ["a", "b"]);
    assert!(fixture.attribute("upper/d", "user.overlay.opaque"));
    assert_eq!(fixture.names("d"), ["b"]);
}

#[test]
fn whiteouts_by_device_hide() {
    let fixture = Fixture::new();
    fixture.file("lower/gone/x");
    fixture.file("lower/kept");
    let node = fixture.dir.path().join("upper/gone");
    let made = rustix::fs::mknodat(CWD, &node, FileType::CharacterDevice, Mode::empty(), 0);
    if made.is_err() {
        eprintln!("skipped: this user cannot make device nodes");
        return;
    }
    assert_eq!(fixture.names(""), ["kept"]);
    fs::remove_file(&node).unwrap();
    fs::create_dir(&node).unwrap();
    assert_eq!(fixture.names("gone"), ["x"]);
}

#[test]
fn a_file_over_a_directory_over_a_file_is_what_is_on_top() {
    let fixture = Fixture::new();
    fixture.file("lower/n/below");
    fixture.file("upper/n");
    fixture.file("lower/m");
    fixture.file("upper/m/above");
    let workspace = fixture.workspace();
    let at = |name: &[u8]| workspace.entry(b"", workspace.root(), name).unwrap();
    assert!(matches!(at(b"n"), Some(Entry::File(_))));
    assert_eq!(at(b"m"), Some(Entry::Directory(LayerSet::only(0))));
}

#[test]
fn locked_directories_of_the_step_are_opened_those_that_are_shared_stay_locked() {
    use std::os::unix::fs::PermissionsExt as _;
    let fixture = Fixture::new();
    fixture.file("upper/locked/deep/file");
    for path in ["upper/locked/deep", "upper/locked"] {
        let none = fs::Permissions::from_mode(0o0);
        fs::set_permissions(fixture.dir.path().join(path), none).unwrap();
    }
    assert_eq!(fixture.names("locked/deep"), ["file"]);
}

#[test]
fn a_listing_ends_where_the_step_made_too_much() {
    let fixture = Fixture::new();
    for number in 0..10 {
        fixture.file(&format!("lower/input-{number}"));
        fixture.file(&format!("upper/output-{number}"));
        fixture.file(&format!("upper/input-{number}"));
    }
    fixture.file("lower/another");
    let workspace = fixture.workspace();
    let list = |most| workspace.list(b"", workspace.root(), most).unwrap().map(|entries| entries.len());
    assert_eq!((list(19), list(20)), (None, Some(21)), "inputs do not count");
}
