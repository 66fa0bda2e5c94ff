//! Directories are canonical, whoever made them.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use cullet_digest::{
    Digest, DigestFunction, Directory, DirectoryError, DirectoryNode, FileNode, NodeName, SymlinkNode,
};

const F: DigestFunction = DigestFunction::Blake3;

fn name(text: &str) -> NodeName {
    NodeName::new(text).unwrap()
}

fn file(text: &str) -> FileNode {
    FileNode { name: name(text), digest: F.digest(text.as_bytes()), executable: false }
}

fn directory(text: &str) -> DirectoryNode {
    DirectoryNode { name: name(text), digest: Directory::default().digest(F) }
}

fn link(text: &str, target: &str) -> SymlinkNode {
    SymlinkNode { name: name(text), target: target.into() }
}

fn sample() -> Directory {
    Directory::new(vec![file("b"), file("a")], vec![directory("d")], vec![link("l", "a")]).unwrap()
}

#[test]
fn the_empty_directory_is_the_empty_blob() {
    assert_eq!(Directory::default().encode(), b"");
    assert_eq!(Directory::default().digest(F), F.digest(b""));
}

#[test]
fn the_order_of_making_does_not_show() {
    let other =
        Directory::new(vec![file("a"), file("b")], vec![directory("d")], vec![link("l", "a")]).unwrap();
    assert_eq!(sample().encode(), other.encode());
}

#[test]
fn the_wire_form_is_the_published_one() {
    let one = Directory::new(vec![FileNode { executable: true, ..file("x") }], vec![], vec![]).unwrap();
    let hash = F.digest(b"x").hash_hex();
    // Field 1 (files): name = 1 "x", digest = 2 { hash = 1, size_bytes = 2 }, is_executable = 4.
    let mut digest = vec![0x0a, 64];
    digest.extend(hash.as_bytes());
    digest.extend([0x10, 1]);
    let mut node = vec![0x0a, 1, b'x', 0x12, digest.len() as u8];
    node.extend(&digest);
    node.extend([0x20, 1]);
    let mut expected = vec![0x0a, node.len() as u8];
    expected.extend(&node);
    assert_eq!(one.encode(), expected);
}

#[test]
fn a_directory_survives_its_wire_form() {
    let bytes = sample().encode();
    assert_eq!(Directory::decode(F, &bytes).unwrap(), sample());
}

#[test]
fn every_difference_changes_the_digest() {
    let variants = [
        sample(),
        Directory::new(vec![file("a")], vec![directory("d")], vec![link("l", "a")]).unwrap(),
        Directory::new(vec![file("b"), file("a")], vec![directory("e")], vec![link("l", "a")]).unwrap(),
        Directory::new(vec![file("b"), file("a")], vec![directory("d")], vec![link("l", "b")]).unwrap(),
        Directory::new(
            vec![file("b"), FileNode { executable: true, ..file("a") }],
            vec![directory("d")],
            vec![link("l", "a")],
        )
        .unwrap(),
    ];
    let digests: std::collections::BTreeSet<Digest> = variants.iter().map(|one| one.digest(F)).collect();
    assert_eq!(digests.len(), variants.len());
}

#[test]
fn one_name_twice_is_refused_whatever_it_names() {
    let twice = Directory::new(vec![file("a")], vec![directory("a")], vec![]);
    assert_eq!(twice.unwrap_err(), DirectoryError::Duplicate("a".to_owned()));
}

#[test]
fn names_that_lead_elsewhere_are_refused() {
    for bad in ["", ".", "..", "a/b", "/", "a\0"] {
        assert!(NodeName::new(bad).is_err(), "{bad:?}");
    }
    for good in ["...", "a\nb", "ü", ".hidden", "-"] {
        assert!(NodeName::new(good).is_ok(), "{good:?}");
    }
}

/// A file node with this name, by hand.
fn raw_file(name: &str) -> Vec<u8> {
    let digest = [&[0x0a, 64][..], F.digest(b"").hash_hex().as_bytes()].concat();
    let node =
        [&[0x0a, name.len() as u8][..], name.as_bytes(), &[0x12, digest.len() as u8], &digest].concat();
    [&[0x0a, node.len() as u8][..], &node].concat()
}

#[test]
fn received_directories_are_checked() {
    let unsorted = [raw_file("b"), raw_file("a")].concat();
    assert_eq!(Directory::decode(F, &unsorted).unwrap_err(), DirectoryError::Unsorted("a".to_owned()));
    let twice = [raw_file("a"), raw_file("a")].concat();
    assert_eq!(Directory::decode(F, &twice).unwrap_err(), DirectoryError::Duplicate("a".to_owned()));
    assert!(matches!(Directory::decode(F, &raw_file("..")), Err(DirectoryError::Name(_))));
    assert!(matches!(Directory::decode(F, &[0x0a, 3, 0x0a, 1, b'x']), Err(DirectoryError::Digest { .. })));
    assert!(matches!(Directory::decode(F, b"\xff\xff"), Err(DirectoryError::Decode(_))));
}
