//! Input roots are put together from trees, reading only what must be read.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::sync::Arc;

use cullet_digest::{
    AssembleError, Assembled, Digest, DigestFunction, Directory, DirectoryNode, FileNode, Mount, NodeName,
    TreeRef, assemble,
};

const F: DigestFunction = DigestFunction::Blake3;

/// Directories by digest, and which of them were read.
#[derive(Default)]
struct Store {
    known: BTreeMap<Digest, Arc<Directory>>,
    read: Vec<Digest>,
}

impl Store {
    fn directory(&mut self, files: &[&str], directories: &[(&str, Digest)]) -> Digest {
        let name = |text: &str| NodeName::new(text).unwrap();
        let file =
            |text: &&str| FileNode { name: name(text), digest: F.digest(text.as_bytes()), executable: false };
        let sub = |(text, digest): &(&str, Digest)| DirectoryNode { name: name(text), digest: *digest };
        let made =
            Directory::new(files.iter().map(file).collect(), directories.iter().map(sub).collect(), vec![])
                .unwrap();
        let digest = made.digest(F);
        self.known.insert(digest, Arc::new(made));
        digest
    }

    fn assemble(&mut self, mounts: &[(&str, TreeRef)]) -> Result<Assembled, AssembleError<Digest>> {
        let mounts: Vec<Mount<'_>> = mounts.iter().map(|&(path, tree)| Mount { path, tree }).collect();
        assemble(F, &mounts, |digest| {
            self.read.push(*digest);
            self.known.get(digest).cloned().ok_or(*digest)
        })
    }

    /// All paths below a root, those of new directories included.
    fn paths(&self, made: &Assembled) -> Vec<String> {
        let mut known = self.known.clone();
        for (digest, bytes) in &made.directories {
            assert_eq!(F.digest(bytes), *digest);
            known.insert(*digest, Arc::new(Directory::decode(F, bytes).unwrap()));
        }
        let mut paths = Vec::new();
        let mut open = vec![(String::new(), made.root)];
        while let Some((path, digest)) = open.pop() {
            let directory = known.get(&digest).cloned().unwrap_or_default();
            paths.extend(directory.files().iter().map(|file| format!("{path}{}", &*file.name)));
            open.extend(
                directory.directories().iter().map(|sub| (format!("{path}{}/", &*sub.name), sub.digest)),
            );
        }
        paths.sort();
        paths
    }
}

fn file(content: &str) -> TreeRef {
    TreeRef::File { digest: F.digest(content.as_bytes()), executable: true }
}

#[test]
fn no_mounts_are_an_empty_directory() {
    let made = Store::default().assemble(&[]).unwrap();
    assert_eq!(made.root, F.digest(b""));
}

#[test]
fn a_tree_at_the_root_is_the_root_and_is_not_read() {
    let mut store = Store::default();
    let tree = store.directory(&["a"], &[]);
    let made = store.assemble(&[("", TreeRef::Directory(tree))]).unwrap();
    assert_eq!((made.root, made.directories.len(), store.read.len()), (tree, 0, 0));
}

#[test]
fn trees_side_by_side_are_not_read() {
    let mut store = Store::default();
    let tree = store.directory(&["a"], &[]);
    let made = store.assemble(&[("x/y", TreeRef::Directory(tree)), ("x/z", file("f"))]).unwrap();
    assert!(store.read.is_empty());
    assert_eq!(store.paths(&made), ["x/y/a", "x/z"]);
}

#[test]
fn a_mount_inside_a_tree_reads_only_the_way_to_it() {
    let mut store = Store::default();
    let deep = store.directory(&["d"], &[]);
    let aside = store.directory(&["s"], &[]);
    let tree = store.directory(&["a"], &[("sub", deep), ("aside", aside)]);
    let made = store.assemble(&[("", TreeRef::Directory(tree)), ("sub/new", file("f"))]).unwrap();
    assert_eq!(store.read, [tree, deep]);
    assert_eq!(store.paths(&made), ["a", "aside/s", "sub/d", "sub/new"]);
}

#[test]
fn the_order_of_mounts_does_not_show() {
    let mut store = Store::default();
    let tree = store.directory(&["a"], &[]);
    let one = store.assemble(&[("", TreeRef::Directory(tree)), ("n", file("f"))]).unwrap();
    let two = store.assemble(&[("n", file("f")), ("", TreeRef::Directory(tree))]).unwrap();
    assert_eq!(one.root, two.root);
}

#[test]
fn meeting_mounts_are_refused() {
    let mut store = Store::default();
    let deep = store.directory(&["d"], &[]);
    let tree = TreeRef::Directory(store.directory(&["a"], &[("sub", deep)]));
    let cases: [(&[(&str, TreeRef)], &str); 5] = [
        (&[("x", file("1")), ("x", file("2"))], "x"),
        (&[("", tree), ("a", file("2"))], "a"),
        (&[("", tree), ("sub", file("2"))], "sub"),
        (&[("", tree), ("a/b", file("2"))], "a"),
        (&[("f", file("1")), ("f/g", file("2"))], "f"),
    ];
    for (mounts, at) in cases {
        match store.assemble(mounts) {
            Err(AssembleError::Collision { path }) => assert_eq!(path, at),
            other => panic!("{mounts:?}: {other:?}"),
        }
    }
}

#[test]
fn paths_that_lead_elsewhere_are_refused() {
    for path in ["../x", "a//b", "/a", "a/", "."] {
        assert!(
            matches!(Store::default().assemble(&[(path, file("f"))]), Err(AssembleError::Path { .. })),
            "{path}"
        );
    }
}

#[test]
fn a_lost_directory_is_named() {
    let lost = F.digest(b"lost");
    let result = Store::default().assemble(&[("", TreeRef::Directory(lost)), ("x", file("f"))]);
    assert!(matches!(result, Err(AssembleError::Read(digest)) if digest == lost));
}
