//! The stat cache: what is not read again, and what is.

use std::fs;
use std::os::unix::fs::FileExt as _;
use std::path::PathBuf;

use cullet_digest::DigestFunction;
use cullet_source::{ScanWarning, Scanner, SourceSpec};

use crate::tree::{Tree, scan, settle};

fn sample() -> Tree {
    let tree = Tree::with(&[
        ("a/1", "one"),
        ("a/2", "two"),
        ("b/c/3", "three"),
        (".gitignore", "*.o\n"),
        ("x.o", ""),
    ]);
    tree.link("link", "a/1");
    settle();
    tree
}

fn cache_files(tree: &Tree) -> Vec<PathBuf> {
    fs::read_dir(tree.cache()).unwrap().map(|item| item.unwrap().path()).collect()
}

#[test]
fn nothing_is_read_twice() {
    let tree = sample();
    let cold = tree.scanner().scan(&tree.spec()).unwrap();
    assert_eq!((cold.stats().files, cold.stats().hashed_files, cold.stats().reused_directories), (4, 4, 0));
    let written = fs::metadata(&cache_files(&tree)[0]).unwrap().modified().unwrap();
    let warm = tree.scanner().scan(&tree.spec()).unwrap();
    assert_eq!((warm.stats().files, warm.stats().hashed_files, warm.stats().reused_directories), (4, 0, 4));
    assert_eq!(warm.root(), cold.root());
    assert_eq!(warm.directories().count(), cold.directories().count());
    let after = fs::metadata(&cache_files(&tree)[0]).unwrap().modified().unwrap();
    assert_eq!(written, after, "an unchanged cache is not written");
}

#[test]
fn one_edit_reads_one_file() {
    let tree = sample();
    tree.scanner().scan(&tree.spec()).unwrap();
    tree.write("a/2", "TWO");
    let edited = tree.scanner().scan(&tree.spec()).unwrap();
    assert_eq!((edited.stats().hashed_files, edited.stats().hashed_bytes), (1, 3));
    assert_eq!(edited.stats().reused_directories, 2, "b and b/c");
    assert_eq!(edited.root(), tree.digest());
}

#[test]
fn a_new_rule_holds_at_once() {
    let tree = sample();
    let scanner = tree.scanner();
    scanner.scan(&tree.spec()).unwrap();
    tree.write(".gitignore", "*.o\n/a/1\n");
    assert_eq!(scanner.scan(&tree.spec()).unwrap().root(), tree.digest());
    tree.write(".gitignore", "b/\n");
    let scanned = scanner.scan(&tree.spec()).unwrap();
    assert_eq!(scanned.root(), tree.digest());
    assert_eq!(scanned.stats().files, 4, "a/1, a/2, x.o and the rules");
}

#[test]
fn other_globs_read_nothing_again() {
    let tree = sample();
    tree.scanner().scan(&tree.spec()).unwrap();
    let spec = SourceSpec { exclude: vec!["b/".into()], ..tree.spec() };
    let narrowed = tree.scanner().scan(&spec).unwrap();
    assert_eq!((narrowed.stats().files, narrowed.stats().hashed_files), (3, 0));
}

#[test]
fn a_write_that_hides_behind_its_times_is_seen() {
    let tree = Tree::new();
    let scanner = tree.scanner();
    for round in 0..100 {
        // Same size, same inode, at once after the scan that read the file, and with its old mtime put back.
        tree.write("racy", &format!("{round:04}"));
        scanner.scan(&tree.spec()).unwrap();
        let file = fs::File::options().write(true).open(tree.path("racy")).unwrap();
        let modified = file.metadata().unwrap().modified().unwrap();
        file.write_at(b"race", 0).unwrap();
        file.set_modified(modified).unwrap();
        let expected = DigestFunction::Blake3.digest(b"race");
        let scanned = scanner.scan(&tree.spec()).unwrap();
        assert!(scanned.file(&expected).is_some(), "round {round}");
    }
}

#[test]
fn an_old_mtime_hides_no_change_of_an_old_file() {
    let tree = sample();
    tree.scanner().scan(&tree.spec()).unwrap();
    let file = fs::File::options().write(true).open(tree.path("a/1")).unwrap();
    let modified = file.metadata().unwrap().modified().unwrap();
    file.write_at(b"ONE", 0).unwrap();
    file.set_modified(modified).unwrap();
    assert_eq!(tree.scanner().scan(&tree.spec()).unwrap().root(), tree.digest());
}

#[test]
fn a_damaged_cache_is_rebuilt() {
    let tree = sample();
    let expected = tree.scanner().scan(&tree.spec()).unwrap().root();
    let file = cache_files(&tree).remove(0);
    let good = fs::read(&file).unwrap();
    let mut newer = good.clone();
    newer[14] = b'9';
    for bad in
        [Vec::new(), vec![0; 10_000], good[..good.len() / 2].to_vec(), [&good[..], b"x"].concat(), newer]
    {
        fs::write(&file, bad).unwrap();
        let scanned = tree.scanner().scan(&tree.spec()).unwrap();
        assert_eq!((scanned.root(), scanned.stats().hashed_files), (expected, 4));
        assert_eq!(fs::read(&file).unwrap().len(), good.len());
    }
    assert_eq!(tree.scanner().scan(&tree.spec()).unwrap().stats().hashed_files, 0);
}

#[test]
fn a_half_written_cache_of_a_killed_process_is_in_nobodys_way() {
    let tree = sample();
    let expected = tree.scanner().scan(&tree.spec()).unwrap().root();
    let good = fs::read(&cache_files(&tree)[0]).unwrap();
    fs::write(tree.cache().join(".new-999999-0"), &good[..good.len() / 2]).unwrap();
    let scanned = tree.scanner().scan(&tree.spec()).unwrap();
    assert_eq!((scanned.root(), scanned.stats().hashed_files), (expected, 0));
}

#[test]
fn a_cache_that_cannot_be_written_is_a_warning() {
    let tree = sample();
    fs::write(tree.cache(), "a file is in the way").unwrap();
    let scanned = tree.scanner().scan(&tree.spec()).unwrap();
    assert_eq!(scanned.root(), tree.digest());
    assert!(matches!(scanned.warnings(), [ScanWarning::CacheNotWritten { .. }]), "{:?}", scanned.warnings());
}

#[test]
fn two_functions_do_not_mix() {
    let tree = sample();
    let sha = || Scanner::new(DigestFunction::Sha256, Some(tree.cache()));
    let blake = tree.scanner().scan(&tree.spec()).unwrap().root();
    let first = sha().scan(&tree.spec()).unwrap();
    assert_eq!(first.stats().hashed_files, 4);
    assert_eq!(first.root().function(), DigestFunction::Sha256);
    assert_eq!(sha().scan(&tree.spec()).unwrap().root(), first.root());
    assert_eq!(tree.scanner().scan(&tree.spec()).unwrap().root(), blake);
}

#[test]
fn many_scans_at_once_agree_while_files_change() {
    let tree = sample();
    let scanner = tree.scanner();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..20 {
                    scanner.scan(&tree.spec()).unwrap();
                }
            });
        }
        for round in 0..20 {
            tree.write("b/new", &round.to_string());
        }
    });
    assert_eq!(scanner.scan(&tree.spec()).unwrap().root(), scan(&tree.root()).unwrap().root());
}
