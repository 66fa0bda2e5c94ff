//! More than is allowed.

use std::os::unix::fs::MetadataExt as _;

use super::*;
use crate::tarball::TarError;

fn limited(limits: Limits) -> UnpackOptions {
    UnpackOptions { limits, ..UnpackOptions::for_this_user() }
}

#[test]
fn bombs_stop_at_the_limit() {
    let limits = Limits { unpacked_bytes: 1 << 20, ..Limits::default() };
    for compression in [Compression::Gzip, Compression::Zstd] {
        // In one file, in many headers, and behind the end of the archive.
        let zeros = "\0".repeat(8 << 20);
        let file = Archive::new().file("bomb", &zeros).bytes();
        let headers = (0..20_000).fold(Archive::new(), |archive, _| archive.file("x", "")).bytes();
        let behind = [Archive::new().bytes(), zeros.into_bytes()].concat();
        for archive in [file, headers, behind] {
            let stored = compressed(compression, &archive);
            let error = unpack_as(&stored, &id(&stored, &archive), &limited(limits)).unwrap_err();
            assert!(matches!(error, LayerError::Limit { limit, .. } if limit == 1 << 20), "{error:?}");
        }
    }
}

#[test]
fn a_zstd_window_beyond_the_limit_is_refused() {
    // A frame header that asks for a window of 2 GiB (RFC 8878, 3.1.1.1.2), then an empty last block.
    let stored = b"\x28\xb5\x2f\xfd\x00\xa8\x01\x00\x00";
    let error = unpack_as(stored, &id(stored, b""), &UnpackOptions::for_this_user()).unwrap_err();
    assert!(matches!(&error, LayerError::Tar(TarError::Read { .. })), "{error:?}");
}

#[test]
fn entries_paths_and_files_have_limits() {
    let archive = Archive::new().file("a", "12345").file("b", "").file("c".repeat(90), "").bytes();
    let with = |limits| unpack(&archive, &limited(limits)).map(drop);
    let of = Limits::default();
    assert!(matches!(
        with(Limits { entries: 2, ..of }),
        Err(LayerError::Tar(TarError::Entries { limit: 2 }))
    ));
    let large = |result| matches!(result, Err(LayerError::Tar(TarError::TooLarge { .. })));
    assert!(large(with(Limits { file_bytes: 4, ..of })));
    assert!(large(with(Limits { path_bytes: 80, ..of })));
    assert!(with(Limits { entries: 3, file_bytes: 5, path_bytes: 90, ..of }).is_ok());
    assert!(
        large(Archive::new().file("d/".repeat(2100) + "f", "").unpack().map(drop)),
        "longer than Linux allows"
    );
    let name = "n".repeat(256);
    assert!(matches!(Archive::new().file(name, "").unpack(), Err(LayerError::Io { .. })));
}

#[test]
fn zeros_take_no_room() {
    const SIZE: u64 = 1 << 30;
    let mut tar = TarWriter::new(Encoder::new(Compression::Zstd, Vec::new()).unwrap());
    tar.entry(&Entry { size: SIZE, ..entry("large", Kind::File) }).unwrap();
    let chunk = vec![0; 1 << 20];
    (0..SIZE >> 20).for_each(|_| tar.write(&chunk).unwrap());
    tar.pad(SIZE).unwrap();
    let stored = tar.finish().unwrap().finish().unwrap();
    let content = zstd::decode_all(&stored[..]).unwrap();
    let (dir, unpacked) =
        unpack_as(&stored, &id(&stored, &content), &UnpackOptions::for_this_user()).unwrap();
    let stat = std::fs::metadata(dir.path().join("large")).unwrap();
    assert_eq!((stat.len(), unpacked.bytes), (SIZE, SIZE + 1536));
    assert!(stat.blocks() < 1000, "{} blocks", stat.blocks());
}

#[test]
fn directories_that_no_entry_describes_count_too() {
    let deep = |name: &str| name.to_owned() + &"/d".repeat(9) + "/f";
    let archive = Archive::new().file(deep("a"), "").file(deep("b"), "").bytes();
    let with = |entries| unpack(&archive, &limited(Limits { entries, ..Limits::default() })).map(drop);
    assert!(with(20).is_ok());
    let error = with(19).unwrap_err();
    assert!(matches!(error, LayerError::Limit { what: "directories", limit: 19 }), "{error:?}");
}

/// Bytes that nobody wants any more from some point on; how much was read of them.
struct Watched<'a> {
    bytes: &'a [u8],
    read: usize,
    until: usize,
    cancelled: &'a AtomicBool,
}

impl std::io::Read for Watched<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let count = std::io::Read::read(&mut &self.bytes[self.read..], buffer)?;
        self.read += count;
        self.cancelled.store(self.read > self.until, std::sync::atomic::Ordering::Relaxed);
        Ok(count)
    }
}

#[test]
fn giving_up_is_noticed_within_a_file_and_behind_the_end() {
    const LONG: usize = 8 << 20;
    let file = Archive::new().file("long", &"x".repeat(LONG)).bytes();
    let whiteout = Archive::new().with(entry(".wh.long", Kind::File), &vec![b'x'; LONG]).bytes();
    let behind = [Archive::new().file("a", "").bytes(), vec![0; LONG]].concat();
    for archive in [&file, &whiteout, &behind] {
        let (dir, cancelled) = (tempfile::tempdir().unwrap(), AtomicBool::new(false));
        let mut source = Watched { bytes: archive, read: 0, until: 1 << 20, cancelled: &cancelled };
        let options = UnpackOptions::for_this_user();
        let result = unpack_layer(&mut source, dir.path(), &id(archive, archive), &options, &cancelled);
        assert!(matches!(result, Err(LayerError::Cancelled)), "{result:?}");
        assert!(source.read < 2 << 20, "{} bytes were read", source.read);
    }
}
