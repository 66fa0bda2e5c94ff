//! The archive of a layer without its compression, for those who unpack it themselves.

use std::io::{self, BufReader, Read, Write};
use std::path::Path;
use std::sync::Arc;

use super::LayerError;
use super::compression::Decoder;
use super::stream::Measured;
use crate::Digest;

const CHUNK: usize = 128 << 10;

/// Writes the content of a layer, at most `limit` bytes, to the file `to`, which `path` names; its digest and size.
/// Blocking.
pub(crate) fn write_content(
    layer: impl Read,
    (to, path): (&mut impl Write, &Path),
    limit: u64,
) -> Result<(Digest, u64), LayerError> {
    let broken = |error| LayerError::Read { source: Arc::new(error) };
    let decoder = Decoder::new(BufReader::with_capacity(CHUNK, layer)).map_err(broken)?;
    let mut content = Measured::new(decoder, limit);
    let mut buffer = vec![0; CHUNK];
    loop {
        let count = match content.read(&mut buffer) {
            Ok(0) => break,
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(_) if content.exceeded => return Err(LayerError::Limit { what: "bytes unpacked", limit }),
            Err(error) => return Err(broken(error)),
        };
        to.write_all(&buffer[..count]).map_err(|error| LayerError::io("write to", path, error))?;
    }
    let size = content.size();
    Ok((content.finish().0, size))
}
