//! Zstandard (RFC 8878) for blobs on their way: `Compressor.ZSTD` of the Remote Execution API.

use std::io::{self, Write};

use bytes::Bytes;
use zstd::stream::write::{Decoder, Encoder};

use crate::StoreError;

/// Values of REAPI's `Compressor`.
pub(crate) const IDENTITY: i32 = 0;
pub(crate) const ZSTD: i32 = 1;

/// The fastest level that is not worse at sources and objects than twice the size of the best.
const LEVEL: i32 = 1;

/// What a client may make a server remember of a stream: 8 MiB, which is what the levels up to 19 take.
const MOST_WINDOW_LOG: u32 = 23;

/// The bytes, if they become fewer by a twentieth.
pub(super) fn compressed(bytes: &[u8]) -> Option<Bytes> {
    let frame = zstd::bulk::compress(bytes, LEVEL).ok()?;
    (frame.len() + bytes.len() / 20 < bytes.len()).then(|| frame.into())
}

/// The bytes of frames that become exactly so many.
pub(super) fn decompressed(frames: &[u8], len: usize) -> Option<Bytes> {
    let mut inflating = Inflating::new(Exactly { bytes: Vec::new(), len }).ok()?;
    inflating.append(frames).ok()?;
    let bytes = inflating.into_inner().bytes;
    (bytes.len() == len).then(|| bytes.into())
}

struct Exactly {
    bytes: Vec<u8>,
    len: usize,
}

impl Write for Exactly {
    fn write(&mut self, part: &[u8]) -> io::Result<usize> {
        if self.bytes.len() + part.len() > self.len {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        self.bytes.extend_from_slice(part);
        Ok(part.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Compressed bytes that arrive piece by piece, on their way into something that bounds what it takes.
pub(super) struct Inflating<W: Write>(Decoder<'static, W>);

impl<W: Write> Inflating<W> {
    pub(super) fn new(sink: W) -> io::Result<Self> {
        let mut decoder = Decoder::new(sink)?;
        decoder.window_log_max(MOST_WINDOW_LOG)?;
        Ok(Self(decoder))
    }

    /// Takes the next bytes. Blocking.
    pub(super) fn append(&mut self, piece: &[u8]) -> io::Result<()> {
        self.0.write_all(piece)?;
        self.0.flush()
    }

    pub(super) fn into_inner(self) -> W {
        self.0.into_inner()
    }
}

/// Bytes that are compressed on their way out.
pub(super) struct Deflating(Encoder<'static, Vec<u8>>);

impl Deflating {
    pub(super) fn new() -> Result<Self, StoreError> {
        Encoder::new(Vec::new(), LEVEL).map(Self).map_err(failed)
    }

    /// Takes the next bytes, and gives what can be sent of it by now. Blocking.
    pub(super) fn append(&mut self, piece: &[u8]) -> Result<Bytes, StoreError> {
        self.0.write_all(piece).map_err(failed)?;
        Ok(std::mem::take(self.0.get_mut()).into())
    }

    /// The end of the frame.
    pub(super) fn finish(self) -> Result<Bytes, StoreError> {
        self.0.finish().map(Bytes::from).map_err(failed)
    }
}

fn failed(error: io::Error) -> StoreError {
    StoreError::io("compress", "a blob", error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_compressed_comes_back_and_what_lies_about_its_length_does_not() {
        let bytes = vec![7; 100_000];
        let frame = compressed(&bytes).unwrap();
        assert!(frame.len() < 1000);
        assert_eq!(decompressed(&frame, bytes.len()).unwrap(), bytes);
        for len in [0, 1, bytes.len() - 1, bytes.len() + 1] {
            assert_eq!(decompressed(&frame, len), None, "{len}");
        }
        for len in 0..frame.len() {
            assert_eq!(decompressed(&frame[..len], bytes.len()), None, "{len}");
        }
        assert_eq!(decompressed(b"no frame", 8), None);
        let random: Vec<u8> = std::iter::repeat_with(|| fastrand::u8(..)).take(10_000).collect();
        assert_eq!(compressed(&random), None, "it does not pay");
    }

    #[test]
    fn pieces_become_one_frame() {
        let mut deflating = Deflating::new().unwrap();
        let mut sent = Vec::new();
        for piece in [vec![1; 300_000], vec![2; 5], vec![]] {
            sent.extend_from_slice(&deflating.append(&piece).unwrap());
        }
        sent.extend_from_slice(&deflating.finish().unwrap());
        assert_eq!(decompressed(&sent, 300_005).unwrap()[300_000..], [2; 5]);
    }
}
