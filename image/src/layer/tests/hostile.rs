//! Archives that want something else than to be unpacked.

use std::os::unix::fs::PermissionsExt as _;

use proptest::prelude::*;
use tar::{EntryType, Header};

use super::*;
use crate::tarball::TarError;

#[track_caller]
fn says(error: &LayerError, part: &str) {
    assert!(error.to_string().contains(part), "{error}");
}

#[test]
fn names_that_lead_out_are_refused() {
    for path in ["../x", "a/../../x", "..", "a/.."] {
        says(&Archive::new().file(path, "").refused(), "has `..`");
        says(&Archive::new().file("f", "").hard_link("l", path).refused(), "has `..`");
        says(&Archive::new().symlink(path, "x").refused(), "has `..`");
    }
    let (dir, _) = Archive::new().file("/etc/cullet-test", "here").unpack().unwrap();
    assert_eq!(read(&dir, "etc/cullet-test"), "here");
    assert!(!Path::new("/etc/cullet-test").exists());
}

#[test]
fn links_are_never_followed() {
    let outside = tempfile::tempdir().unwrap();
    let victim = outside.path().join("victim");
    std::fs::write(&victim, "safe").unwrap();
    let to = outside.path().to_str().unwrap();
    for target in [to, "..", ".", "/", "real"] {
        let linked = || Archive::new().dir("real").symlink("link", target);
        says(&linked().file("link/victim", "bad").refused(), "leads through a symbolic link");
        says(&linked().dir("link/victim").refused(), "leads through a symbolic link");
        says(&linked().file("link/.wh.victim", "").refused(), "leads through a symbolic link");
        says(&linked().file("link/.wh..wh..opq", "").refused(), "leads through a symbolic link");
        says(&linked().hard_link("mine", "link/victim").refused(), "through a symbolic link");
    }
    // The link itself gives way to a directory, and to a file.
    let (dir, _) = Archive::new().symlink("link", to).dir("link").file("link/victim", "in").unpack().unwrap();
    assert_eq!(read(&dir, "link/victim"), "in");
    let path = victim.to_str().unwrap();
    let (dir, _) = Archive::new().symlink("link", path).file("link", "in").unpack().unwrap();
    assert_eq!(read(&dir, "link"), "in");
    // A second name of a link is a link, not what it points to.
    let (dir, _) = Archive::new().symlink("link", path).hard_link("two", "link").unpack().unwrap();
    assert!(std::fs::symlink_metadata(dir.path().join("two")).unwrap().is_symlink());
    assert_eq!(std::fs::read_to_string(&victim).unwrap(), "safe");
    assert_eq!(std::fs::metadata(&victim).unwrap().permissions().mode() & 0o7777, 0o644);
}

#[test]
fn hard_links_stay_in_their_layer() {
    for target in ["/etc/passwd", "etc/passwd", "missing", "", "/"] {
        says(&Archive::new().hard_link("l", target).refused(), "not in this layer");
    }
    says(&Archive::new().dir("d").hard_link("l", "d").refused(), "not in this layer");
    says(&Archive::new().file(".wh.gone", "").hard_link("l", "gone").refused(), "not in this layer");
    says(&Archive::new().file("a", "").hard_link("a", "./a").refused(), "to itself");
}

#[test]
fn what_programs_read_differently_is_refused() {
    says(&Archive::new().dir("d").file("d/x", "").file("d", "").refused(), "replaces a directory");
    says(&Archive::new().dir("d").file("d/x", "").symlink("d", "x").refused(), "replaces a directory");
    says(&Archive::new().file("f", "").file("f/x", "").refused(), "is none");
    says(&Archive::new().file("/", "").refused(), "ends in a slash");
    says(&Archive::new().file("/.", "").refused(), "root");
    says(&Archive::new().symlink("l", "").refused(), "to nothing");
    says(&Archive::new().file(".wh..wh..opq", "").refused(), "hides all layers below it");
    for name in ["a/.wh.", "a/.wh..", "a/.wh..."] {
        says(&Archive::new().file(name, "").refused(), "whiteout of nothing");
    }
}

#[test]
fn devices_are_not_made() {
    let mut header = Header::new_ustar();
    for (kind, name) in [
        (EntryType::Char, "character device"),
        (EntryType::Block, "block device"),
        (EntryType::Fifo, "named pipe"),
    ] {
        header.set_path("dev/null").unwrap();
        header.set_entry_type(kind);
        header.set_size(0);
        // As overlayfs' whiteouts have it: 0/0.
        header.set_device_major(0).unwrap();
        header.set_device_minor(0).unwrap();
        header.set_cksum();
        let bytes = Archive::new().raw(header.as_bytes()).file("dev/other", "").bytes();
        let (dir, unpacked) = unpack(&bytes, &UnpackOptions::for_this_user()).unwrap();
        assert!(!dir.path().join("dev/null").exists());
        assert_eq!(
            (unpacked.notes.devices, &unpacked.notes.examples[..]),
            (1, &[format!("dev/null, a {name}")][..])
        );
        let refusing = UnpackOptions { devices: Devices::Refuse, ..UnpackOptions::for_this_user() };
        assert!(matches!(unpack(&bytes, &refusing), Err(LayerError::Device { kind, .. }) if kind == name));
    }
}

#[test]
fn lies_about_the_layer_are_found() {
    let archive = Archive::new().file("a", &"x".repeat(3000)).bytes();
    let stored = compressed(Compression::Gzip, &archive);
    let truth = id(&stored, &archive);
    let options = UnpackOptions::for_this_user();
    let lie = |id: LayerId| unpack_as(&stored, &id, &options).unwrap_err();
    let other = Digest::of(b"other");
    assert!(
        matches!(lie(LayerId { digest: other, ..truth }), LayerError::Digest { expected, .. } if expected == other)
    );
    assert!(
        matches!(lie(LayerId { diff_id: other, ..truth }), LayerError::DiffId { expected, .. } if expected == other)
    );
    for size in [0, 10, truth.size - 1, truth.size + 1, u64::MAX] {
        let error = lie(LayerId { size, ..truth });
        assert!(matches!(error, LayerError::Size { expected, .. } if expected == size), "{size}: {error:?}");
    }
    assert!(unpack_as(&stored, &truth, &options).is_ok());
}

#[test]
fn what_is_cut_off_is_refused_wherever_it_is_cut() {
    let archive = Archive::new().file("a", &"x".repeat(3000)).dir("d").file("d/b", "y").bytes();
    let options = UnpackOptions::for_this_user();
    for at in (1..archive.len()).step_by(100) {
        let cut = &archive[..at];
        let error = unpack_as(cut, &id(&archive, &archive), &options).unwrap_err();
        let known = matches!(
            error,
            LayerError::Tar(TarError::Truncated { .. })
                | LayerError::Size { .. }
                | LayerError::Tar(TarError::Header { .. })
        );
        assert!(known, "{at}: {error:?}");
    }
    for compression in [Compression::Gzip, Compression::Zstd] {
        let stored = compressed(compression, &archive);
        for at in 5..stored.len() {
            assert!(
                unpack_as(&stored[..at], &id(&stored, &archive), &options).is_err(),
                "{compression:?} {at}"
            );
        }
        let junk = [&stored[..], b"junk"].concat();
        assert!(unpack_as(&junk, &id(&junk, &archive), &options).is_err(), "{compression:?}");
    }
}

#[test]
fn giving_up_is_noticed() {
    let dir = tempfile::tempdir().unwrap();
    let bytes = Archive::new().file("a", "").bytes();
    let options = UnpackOptions::for_this_user();
    let result = unpack_layer(&bytes[..], dir.path(), &id(&bytes, &bytes), &options, &AtomicBool::new(true));
    assert!(matches!(result, Err(LayerError::Cancelled)));
}

/// Puts the checksum of every block right that could be a header, so that damage gets past it.
fn with_checksums(bytes: &mut [u8]) {
    for block in bytes.chunks_exact_mut(512).filter(|block| block[257..262] == *b"ustar") {
        block[148..156].fill(b' ');
        let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
        block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    /// Whatever stands in an archive, nothing comes to be outside of the directory, and nothing panics.
    #[test]
    fn any_bytes_stay_inside(
        changes in prop::collection::vec((any::<prop::sample::Index>(), prop_oneof![
            any::<u8>(), prop::sample::select(b"./0126xgLKS".to_vec())
        ]), 1..12),
        headers_only in any::<bool>(),
    ) {
        let xattrs = vec![(b"user.a".to_vec(), b"b".to_vec())];
        let mut bytes = Archive::new()
            .dir("d")
            .with(Entry { xattrs, ..entry("d/".to_owned() + &"n".repeat(120), Kind::File) }, b"text")
            .symlink("d/link", "../../outside")
            .hard_link("d/hard", "d/link")
            .file("d/.wh.gone", "")
            .file("e/.wh..wh..opq", "")
            .bytes();
        for (at, byte) in changes {
            let mut at = at.index(bytes.len());
            if headers_only {
                at = at / 512 * 512 + at % 160;
            }
            bytes[at] = byte;
        }
        with_checksums(&mut bytes);
        let place = tempfile::tempdir().unwrap();
        let into = place.path().join("one/two/layer");
        std::fs::create_dir_all(&into).unwrap();
        let _either = unpack_layer(
            &bytes[..], &into, &id(&bytes, &bytes), &UnpackOptions::for_this_user(), &AtomicBool::new(false),
        );
        for dir in ["", "one", "one/two"] {
            prop_assert_eq!(std::fs::read_dir(place.path().join(dir)).unwrap().count(), 1);
        }
    }
}
