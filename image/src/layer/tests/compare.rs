//! Two layers, entry by entry.

use std::ops::ControlFlow;

use super::*;

/// Files up to this size are told with their bytes.
const KEPT: u64 = 8;

/// What differs, one line for each entry.
fn differences(first: Archive, second: Archive) -> Vec<String> {
    let mut told = Vec::new();
    let (first, second) = (first.bytes(), second.bytes());
    compare_layers((&*first, &*second), Limits::default(), KEPT, &mut |difference| {
        let EntryDifference { path, first, second, contents } = difference;
        let kind =
            |facts: Option<EntryFacts>| facts.map_or("nothing".into(), |facts| format!("{:?}", facts.kind));
        let contents = match contents {
            Contents::Same => String::new(),
            other => format!(" {other:?}"),
        };
        told.push(format!("{}: {}, {}{contents}", shown(&path), kind(first), kind(second)));
        ControlFlow::Continue(())
    })
    .unwrap();
    told
}

#[test]
fn what_only_one_has_is_found_in_the_order_of_layers() {
    let one = Archive::new().dir("a").file("a/x", "1").file("a.b", "1").file("both", "1");
    let other = Archive::new().dir("a").file("a/y", "1").file("both", "1").file("c", "1");
    assert_eq!(
        differences(one, other),
        ["a/x: File, nothing", "a/y: nothing, File", "a.b: File, nothing", "c: nothing, File"]
    );
    let none = || Archive::new().dir("a").file("a/x", "1");
    assert!(differences(none(), none()).is_empty());
    assert_eq!(differences(Archive::new(), none()), ["a: nothing, Directory", "a/x: nothing, File"]);
}

#[test]
fn whiteouts_are_compared_with_what_they_hide() {
    let one = Archive::new().dir("a").file("a/.wh..wh..opq", "").file("a/b", "1").file("a/c", "1");
    let other = Archive::new().dir("a").file("a/.wh.b", "").file("a/c", "1").file(".wh.d", "");
    assert_eq!(
        differences(one, other),
        ["a/: Emptied, nothing", "a/b: File, Removed", "d: nothing, Removed"]
    );
}

#[test]
fn everything_that_a_header_says_is_compared() {
    let file = || entry("f", Kind::File);
    let with = |entry: Entry| Archive::new().with(entry, b"");
    let mtime = Time { seconds: 7, nanos: 1 };
    for other in [
        Entry { mode: 0o755, ..file() },
        Entry { uid: 7, ..file() },
        Entry { gid: 7, ..file() },
        Entry { mtime, ..file() },
        Entry { xattrs: vec![(b"user.a".to_vec(), b"b".to_vec())], ..file() },
    ] {
        assert_eq!(differences(with(file()), with(other)), ["f: File, File"]);
    }
    let one = Archive::new().symlink("l", "a");
    assert_eq!(differences(one, Archive::new().symlink("l", "b")), ["l: Symlink, Symlink"]);
    let one = Archive::new().file("a", "1").file("b", "1");
    let other = Archive::new().file("a", "1").hard_link("b", "a");
    assert_eq!(differences(one, other), ["b: File, HardLink"]);
}

#[test]
fn files_of_any_size_are_compared_and_small_ones_are_told() {
    let two = |first: &str, second: &str| {
        let archive = |text: &str| Archive::new().file("f", text).file("g", "same");
        differences(archive(first), archive(second))
    };
    assert_eq!(two("one", "two"), ["f: File, File Are([111, 110, 101], [116, 119, 111])"]);
    let large = "x".repeat(1_000_000);
    assert!(two(&large, &large).is_empty());
    assert_eq!(two(&large, "small"), ["f: File, File Differ(1000000, 5)"]);
    let other = format!("{}y", &large[1..]);
    assert_eq!(two(&large, &other), ["f: File, File Differ(1000000, 1000000)"]);
}

#[test]
fn whoever_is_told_can_break_off_and_damage_is_an_error() {
    let many =
        || (0..9).fold(Archive::new(), |archive, number| archive.file(format!("{number}"), "1")).bytes();
    let mut told = 0;
    let mut once = |_| {
        told += 1;
        ControlFlow::Break(())
    };
    compare_layers((&*many(), &*Archive::new().bytes()), Limits::default(), KEPT, &mut once).unwrap();
    assert_eq!(told, 1);
    let cut = many()[..700].to_vec();
    let all = &mut |_| ControlFlow::Continue(());
    let error = compare_layers((&*many(), &*cut), Limits::default(), KEPT, all).unwrap_err();
    assert!(matches!(error, TarError::Truncated { .. }), "{error}");
}
