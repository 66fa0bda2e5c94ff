//! What a scanned tree answers.

use cullet_digest::{DigestFunction, Directory, TreeRef};
use cullet_source::SubtreeError;

use crate::tree::{Tree, scan, settle};

const FUNCTION: DigestFunction = DigestFunction::Blake3;

#[test]
fn subtrees_are_the_trees_of_their_directories() {
    let tree = Tree::with(&[("a/b/x", "x"), ("a/y", "y"), ("z", "z")]);
    tree.mode("a/y", 0o755);
    let scanned = scan(&tree.root()).unwrap();
    for (path, directory) in
        [("", ""), (".", ""), ("a", "a"), ("a/", "a"), ("./a/b", "a/b"), ("a//b/", "a/b")]
    {
        let expected = scan(&tree.path(directory)).unwrap().root();
        assert_eq!(scanned.subtree(path), Ok(TreeRef::Directory(expected)), "{path}");
    }
    let file = TreeRef::File { digest: FUNCTION.digest(b"y"), executable: true };
    assert_eq!(scanned.subtree("a/y"), Ok(file));
}

#[test]
fn what_is_no_subtree_is_said() {
    let tree = Tree::with(&[("a/x", ""), (".gitignore", "gone/"), ("gone/x", "")]);
    std::fs::create_dir(tree.path("empty")).unwrap();
    tree.link("link", "a");
    let scanned = scan(&tree.root()).unwrap();
    for path in ["none", "a/none", "a/x/y", "gone", "gone/x", "empty"] {
        assert_eq!(scanned.subtree(path), Err(SubtreeError::NotFound { path: path.into() }));
    }
    for path in ["/a", "..", "a/../a"] {
        assert_eq!(scanned.subtree(path), Err(SubtreeError::Path { path: path.into() }));
    }
    for path in ["link", "link/x"] {
        assert_eq!(
            scanned.subtree(path),
            Err(SubtreeError::Symlink { path: path.into(), link: "link".into() })
        );
    }
}

#[test]
fn directories_and_files_are_found_by_digest_cold_and_warm() {
    let tree = Tree::with(&[("a/x", "x"), ("b/x", "x"), ("c", "c")]);
    settle();
    let scanner = tree.scanner();
    for _ in 0..2 {
        let scanned = scanner.scan(&tree.spec()).unwrap();
        let all: Vec<_> = scanned.directories().collect();
        assert_eq!(all.len(), 2, "a and b are one directory");
        for (digest, bytes) in &all {
            assert_eq!(FUNCTION.digest(bytes), *digest);
            let directory = scanned.directory(digest).unwrap();
            assert_eq!(*directory, Directory::decode(FUNCTION, bytes).unwrap());
            assert_eq!(scanned.directory_bytes(digest).as_ref(), Some(bytes));
        }
        let everything: std::collections::HashSet<_> = scanned.digests().collect();
        let mut expected: std::collections::HashSet<_> = all.iter().map(|(digest, _)| *digest).collect();
        expected.extend([FUNCTION.digest(b"x"), FUNCTION.digest(b"c")]);
        assert_eq!(everything, expected);
        for content in ["x", "c"] {
            let path = scanned.file(&FUNCTION.digest(content.as_bytes())).unwrap();
            assert_eq!(std::fs::read_to_string(path).unwrap(), content);
        }
        assert_eq!(scanned.file(&FUNCTION.digest(b"none")), None);
        assert_eq!(scanned.directory(&FUNCTION.digest(b"x")), None);
        assert_eq!(scanned.file(&DigestFunction::Sha256.digest(b"x")), None);
    }
}
