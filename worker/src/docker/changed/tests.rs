use std::fs;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _, symlink};
use std::path::Path;

use super::super::pack::pack;
use super::*;

/// What is found different when `after` is what became of `before`.
fn changed(before: &Path, after: &Path, most: u64) -> io::Result<tempfile::TempDir> {
    let upper = tempfile::tempdir().unwrap();
    let mut archive = Vec::new();
    pack(after, (b"c", &[]), (0, 0), &mut archive).unwrap();
    let changed = Changed { before: before.to_owned(), upper: upper.path().to_owned(), most };
    changed.take(&archive[..]).map(|()| upper)
}

fn names(dir: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut pending = vec![dir.to_owned()];
    while let Some(here) = pending.pop() {
        for entry in fs::read_dir(here).unwrap().map(Result::unwrap) {
            let kind = entry.file_type().unwrap();
            let mark = if kind.is_char_device() { "-" } else { "" };
            found.push(format!("{mark}{}", entry.path().strip_prefix(dir).unwrap().display()));
            if kind.is_dir() {
                pending.push(entry.path());
            }
        }
    }
    found.sort();
    found
}

fn tree(files: &[(&str, &str)]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (path, text) in files {
        let path = dir.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        File::options().write(true).open(&path).unwrap().set_modified(std::time::UNIX_EPOCH).unwrap();
    }
    dir
}

#[test]
fn only_what_differs_is_kept() {
    let before =
        tree(&[("same/a", "text"), ("d/changed", "abcd"), ("d/gone", "x"), ("dir/in", "x"), ("file", "x")]);
    let after =
        tree(&[("same/a", "text"), ("d/changed", "abce"), ("d/new", "x"), ("file/in", "x"), ("dir", "x")]);
    symlink("a", before.path().join("same/l")).unwrap();
    symlink("a", after.path().join("same/l")).unwrap();
    symlink("b", after.path().join("d/l")).unwrap();
    fs::set_permissions(after.path().join("d"), fs::Permissions::from_mode(0o750)).unwrap();
    let upper = changed(before.path(), after.path(), 1 << 20).unwrap();
    assert_eq!(names(upper.path()), ["-d/gone", "d", "d/changed", "d/l", "d/new", "dir", "file", "file/in"]);
    assert_eq!(fs::read_to_string(upper.path().join("d/changed")).unwrap(), "abce");
    assert_eq!(upper.path().join("d").metadata().unwrap().mode() & 0o777, 0o750);
    assert_eq!(upper.path().join("d/new").metadata().unwrap().mtime(), 0);
    let none = changed(before.path(), before.path(), 0).unwrap();
    assert!(names(none.path()).is_empty(), "{:?}", names(none.path()));
}

#[test]
fn long_files_are_compared_to_their_end() {
    let (mut text, size) = ("x".repeat(3 * CHUNK), 3 * CHUNK as u64);
    let before = tree(&[("f", &text)]);
    text.replace_range(2 * CHUNK + 5..2 * CHUNK + 6, "y");
    let after = tree(&[("f", &text)]);
    let upper = changed(before.path(), after.path(), size).unwrap();
    assert_eq!(fs::read_to_string(upper.path().join("f")).unwrap(), text);
    assert_eq!(
        changed(before.path(), after.path(), size - 1).unwrap_err().kind(),
        io::ErrorKind::FileTooLarge
    );
}
