//! What the digest of a tree depends on.

use std::fs;
use std::time::{Duration, SystemTime};

use cullet_digest::{Digest, DigestFunction, Directory, DirectoryNode, FileNode, NodeName, SymlinkNode};
use cullet_source::{Scanner, SourceSpec};

use crate::tree::{Tree, paths, scan};

const FILES: [(&str, &str); 4] = [("b.c", "b"), ("a/deep/x", "x"), ("a/y", "y"), ("zz/run.sh", "#!/bin/sh")];

fn sample() -> Tree {
    let tree = Tree::with(&FILES);
    tree.link("link", "a/y");
    tree.mode("zz/run.sh", 0o755);
    tree
}

#[test]
fn the_tree_is_the_canonical_one() {
    let tree = Tree::with(&[("b", "two"), ("d/c", "one")]);
    tree.link("a", "b");
    tree.mode("d/c", 0o700);
    let function = DigestFunction::Blake3;
    let name = |name: &str| NodeName::new(name).unwrap();
    let file = |at: &str, content: &[u8], executable| FileNode {
        name: name(at),
        digest: function.digest(content),
        executable,
    };
    let inner = Directory::new(vec![file("c", b"one", true)], vec![], vec![]).unwrap();
    let below = DirectoryNode { name: name("d"), digest: inner.digest(function) };
    let link = SymlinkNode { name: name("a"), target: "b".into() };
    let root = Directory::new(vec![file("b", b"two", false)], vec![below], vec![link]).unwrap();
    assert_eq!(tree.digest(), root.digest(function));
    let sha = Scanner::new(DigestFunction::Sha256, None).scan(&tree.spec()).unwrap().root();
    assert_eq!(sha.function(), DigestFunction::Sha256);
}

#[test]
fn another_checkout_of_the_same_files_has_the_same_digest() {
    let first = sample();
    let second = Tree::new();
    for (path, content) in FILES.iter().rev() {
        second.write(path, content);
        let file = fs::File::options().append(true).open(second.path(path)).unwrap();
        file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000)).unwrap();
        second.mode(path, 0o640);
    }
    second.mode("zz/run.sh", 0o711);
    second.link("link", "a/y");
    second.mode("a", 0o700);
    second.write(".git/HEAD", "ref: refs/heads/main");
    fs::create_dir_all(second.path("empty/nested")).unwrap();
    assert_eq!(first.digest(), second.digest());
}

#[test]
fn group_and_other_execute_bits_do_not_count() {
    let tree = sample();
    let before = tree.digest();
    tree.mode("b.c", 0o655);
    assert_eq!(tree.digest(), before);
}

type Change = fn(&Tree);

#[test]
fn every_kind_of_change_changes_the_digest() {
    let changes: [(&str, Change); 9] = [
        ("content", |tree| tree.write("a/y", "Y")),
        ("execute bit", |tree| tree.mode("b.c", 0o755)),
        ("execute bit taken", |tree| tree.mode("zz/run.sh", 0o644)),
        ("new file", |tree| tree.write("a/new", "")),
        ("gone", |tree| fs::remove_file(tree.path("a/deep/x")).unwrap()),
        ("name", |tree| fs::rename(tree.path("b.c"), tree.path("c.c")).unwrap()),
        ("directory name", |tree| fs::rename(tree.path("zz"), tree.path("yy")).unwrap()),
        ("link target", |tree| {
            fs::remove_file(tree.path("link")).unwrap();
            tree.link("link", "a/z");
        }),
        ("link instead of file", |tree| {
            fs::remove_file(tree.path("b.c")).unwrap();
            tree.link("b.c", "b");
        }),
    ];
    let before = sample().digest();
    let mut digests = vec![before];
    for (what, change) in changes {
        let tree = sample();
        let cached = tree.scanner();
        assert_eq!(cached.scan(&tree.spec()).unwrap().root(), before);
        crate::tree::settle();
        cached.scan(&tree.spec()).unwrap();
        change(&tree);
        let after = tree.digest();
        assert!(!digests.contains(&after), "{what}");
        assert_eq!(cached.scan(&tree.spec()).unwrap().root(), after, "{what}, with a stat cache");
        digests.push(after);
    }
}

#[test]
fn an_empty_tree_is_the_empty_directory() {
    let tree = Tree::new();
    fs::create_dir_all(tree.path("a/b/c")).unwrap();
    let scanned = scan(&tree.root()).unwrap();
    assert_eq!(scanned.root(), DigestFunction::Blake3.digest(b""));
    assert_eq!(scanned.directories().collect::<Vec<_>>(), [(scanned.root(), Vec::new())]);
}

#[test]
fn include_and_exclude_choose() {
    let tree = Tree::with(&[
        ("src/a.rs", ""),
        ("src/b.txt", ""),
        ("docs/c.rs", ""),
        ("src/gen/d.rs", ""),
        ("x.log", ""),
    ]);
    tree.write(".gitignore", "*.log\n");
    let chosen = |include: &[&str], exclude: &[&str]| {
        let own = |globs: &[&str]| globs.iter().map(|&glob| glob.to_owned()).collect();
        let spec = SourceSpec { root: tree.root(), include: own(include), exclude: own(exclude) };
        let cold = Scanner::new(DigestFunction::Blake3, None).scan(&spec).unwrap();
        let warm = tree.scanner();
        assert_eq!(warm.scan(&spec).unwrap().root(), cold.root());
        assert_eq!(warm.scan(&spec).unwrap().root(), cold.root());
        paths(&cold)
    };
    assert_eq!(chosen(&[], &["docs/", "gen"]), [".gitignore", "src/", "src/a.rs", "src/b.txt"]);
    assert_eq!(chosen(&["*.rs"], &["docs/"]), ["src/", "src/a.rs", "src/gen/", "src/gen/d.rs"]);
    assert_eq!(chosen(&["src/"], &["*.rs"]), ["src/", "src/b.txt"]);
    assert_eq!(chosen(&["*.log"], &["!x.log"]), ["x.log"]);
    assert_eq!(chosen(&["src/*.rs"], &[]), ["src/", "src/a.rs"]);
}

#[test]
fn the_state_directory_is_no_part_of_the_tree() {
    let tree = Tree::with(&[("a", "a"), ("state/db", "1"), ("deep/state/db", "2")]);
    let without = Tree::with(&[("a", "a"), ("state/db", "1")]).digest();
    let scanner = Scanner::new(DigestFunction::Blake3, Some(tree.path("deep/cache")));
    let scanner = scanner.skipping([tree.path("deep/state"), tree.path("not/there")]);
    let digests: Vec<Digest> = (0..3).map(|_| scanner.scan(&tree.spec()).unwrap().root()).collect();
    assert_eq!(digests, [without; 3]);
    assert!(tree.path("deep/cache").is_dir());
}
