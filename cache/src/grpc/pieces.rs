//! A blob cut into pieces for sending.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::stream::{BoxStream, StreamExt as _};
use futures_util::{TryStreamExt as _, stream};

use super::PIECE;
use crate::offload::offload;
use crate::{Blob, StoreError};

/// A blob that can be read from any place, any number of times.
#[derive(Debug, Clone)]
pub(crate) enum Readable {
    Bytes(Bytes),
    File { file: Arc<File>, path: Arc<Path>, len: u64 },
}

impl From<Blob> for Readable {
    fn from(blob: Blob) -> Self {
        match blob {
            Blob::Bytes(bytes) => Self::Bytes(bytes),
            Blob::File { file, path, len } => Self::File { file: Arc::new(file), path: path.into(), len },
            Blob::Checked(file) => Self::from(file.into_blob()),
        }
    }
}

impl Readable {
    pub(crate) fn len(&self) -> u64 {
        match self {
            Self::Bytes(bytes) => bytes.len() as u64,
            Self::File { len, .. } => *len,
        }
    }

    /// All of it in memory. The caller has looked at its length.
    pub(crate) async fn into_bytes(self) -> Result<Bytes, StoreError> {
        match self {
            Self::Bytes(bytes) => Ok(bytes),
            Self::File { file, path, len } => {
                offload(move || {
                    read_at(&file, 0, len as usize).map_err(|error| StoreError::io("read", &*path, error))
                })
                .await
            }
        }
    }

    /// The bytes from `from` to `to`, or to the end, in pieces with their offsets..
    pub(crate) fn pieces(&self, from: u64, to: u64) -> BoxStream<'static, Result<(u64, Bytes), StoreError>> {
        let to = to.min(self.len());
        let offsets = (from..to).step_by(PIECE);
        let end = move |offset: u64| to.min(offset + PIECE as u64);
        match self {
            Self::Bytes(bytes) => {
                let bytes = bytes.clone();
                let piece =
                    move |offset: u64| Ok((offset, bytes.slice(offset as usize..end(offset) as usize)));
                stream::iter(offsets.map(piece)).boxed()
            }
            Self::File { file, path, .. } => {
                let (file, path) = (Arc::clone(file), Arc::clone(path));
                let read = move |offset: u64| {
                    let (file, path) = (Arc::clone(&file), Arc::clone(&path));
                    let len = (end(offset) - offset) as usize;
                    offload(move || {
                        let read = read_at(&file, offset, len);
                        read.map(|bytes| (offset, bytes))
                            .map_err(|error| StoreError::io("read", &*path, error))
                    })
                };
                stream::iter(offsets.map(Ok)).and_then(read).boxed()
            }
        }
    }
}

fn read_at(file: &File, offset: u64, len: usize) -> io::Result<Bytes> {
    let mut bytes = vec![0; len];
    file.read_exact_at(&mut bytes, offset)?;
    Ok(bytes.into())
}
