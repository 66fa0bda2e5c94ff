//! How a layer is compressed.

use std::io::{self, BufRead, Read, Write};

use flate2::GzBuilder;
use flate2::bufread::MultiGzDecoder;
use flate2::write::GzEncoder;

/// Kinds of compression that layers come in.
///
/// Source: OCI image-spec, `layer.md`, "Media Types"; RFC 1952 and RFC 8878 for how they begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Compression {
    /// None: a tar as it is.
    None,
    /// gzip, which every registry and runtime reads.
    #[default]
    Gzip,
    /// Zstandard: smaller and several times faster to read.
    Zstd,
}

/// Logarithm of the most memory that a Zstandard stream may ask for: 128 MiB, what its own tools accept.
const ZSTD_WINDOW_LOG: u32 = 27;

/// The bytes of a layer without their compression. Which it is, the first bytes decide and not the media type: there
/// are images in which the two differ, container runtimes go by the bytes, and the digest of the content is checked
/// either way.
pub(crate) enum Decoder<R: BufRead> {
    Plain(R),
    Gzip(Box<MultiGzDecoder<R>>),
    Zstd(zstd::Decoder<'static, R>),
}

const GZIP: &[u8] = &[0x1f, 0x8b];
const ZSTD: &[u8] = &[0x28, 0xb5, 0x2f, 0xfd];
/// Of bzip2 and xz, which nothing here reads, but some container engines do. Behind a name of five bytes, there is the NUL
/// that belongs to the latter.
const OTHERS: [&[u8]; 2] = [b"BZh", b"\xfd7zXZ"];

fn is_zstd(start: &[u8]) -> bool {
    // Frames may be preceded by ones to be skipped, as `zstd:chunked` has them.
    let skippable = start.len() >= 4 && start[0] & 0xf0 == 0x50 && start[1..4] == [0x2a, 0x4d, 0x18];
    start.starts_with(ZSTD) || skippable
}

/// Whether an archive that begins like this would be taken for a compressed one, here or elsewhere.
pub(super) fn looks_compressed(start: &[u8]) -> bool {
    start.starts_with(GZIP) || is_zstd(start) || OTHERS.iter().any(|magic| start.starts_with(magic))
}

impl<R: BufRead> Decoder<R> {
    pub(crate) fn new(mut source: R) -> io::Result<Self> {
        let start = source.fill_buf()?;
        if start.starts_with(GZIP) {
            return Ok(Self::Gzip(Box::new(MultiGzDecoder::new(source))));
        }
        if is_zstd(start) {
            let mut decoder = zstd::Decoder::with_buffer(source)?;
            decoder.window_log_max(ZSTD_WINDOW_LOG)?;
            return Ok(Self::Zstd(decoder));
        }
        Ok(Self::Plain(source))
    }

    /// What is left of the compressed bytes.
    pub(crate) fn into_inner(self) -> R {
        match self {
            Self::Plain(source) => source,
            Self::Gzip(decoder) => decoder.into_inner(),
            Self::Zstd(decoder) => decoder.finish(),
        }
    }
}

impl<R: BufRead> Read for Decoder<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(source) => source.read(buffer),
            Self::Gzip(decoder) => decoder.read(buffer),
            Self::Zstd(decoder) => decoder.read(buffer),
        }
    }
}

/// The other way round.
pub(crate) enum Encoder<W: Write> {
    Plain(W),
    Gzip(GzEncoder<W>),
    Zstd(zstd::Encoder<'static, W>),
}

/// What `gzip` and `zstd` do when they are not told otherwise.
const GZIP_LEVEL: u32 = 6;
const ZSTD_LEVEL: i32 = 3;

impl<W: Write> Encoder<W> {
    /// Writes neither a time nor a name into the stream, so that equal layers have equal bytes with one version of
    /// the compressing library. Between versions, only the digest of the content stays.
    pub(crate) fn new(compression: Compression, to: W) -> io::Result<Self> {
        Ok(match compression {
            Compression::None => Self::Plain(to),
            Compression::Gzip => Self::Gzip(GzBuilder::new().write(to, flate2::Compression::new(GZIP_LEVEL))),
            Compression::Zstd => Self::Zstd(zstd::Encoder::new(to, ZSTD_LEVEL)?),
        })
    }

    pub(crate) fn finish(self) -> io::Result<W> {
        match self {
            Self::Plain(to) => Ok(to),
            Self::Gzip(encoder) => encoder.finish(),
            Self::Zstd(encoder) => encoder.finish(),
        }
    }
}

impl<W: Write> Write for Encoder<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(to) => to.write(bytes),
            Self::Gzip(encoder) => encoder.write(bytes),
            Self::Zstd(encoder) => encoder.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(to) => to.flush(),
            Self::Gzip(encoder) => encoder.flush(),
            Self::Zstd(encoder) => encoder.flush(),
        }
    }
}
