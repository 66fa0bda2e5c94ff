//! What is ignored, compared with git itself.

use std::path::Path;
use std::process::Command;

use crate::tree::{Tree, paths, scan};

/// The files that git sees, tracked or not, sorted. None where git is not installed.
fn git_files(root: &Path) -> Option<Vec<String>> {
    let git = |arguments: &[&str]| {
        Command::new("git")
            .args(["-c", "core.excludesFile=/dev/null", "-C"])
            .arg(root)
            .args(arguments)
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .output()
    };
    git(&["init", "-q", "."]).ok().filter(|output| output.status.success())?;
    let output = git(&["ls-files", "-z", "-co", "--exclude-standard"]).unwrap();
    assert!(output.status.success());
    let text = String::from_utf8(output.stdout).unwrap();
    let mut files: Vec<_> = text.split_terminator('\0').map(str::to_owned).collect();
    files.sort();
    Some(files)
}

fn our_files(root: &Path) -> Vec<String> {
    paths(&scan(root).unwrap()).into_iter().filter(|path| !path.ends_with('/')).collect()
}

fn check(tree: &Tree) {
    let Some(expected) = git_files(&tree.root()) else {
        println!("skipped: git is not installed");
        return;
    };
    assert!(!expected.is_empty());
    assert_eq!(our_files(&tree.root()), expected);
}

#[test]
fn every_form_of_pattern_means_what_git_means() {
    let tree = Tree::new();
    for directory in ["", "a/", "a/b/", "a/b/a/", "foo/", "foo/bar/", "x y/", "doc/frotz/", "a/doc/frotz/"] {
        for name in [
            "a.o", "b.c", "keep.o", "fob", "#hash", "!bang", "sp ", "[x]", "é", "Foo.TXT", "f\nnl", "a\\b",
            ".hidden",
        ] {
            tree.write(&format!("{directory}{name}"), "");
        }
    }
    tree.write(".gitignore", "*.o\n!keep.o\n\\#hash\n\\!bang\nsp\\ \n\\[x]\n/foo/bar/\nx y/\ndoc/frotz/\n");
    tree.write("a/.gitignore", "!a.o\r\nb/a/\n.hid*\nf*l\n");
    tree.write("a/b/.gitignore", "\u{feff}keep.o\n[A-F]*.TXT\n??\n");
    tree.write("foo/.gitignore", "# only a comment\n\n*\n!b.c\n!.gitignore   \n");
    tree.write(".git/info/exclude", "a\\\\b\n**/b/fob\n");
    check(&tree);
}

#[test]
fn random_patterns_over_a_random_tree() {
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut random = |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state % below as u64) as usize
    };
    let names = ["a", "b", "ab", "abc", "c.o", "d.txt"];
    // Not among them: `a**`, which git's manual calls two plain stars, and git, when all before it is literal,
    // lets match across slashes.
    let pieces = ["a", "b", "ab*", "*", "**", "?", "*.o", "[a-b]", "[!a]", "**b*", "abc", "d.t?t", "*b*"];
    for round in 0..15 {
        let tree = Tree::new();
        for _ in 0..80 {
            let depth = 1 + random(4);
            let mut path = (1..depth).map(|_| names[random(4)]).collect::<Vec<_>>();
            path.push(names[random(names.len())]);
            let path = path.join("/");
            // A file in the way of a directory, or the other way round, is left out.
            let full = tree.path(&path);
            if !full.exists() && std::fs::create_dir_all(full.parent().unwrap()).is_ok() {
                tree.write(&path, "");
            }
        }
        tree.write("kept", "so that git always has something to say");
        for file in [".gitignore", "a/.gitignore", "b/.gitignore", "a/b/.gitignore"] {
            let mut text = String::new();
            for _ in 0..3 + random(4) {
                let depth = 1 + random(3);
                let pattern = (0..depth).map(|_| pieces[random(pieces.len())]).collect::<Vec<_>>().join("/");
                let (start, slash) = (["", "", "!", "/"][random(4)], ["", "", "/"][random(3)]);
                text += &format!("{start}{pattern}{slash}\n");
            }
            text += "!/kept\n";
            if tree.path(file).parent().unwrap().is_dir() {
                tree.write(file, &text);
            }
        }
        println!("round {round}: {:?}", std::fs::read_to_string(tree.path(".gitignore")));
        check(&tree);
    }
}

#[test]
fn ignore_files_hold_without_a_repository() {
    let tree = Tree::with(&[(".gitignore", "*.o"), ("a.o", ""), ("b/c.o", ""), ("b/c.c", "")]);
    assert_eq!(our_files(&tree.root()), [".gitignore", "b/c.c"]);
}

#[test]
fn a_source_inside_a_repository_obeys_what_is_above() {
    let tree = Tree::with(&[
        (".gitignore", "*.o\n/sub/only-here\n"),
        ("sub/a.o", ""),
        ("sub/only-here", ""),
        ("sub/x", ""),
    ]);
    tree.write(".git/HEAD", "ref: refs/heads/main\n");
    tree.write("sub/deep/only-here", "");
    assert_eq!(our_files(&tree.path("sub")), ["deep/only-here", "x"]);
}

#[test]
fn a_link_named_like_an_ignore_file_is_not_read() {
    let tree = Tree::with(&[("rules", "*.o"), ("a.o", "")]);
    tree.link(".gitignore", "rules");
    check(&tree);
    assert!(our_files(&tree.root()).contains(&"a.o".to_owned()));
}
