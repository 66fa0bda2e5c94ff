//! Trees that cannot be a source, or only just.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::UnixListener;
use std::sync::atomic::{AtomicBool, Ordering};

use cullet_digest::DigestFunction;
use cullet_source::{ProblemKind, Problems, ScanError, ScanLimits, ScanWarning, Scanner, SourceSpec};
use rustix::fs::{CWD, FileType, Mode, mknodat};

use crate::tree::{Tree, paths, scan};

fn problems(tree: &Tree) -> Problems {
    match scan(&tree.root()) {
        Err(ScanError::Entries(problems)) => problems,
        other => panic!("expected problems, got {other:?}"),
    }
}

fn fifo(tree: &Tree, path: &str) {
    mknodat(CWD, tree.path(path), FileType::Fifo, Mode::from_raw_mode(0o644), 0).unwrap();
}

#[test]
fn everything_wrong_is_said_at_once_with_what_to_do() {
    let tree = Tree::with(&[("a/fine", "")]);
    fifo(&tree, "a/pipe");
    let _socket = UnixListener::bind(tree.path("sock")).unwrap();
    fs::write(tree.root().join(OsStr::from_bytes(b"b\xffd\n")), "").unwrap();
    fs::create_dir(tree.root().join(OsStr::from_bytes(b"d\xfe"))).unwrap();
    std::os::unix::fs::symlink(OsStr::from_bytes(b"\xff"), tree.path("link")).unwrap();
    let problems = problems(&tree);
    let list: Vec<_> = problems.list.iter().map(|problem| problem.path.as_str()).collect();
    assert_eq!(list, ["a/pipe", "b\\xffd\\n", "d\\xfe", "link", "sock"]);
    assert!(matches!(problems.list[0].kind, ProblemKind::Special("FIFO")));
    assert!(matches!(problems.list[1].kind, ProblemKind::NameNotUtf8));
    assert!(matches!(problems.list[3].kind, ProblemKind::TargetNotUtf8));
    assert!(matches!(problems.list[4].kind, ProblemKind::Special("socket")));
    let text = problems.to_string();
    assert_eq!(text.lines().count(), 6, "a newline in a name makes no line: {text}");
    assert!(text.lines().skip(1).all(|line| line.contains("exclude")), "{text}");
}

#[test]
fn what_is_excluded_may_be_anything() {
    let tree = Tree::with(&[("a", ""), (".gitignore", "pipe\nbad*\n")]);
    fifo(&tree, "pipe");
    fs::write(tree.root().join(OsStr::from_bytes(b"bad\xff")), "").unwrap();
    assert_eq!(paths(&scan(&tree.root()).unwrap()), [".gitignore", "a"]);
}

#[test]
fn newlines_and_other_odd_names_are_fine() {
    let names = ["a\nb", " ", "-rf", "\u{202e}", "*", "\"quoted\"", "…"];
    let tree = Tree::new();
    names.iter().for_each(|name| tree.write(name, name));
    let scanned = scan(&tree.root()).unwrap();
    assert_eq!(paths(&scanned).len(), names.len());
    assert!(scanned.subtree("a\nb").is_ok());
}

#[test]
fn unreadable_files_and_directories_are_named() {
    let tree = Tree::with(&[("a/secret", "x"), ("closed/x", "x"), ("fine", "")]);
    tree.mode("a/secret", 0);
    tree.mode("closed", 0);
    if fs::read(tree.path("a/secret")).is_ok() {
        // The superuser reads everything; the message is tried where somebody else runs the tests.
        println!("skipped: this user may read everything");
    } else {
        let problems = problems(&tree);
        let list: Vec<_> = problems.list.iter().map(|problem| problem.path.as_str()).collect();
        assert_eq!(list, ["a/secret", "closed"]);
        assert!(problems.list.iter().all(|problem| matches!(problem.kind, ProblemKind::Unreadable(_))));
    }
    tree.mode("closed", 0o755);
}

#[test]
fn only_a_hundred_problems_are_listed() {
    let tree = Tree::new();
    (0..150).for_each(|at| fifo(&tree, &format!("pipe{at:03}")));
    let problems = problems(&tree);
    assert_eq!((problems.list.len(), problems.more), (100, 50));
    assert!(problems.to_string().ends_with("and 50 more"));
}

#[test]
fn link_loops_are_harmless_and_escapes_are_said() {
    let tree = Tree::with(&[("a/file", "")]);
    tree.link("a/loop", "loop");
    tree.link("a/up", "..");
    tree.link("a/out", "../../elsewhere");
    tree.link("abs", "/etc/passwd");
    let check = |warnings: &[ScanWarning]| {
        let text: Vec<_> = warnings.iter().map(ToString::to_string).collect();
        assert_eq!(text.len(), 2, "{text:?}");
        assert!(text[0].starts_with("a/out: ") && text[0].ends_with("../../elsewhere"));
        assert!(text[1].starts_with("abs: ") && text[1].ends_with("/etc/passwd"));
    };
    let scanned = scan(&tree.root()).unwrap();
    assert_eq!(paths(&scanned), ["a/", "a/file", "a/loop", "a/out", "a/up", "abs"]);
    check(scanned.warnings());
    // Also when nothing changed.
    let scanner = tree.scanner();
    for _ in 0..3 {
        crate::tree::settle();
        check(scanner.scan(&tree.spec()).unwrap().warnings());
    }
}

#[test]
fn a_root_that_is_not_there_or_no_directory_is_named() {
    let tree = Tree::with(&[("file", "")]);
    for path in ["none", "file"] {
        let error = scan(&tree.path(path)).unwrap_err();
        assert!(matches!(&error, ScanError::Root { .. }), "{error:?}");
        assert!(error.to_string().contains(path));
    }
}

#[test]
fn bounds_hold() {
    let tree = Tree::with(&[("1/2/3/4/file", ""), ("x", ""), ("y", "")]);
    let scan = |limits| {
        Scanner::new(DigestFunction::Blake3, None).with_limits(limits).scan(&SourceSpec::new(tree.root()))
    };
    let few = scan(ScanLimits { max_entries: 5, ..ScanLimits::default() });
    assert!(matches!(few, Err(ScanError::TooMany { limit: 5, .. })));
    assert!(scan(ScanLimits { max_entries: 7, ..ScanLimits::default() }).is_ok());
    let Err(ScanError::Entries(problems)) = scan(ScanLimits { max_depth: 3, ..ScanLimits::default() }) else {
        panic!("a tree four directories deep passed a limit of three");
    };
    assert_eq!(problems.list[0].path, "1/2/3/4");
    assert!(scan(ScanLimits { max_depth: 4, ..ScanLimits::default() }).is_ok());
    tree.write("1/.gitignore", &"a\n".repeat(20));
    let Err(ScanError::Entries(problems)) =
        scan(ScanLimits { max_ignore_bytes: 30, ..ScanLimits::default() })
    else {
        panic!("a long ignore file passed");
    };
    assert_eq!(problems.list[0].path, "1/.gitignore");
}

#[test]
fn a_file_that_changes_all_the_time_is_an_error_or_whole() {
    let tree = Tree::with(&[("steady", "x")]);
    let size = 40 << 20;
    let path = tree.path("busy");
    fs::write(&path, vec![b'0'; size]).unwrap();
    let stop = AtomicBool::new(false);
    let problems = std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut at = 0_u64;
            while !stop.load(Ordering::Relaxed) {
                use std::os::unix::fs::FileExt as _;
                let file = fs::File::options().write(true).open(&path).unwrap();
                file.write_at(&at.to_le_bytes(), at % size as u64).unwrap();
                at += 4096;
            }
        });
        // On a busy machine the writer may not get a turn while the file is read, which is then whole.
        let problems = (0..100).find_map(|_| scan(&tree.root()).err());
        stop.store(true, Ordering::Relaxed);
        problems
    });
    let Some(ScanError::Entries(problems)) = problems else {
        panic!("a file written to thousands of times a second was hashed a hundred times: {problems:?}");
    };
    assert_eq!(problems.list[0].path, "busy");
    assert!(matches!(problems.list[0].kind, ProblemKind::Changed));
    assert!(problems.to_string().contains("changed while it was read"));
}
