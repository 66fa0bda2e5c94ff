//! One of the two streams of a log, from an offset on.

use bytes::Bytes;
use cullet_proto::v1;
use cullet_proto::v1::log_chunk::Stream;
use futures_util::stream::{BoxStream, try_unfold};
use futures_util::{StreamExt as _, TryStreamExt as _};
use tonic::Status;

use crate::services::log::Chunks;

/// What is left to tell of one stream.
#[derive(Debug, Clone, Copy)]
pub(super) struct Only {
    stream: Stream,
    /// Bytes of it still to be passed over.
    skip: u64,
    /// Bytes that may still be told.
    left: u64,
}

impl Only {
    /// From this offset on so many bytes; 0 for all.
    ///
    /// # Errors
    /// As `ByteStream.Read` wants it: OUT_OF_RANGE for a negative offset, INVALID_ARGUMENT for a negative limit.
    pub(super) fn new(stream: Stream, offset: i64, limit: i64) -> Result<Self, Status> {
        let negative = |_| Status::out_of_range("the offset is negative");
        let skip = u64::try_from(offset).map_err(negative)?;
        let left = match u64::try_from(limit) {
            Ok(0) => u64::MAX,
            Ok(limit) => limit,
            Err(_) => return Err(Status::invalid_argument("the limit is negative")),
        };
        Ok(Self { stream, skip, left })
    }

    /// Its bytes, out of those of both streams.
    pub(super) fn of(self, log: Chunks) -> BoxStream<'static, Result<Bytes, Status>> {
        try_unfold((self, log), |(mut only, mut log)| async move {
            while only.left > 0 {
                let Some(chunk) = log.try_next().await? else { return only.ends() };
                if let Some(bytes) = only.take(&chunk) {
                    return Ok(Some((bytes, (only, log))));
                }
            }
            Ok(None)
        })
        .boxed()
    }

    /// The log is whole.
    fn ends<T>(self) -> Result<Option<T>, Status> {
        if self.skip == 0 {
            return Ok(None);
        }
        Err(Status::out_of_range(format!("the log stream ended {} bytes before the offset", self.skip)))
    }

    /// What there is to tell of a piece; none where that is nothing.
    fn take(&mut self, chunk: &v1::LogChunk) -> Option<Bytes> {
        if chunk.stream() != self.stream {
            return None;
        }
        let len = chunk.data.len() as u64;
        let from = self.skip.min(len);
        let to = len.min(from.saturating_add(self.left));
        self.skip -= from;
        self.left -= to - from;
        (from < to).then(|| chunk.data.slice(from as usize..to as usize))
    }
}

#[cfg(test)]
mod tests {
    use tonic::Code;

    use super::*;

    async fn read(offset: i64, limit: i64) -> Result<String, Code> {
        let chunk = |stream: Stream, text: &'static str| {
            Ok(v1::LogChunk { offset: 0, stream: stream.into(), data: Bytes::from_static(text.as_bytes()) })
        };
        let log = [
            chunk(Stream::Stderr, "x"),
            chunk(Stream::Stdout, "abc"),
            chunk(Stream::Stderr, "yz"),
            chunk(Stream::Stdout, "defg"),
        ];
        let only = Only::new(Stream::Stdout, offset, limit).map_err(|status| status.code())?;
        let all = only.of(Box::pin(futures_util::stream::iter(log))).try_collect::<Vec<Bytes>>().await;
        let all = all.map_err(|status| status.code())?;
        assert!(all.iter().all(|piece| !piece.is_empty()));
        Ok(String::from_utf8(all.concat()).unwrap())
    }

    #[tokio::test]
    async fn any_part_of_one_stream_can_be_read() {
        for (offset, limit, expected) in [
            (0, 0, "abcdefg"),
            (0, 3, "abc"),
            (0, 4, "abcd"),
            (1, 1, "b"),
            (3, 0, "defg"),
            (4, 100, "efg"),
            (7, 0, ""),
            (7, 5, ""),
        ] {
            assert_eq!(read(offset, limit).await.as_deref(), Ok(expected), "{offset} {limit}");
        }
    }

    #[tokio::test]
    async fn offsets_outside_of_it_are_refused() {
        for offset in [8, i64::MAX, -1, i64::MIN] {
            assert_eq!(read(offset, 0).await, Err(Code::OutOfRange), "{offset}");
        }
        assert_eq!(read(0, -1).await, Err(Code::InvalidArgument));
    }
}
