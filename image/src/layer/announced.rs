//! What was read of a layer, and what was announced of it.

use std::io::{self, BufReader, Read};
use std::sync::atomic::AtomicBool;

use super::compression::Decoder;
use super::stream::Measured;
use super::{LayerError, LayerId, Limits};

/// As it is stored.
type Compressed<R> = BufReader<Measured<R>>;
/// How its compression is told.
pub(super) type Opening<R> = fn(Compressed<R>) -> io::Result<Decoder<Compressed<R>>>;
/// Its archive.
pub(super) type Content<R> = Measured<Decoder<Compressed<R>>>;

pub(super) fn over(limits: &Limits) -> LayerError {
    LayerError::Limit { what: "bytes unpacked", limit: limits.unpacked_bytes }
}

/// The better explanation where the archive failed because there was more of it than announced.
pub(super) fn longer<R: Read>(content: Content<R>, id: &LayerId) -> Option<LayerError> {
    let compressed = content.finish().1.into_inner().into_inner();
    let actual = compressed.size();
    compressed.exceeded.then_some(LayerError::Size { expected: id.size, actual })
}

/// Compares what was read with what was announced; the uncompressed size.
pub(super) fn check<R: Read>(
    content: Content<R>,
    id: &LayerId,
    cancelled: &AtomicBool,
) -> Result<u64, LayerError> {
    let bytes = content.size();
    let (diff_id, decoder) = content.finish();
    // What the decoder has read ahead was hashed when it was read.
    let mut compressed = decoder.into_inner().into_inner();
    let drained = compressed.drain(cancelled);
    let size = compressed.size();
    if compressed.exceeded || (drained.is_ok() && size != id.size) {
        return Err(LayerError::Size { expected: id.size, actual: size });
    }
    drained?;
    let (digest, _) = compressed.finish();
    if digest != id.digest {
        return Err(LayerError::Digest { expected: id.digest, actual: digest });
    }
    if diff_id != id.diff_id {
        return Err(LayerError::DiffId { expected: id.diff_id, actual: diff_id });
    }
    Ok(bytes)
}
