//! Headers that correct programs do not write.

use tar::{EntryType, Header};

use super::pax::PaxRecord;
use super::*;
use crate::layer::Limits;

fn header(kind: EntryType, size: u64, change: impl Fn(&mut Header)) -> Vec<u8> {
    let mut header = Header::new_ustar();
    header.set_path("name").unwrap();
    header.set_entry_type(kind);
    header.set_size(size);
    header.set_mode(0o644);
    header.set_uid(1);
    header.set_gid(2);
    header.set_mtime(3);
    change(&mut header);
    header.set_cksum();
    header.as_bytes().to_vec()
}

fn with_body(kind: EntryType, body: &[u8]) -> Vec<u8> {
    let mut bytes = header(kind, body.len() as u64, |_| ());
    bytes.extend_from_slice(body);
    bytes.resize(bytes.len().next_multiple_of(BLOCK), 0);
    bytes
}

fn pax(kind: EntryType, records: &[(&str, &[u8])]) -> Vec<u8> {
    let mut body = Vec::new();
    for (key, value) in records {
        PaxRecord { key: key.as_bytes(), value }.write(&mut body);
    }
    with_body(kind, &body)
}

fn extended(records: &[(&str, &[u8])], size: u64) -> Vec<u8> {
    [pax(EntryType::XHeader, records), header(EntryType::Regular, size, |_| ())].concat()
}

fn first(bytes: &[u8]) -> Result<Option<Entry>, TarError> {
    TarReader::new(bytes, Limits::default()).next()
}

#[track_caller]
fn refused(bytes: &[u8], part: &str) {
    let error = first(bytes).unwrap_err();
    assert!(error.to_string().contains(part), "{error}");
}

#[test]
fn two_sizes_are_refused_except_where_the_field_is_too_small() {
    refused(&extended(&[("size", b"1024")], 512), "two sizes");
    refused(&extended(&[("size", b"1024")], 0), "two sizes");
    refused(&extended(&[("size", b"0")], 512), "two sizes");
    let size = |size: &[u8], stated| first(&extended(&[("size", size)], stated)).unwrap().unwrap().size;
    assert_eq!(size(b"512", 512), 512);
    assert_eq!(size(b"8589934592", 0), 1 << 33);
    assert_eq!(size(b"8589934592", 1 << 33), 1 << 33, "in base 256");
}

#[test]
fn extended_headers_are_taken_strictly() {
    refused(&extended(&[("path", b"a"), ("path", b"b")], 0), "repeated `path`");
    refused(&extended(&[("path", b"")], 0), "repeated `path`");
    refused(&extended(&[("path", b"a\0b")], 0), "NUL");
    refused(&extended(&[("uid", b"4294967296")], 0), "beyond 32 bits");
    refused(&extended(&[("mtime", b"soon")], 0), "`mtime`");
    refused(&extended(&[("SCHILY.xattr.", b"x")], 0), "bad");
    refused(&[pax(EntryType::XHeader, &[]), extended(&[], 0)].concat(), "second extended header");
    refused(&with_body(EntryType::XHeader, b"12 no length"), "LENGTH KEYWORD=VALUE");
    let both = [with_body(EntryType::GNULongName, b"long\0"), extended(&[("path", b"other")], 0)].concat();
    refused(&both, "repeated `path`");
    let twice = [with_body(EntryType::GNULongName, b"a"), with_body(EntryType::GNULongName, b"b")].concat();
    refused(&twice, "twice");
}

#[test]
fn settings_for_all_entries_may_not_matter() {
    let global = |records: &[(&str, &[u8])]| {
        [pax(EntryType::XGlobalHeader, records), header(EntryType::Regular, 0, |_| ())].concat()
    };
    assert!(first(&global(&[("comment", b"a commit")])).unwrap().is_some(), "git writes these");
    for key in ["path", "size", "uid", "SCHILY.xattr.user.x", "GNU.sparse.major"] {
        refused(&global(&[(key, b"1")]), "for all entries");
    }
}

#[test]
fn sparse_files_are_refused() {
    let sparse = |bytes: &[u8]| assert!(matches!(first(bytes), Err(TarError::Sparse { .. })));
    sparse(&header(EntryType::GNUSparse, 512, |_| ()));
    sparse(&extended(&[("GNU.sparse.major", b"1"), ("GNU.sparse.realsize", b"10737418240")], 512));
}

#[test]
fn damaged_and_odd_headers_are_refused() {
    let mut flipped = header(EntryType::Regular, 0, |_| ());
    flipped[0] ^= 1;
    refused(&flipped, "checksum");
    let regular = |change: fn(&mut Header)| header(EntryType::Regular, 0, change);
    refused(&regular(|header| header.as_mut_bytes()[124..136].copy_from_slice(b"00000000-12\0")), "size");
    refused(&regular(|header| header.as_mut_bytes()[124..136].copy_from_slice(&[0xff; 12])), "size");
    refused(&regular(|header| header.as_mut_bytes()[508..].copy_from_slice(b"tar\0")), "star");
    refused(&header(EntryType::Directory, 512, |_| ()), "no file");
    refused(&header(EntryType::Link, 512, |_| ()), "no file");
    refused(&header(EntryType::new(b'Z'), 0, |_| ()), "unknown type");
    refused(&regular(|header| header.as_old_mut().name[..5].copy_from_slice(b"name/")), "slash");
    refused(&regular(|header| header.as_old_mut().name = [0; 100]), "empty name");
    refused(&[vec![0; BLOCK], regular(|_| ())].concat(), "single empty block");
    let old = header(EntryType::Regular, 0, |header| {
        header.as_old_mut().name[..5].copy_from_slice(b"name/");
        header.as_mut_bytes()[156] = 0;
    });
    assert_eq!(first(&old).unwrap().unwrap().kind, Kind::Directory);
}

#[test]
fn long_headers_do_not_fill_memory() {
    for kind in [EntryType::XHeader, EntryType::XGlobalHeader, EntryType::GNULongName, EntryType::GNULongLink]
    {
        let announced = header(kind, 1 << 32, |_| ());
        assert!(matches!(first(&announced), Err(TarError::TooLarge { .. })), "{kind:?}");
    }
}

#[test]
fn what_others_write_is_read() {
    let long = [b'n'; 300];
    let gnu = [
        with_body(EntryType::GNULongName, &[&long[..], b"\0"].concat()),
        header(EntryType::Regular, 0, |_| ()),
    ];
    assert_eq!(first(&gnu.concat()).unwrap().unwrap().path, long);
    let records: &[(&str, &[u8])] =
        &[("mtime", b"5.25"), ("uid", b"3000000"), ("SCHILY.xattr.user.a", b"\n\0")];
    let entry = first(&extended(records, 0)).unwrap().unwrap();
    assert_eq!((entry.uid, entry.gid, entry.mode), (3_000_000, 2, 0o644));
    assert_eq!(entry.mtime, Time { seconds: 5, nanos: 250_000_000 });
    assert_eq!(entry.xattrs, [(b"user.a".to_vec(), b"\n\0".to_vec())]);
}

/// Differences that a review found: in each, two programs that are in use saw two things.
#[test]
fn what_others_see_differently_is_refused() {
    let regular = |change: fn(&mut Header)| header(EntryType::Regular, 0, change);
    // 512 for Go, which cuts NULs off, and for GNU tar, which skips one.
    refused(&regular(|header| header.as_mut_bytes()[124..136].copy_from_slice(b"\x000000001000\0")), "size");
    refused(&regular(|header| header.as_mut_bytes()[124..136].fill(b' ')), "no size");
    for at in [100, 108, 116, 136, 329, 337] {
        let odd = header(EntryType::Regular, 0, |header| header.as_mut_bytes()[at] = b'x');
        refused(&odd, "no number");
    }
    // Go forgets what came before a header for all entries.
    let global = || pax(EntryType::XGlobalHeader, &[("comment", b"text")]);
    for before in [
        pax(EntryType::XHeader, &[("path", b"evil")]),
        pax(EntryType::XHeader, &[]),
        with_body(EntryType::GNULongName, b"evil\0"),
        with_body(EntryType::GNULongLink, b"evil\0"),
    ] {
        refused(&[&before[..], &global(), &regular(|_| ())].concat(), "between an entry and");
        refused(&before, "does not come");
        refused(&[before, vec![0; 2 * BLOCK]].concat(), "does not come");
    }
    // Go and GNU tar look at the magic alone, Python at neither.
    let prefixed = |magic: &[u8]| {
        header(EntryType::Regular, 0, |header| {
            header.as_mut_bytes()[257..265].copy_from_slice(magic);
            header.as_mut_bytes()[345..348].copy_from_slice(b"etc");
        })
    };
    assert_eq!(first(&prefixed(b"ustar\x0000")).unwrap().unwrap().path, b"etc/name");
    for version in [b"ustar\0  ", b"ustar\0\0\0", b"ustar 00", b"USTAR\x0000"] {
        refused(&prefixed(version), "unknown format");
    }
    refused(&prefixed(b"ustar  \0"), "part of the name");
    refused(&prefixed(&[0; 8]), "part of the name");
    // Python reads on to the end of the block.
    let mut behind = pax(EntryType::XHeader, &[("uid", b"1")]);
    behind[BLOCK + 8..BLOCK + 21].copy_from_slice(b"13 path=evil\n");
    refused(&[behind, regular(|_| ())].concat(), "behind its end");
    refused(&[with_body(EntryType::GNULongLink, b"\0"), regular(|_| ())].concat(), "empty name");
    // A directory for Python, which looks at the first name only.
    let old = |name: &[u8], path: &[u8]| {
        let own = header(EntryType::Regular, 0, |header| {
            header.as_old_mut().name[..name.len()].copy_from_slice(name);
            header.as_mut_bytes()[156] = 0;
        });
        [pax(EntryType::XHeader, &[("path", path)]), own].concat()
    };
    refused(&old(b"name/", b"other"), "two names");
    refused(&old(b"name", b"other/"), "two names");
    assert_eq!(first(&old(b"name", b"other")).unwrap().unwrap().kind, Kind::File);
}
