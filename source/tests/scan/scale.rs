//! Many files, large files, deep directories.

use std::fs;
use std::num::NonZero;

use cullet_digest::DigestFunction;
use cullet_source::{Scanner, SourceSpec};
use rustix::fs::{CWD, Mode, OFlags, mkdirat, openat};

use crate::tree::{Tree, scan, settle};

fn with_threads(threads: usize) -> Scanner {
    Scanner::new(DigestFunction::Blake3, None).with_threads(NonZero::new(threads).unwrap())
}

#[test]
fn three_thousand_files_give_one_digest_with_any_number_of_threads() {
    let tree = Tree::new();
    for at in 0..3000 {
        tree.write(&format!("d{}/e{}/f{at}", at % 17, at % 71), &at.to_string());
    }
    settle();
    let expected = with_threads(1).scan(&tree.spec()).unwrap();
    assert_eq!(expected.stats().files, 3000);
    for threads in [2, 5] {
        assert_eq!(with_threads(threads).scan(&tree.spec()).unwrap().root(), expected.root());
    }
    let scanner = tree.scanner();
    for hashed in [3000, 0] {
        let scanned = scanner.scan(&tree.spec()).unwrap();
        assert_eq!((scanned.root(), scanned.stats().hashed_files), (expected.root(), hashed));
    }
}

#[test]
fn large_files_are_hashed_like_small_ones() {
    let tree = Tree::new();
    let content: Vec<u8> = (0..40_000_000_u32).map(|at| (at / 7) as u8).collect();
    fs::write(tree.path("large"), &content).unwrap();
    for function in DigestFunction::ALL {
        let scanned = Scanner::new(function, None).scan(&SourceSpec::new(tree.root())).unwrap();
        assert!(scanned.file(&function.digest(&content)).is_some(), "{function}");
    }
}

#[test]
fn directories_deeper_than_any_path_are_walked() {
    let tree = Tree::new();
    let name = "n".repeat(100);
    let depth = 300;
    let mut at = openat(CWD, tree.root(), OFlags::DIRECTORY, Mode::empty()).unwrap();
    for _ in 0..depth {
        mkdirat(&at, &name, Mode::from_raw_mode(0o755)).unwrap();
        at = openat(&at, &name, OFlags::DIRECTORY, Mode::empty()).unwrap();
    }
    let file = openat(&at, "leaf", OFlags::CREATE | OFlags::WRONLY, Mode::from_raw_mode(0o644)).unwrap();
    rustix::io::write(&file, b"leaf").unwrap();
    let scanned = scan(&tree.root()).unwrap();
    assert_eq!((scanned.stats().files, scanned.stats().directories), (1, depth + 1));
    let leaf = format!("{}leaf", format!("{name}/").repeat(depth as usize));
    assert!(scanned.subtree(&leaf).is_ok());
}
