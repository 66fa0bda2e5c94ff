//! Bytes that are counted and hashed on their way.

use std::io::{self, Read, Write};
use std::sync::atomic::{AtomicBool, Ordering};

use super::LayerError;
use crate::Digest;
use crate::digest::Hasher;

/// Hashes what is read, and ends in an error beyond a limit.
pub(super) struct Measured<R> {
    source: R,
    hasher: Hasher,
    limit: u64,
    /// Whether it was met: the error itself goes through readers that cannot carry it.
    pub(super) exceeded: bool,
}

impl<R: Read> Measured<R> {
    pub(super) fn new(source: R, limit: u64) -> Self {
        Self { source, hasher: Hasher::default(), limit, exceeded: false }
    }

    pub(super) fn size(&self) -> u64 {
        self.hasher.size()
    }

    pub(super) fn finish(self) -> (Digest, R) {
        (self.hasher.finish(), self.source)
    }

    /// Reads what nobody wanted, so that it is counted and hashed.
    pub(super) fn drain(&mut self, cancelled: &AtomicBool) -> Result<(), LayerError> {
        let mut buffer = vec![0; 64 << 10];
        loop {
            if cancelled.load(Ordering::Relaxed) {
                return Err(LayerError::Cancelled);
            }
            match self.read(&mut buffer) {
                Ok(0) => return Ok(()),
                Ok(_) => (),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => (),
                Err(error) => return Err(LayerError::Read { source: error.into() }),
            }
        }
    }
}

impl<R: Read> Read for Measured<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.source.read(buffer)?;
        self.hasher.update(&buffer[..count]);
        if self.hasher.size() > self.limit {
            self.exceeded = true;
            return Err(io::Error::other("longer than allowed"));
        }
        Ok(count)
    }
}

/// Ends in an error when nobody wants any more of it: one file may take minutes.
pub(super) struct Wanted<'c, R> {
    source: R,
    cancelled: &'c AtomicBool,
}

impl<'c, R> Wanted<'c, R> {
    pub(super) fn new(source: R, cancelled: &'c AtomicBool) -> Self {
        Self { source, cancelled }
    }

    pub(super) fn into_inner(self) -> R {
        self.source
    }
}

impl<R: Read> Read for Wanted<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.cancelled.load(Ordering::Relaxed) {
            return Err(io::Error::other("given up"));
        }
        self.source.read(buffer)
    }
}

/// Hashes what is written.
pub(super) struct MeasuredWriter<W> {
    to: W,
    hasher: Hasher,
}

impl<W: Write> MeasuredWriter<W> {
    pub(super) fn new(to: W) -> Self {
        Self { to, hasher: Hasher::default() }
    }

    /// Size, digest and what it was written to.
    pub(super) fn finish(self) -> (u64, Digest, W) {
        (self.hasher.size(), self.hasher.finish(), self.to)
    }
}

impl<W: Write> Write for MeasuredWriter<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.to.write(bytes)?;
        self.hasher.update(&bytes[..count]);
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}
