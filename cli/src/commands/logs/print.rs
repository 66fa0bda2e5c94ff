//! Prints the two streams of a step as they were written.

use std::io::{self, Read, Write};

use cullet_cache::{ActionResult, Blob, KnownLog, LogCursor, LogStream, NextBytes, Stream};
use cullet_coordinator::StepEnd;

use super::blobs::Logs;
use crate::args::LogStreams;
use crate::error::CliError;
use crate::ui::Style;
use crate::ui::safe::SafeWriter;

/// Bytes moved at once.
const CHUNK: usize = 64 << 10;

/// `style` is given where a terminal reads: then nothing but text and colours goes there. Others get the bytes
/// as they are.
pub(super) async fn print(
    logs: &Logs<'_>,
    step: &StepEnd,
    result: &ActionResult,
    streams: LogStreams,
    style: Option<Style>,
    out: &mut dyn Write,
) -> Result<(), CliError> {
    let mut stdout = Source::open(logs, step, &result.stdout, streams != LogStreams::Stderr).await?;
    let mut stderr = Source::open(logs, step, &result.stderr, streams != LogStreams::Stdout).await?;
    match style {
        Some(style) => {
            let mut safe = SafeWriter::new(out, style);
            interleave(&result.interleaving, &mut stdout, &mut stderr, &mut safe)?;
            safe.finish().map_err(CliError::output)
        }
        None => interleave(&result.interleaving, &mut stdout, &mut stderr, out),
    }
}

fn interleave(
    runs: &[u32],
    stdout: &mut Source,
    stderr: &mut Source,
    out: &mut dyn Write,
) -> Result<(), CliError> {
    let log = KnownLog::whole(runs, stdout.length, stderr.length);
    let mut cursor = LogCursor::default();
    while let NextBytes::Here { stream, len, .. } = cursor.next(log) {
        let source = match stream {
            Stream::Stdout => &mut *stdout,
            Stream::Stderr => &mut *stderr,
        };
        source.copy(len, out)?;
        cursor.advance(stream, len);
    }
    Ok(())
}

/// One stream.
struct Source {
    from: Box<dyn Read + Send>,
    /// Bytes; 0 where it is not wanted.
    length: u64,
}

impl Source {
    async fn open(
        logs: &Logs<'_>,
        step: &StepEnd,
        stream: &LogStream,
        wanted: bool,
    ) -> Result<Self, CliError> {
        let from = match stream {
            _ if !wanted => Blob::from(Vec::new()),
            LogStream::Inline(bytes) => Blob::from(bytes.clone()),
            LogStream::Blob(digest) => logs.blob(step, digest).await?,
        };
        Ok(Self { length: from.len(), from: from.into_reader() })
    }

    fn copy(&mut self, length: u64, out: &mut dyn Write) -> Result<(), CliError> {
        let mut left = length;
        let mut chunk = vec![0; CHUNK.min(usize::try_from(length).unwrap_or(CHUNK))];
        while left > 0 {
            let most = chunk.len().min(usize::try_from(left).unwrap_or(CHUNK));
            let read = match self.from.read(&mut chunk[..most]) {
                Ok(0) => return Ok(()),
                Ok(read) => read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(CliError::infra("cannot read the log").because(error)),
            };
            out.write_all(&chunk[..read]).map_err(CliError::output)?;
            left -= read as u64;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(text: &'static str) -> Source {
        Source { from: Box::new(text.as_bytes()), length: text.len() as u64 }
    }

    fn interleaved(lengths: &[u32], stdout: &mut Source, stderr: &mut Source) -> String {
        let mut out = Vec::new();
        interleave(lengths, stdout, stderr, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn streams_are_merged_as_they_were_written_and_nothing_is_lost() {
        assert_eq!(interleaved(&[2, 3, 1], &mut source("aabrest"), &mut source("XXXend")), "aaXXXbrestend");
        assert_eq!(interleaved(&[0, 3], &mut source(""), &mut source("XXX")), "XXX");
        assert_eq!(interleaved(&[], &mut source("a"), &mut source("X")), "aX");
        assert_eq!(interleaved(&[100, u32::MAX], &mut source("a"), &mut source("X")), "aX");
    }

    #[test]
    fn a_stream_that_is_not_wanted_leaves_the_other_whole() {
        let mut stdout = source("");
        assert_eq!(interleaved(&[2, 1, 1, 1], &mut stdout, &mut source("XYZ")), "XYZ");
    }
}
