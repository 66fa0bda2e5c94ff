//! The one place that writes to the log's files.

use std::path::PathBuf;
use std::sync::Arc;

use crate::disk::{self, Disk};
use crate::durable::{Durable, Location};
use crate::pending::Change;
use crate::planted::{self, Bug};
use crate::record::{self, Kind};
use crate::segment::{self, Segment};
use crate::state::Batch;
use crate::{Error, Identity, Result, frame};

/// Beyond this the buffer is given back after a large frame.
const BUFFER_BYTES: usize = 8 << 20;

pub(crate) struct Writer {
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) dir: PathBuf,
    pub(crate) identity: Identity,
    pub(crate) segment: Arc<Segment>,
    /// Where the next frame goes.
    pub(crate) tail: u64,
    /// Bytes of the segment's file; behind the tail they are zeros.
    pub(crate) len: u64,
    /// [`crate::Config::reserve_bytes`].
    pub(crate) reserve: u64,
    /// [`crate::Config::segment_bytes`].
    pub(crate) segment_bytes: u64,
    /// Frames in the segment.
    pub(crate) frames: u64,
    pub(crate) buffer: Vec<u8>,
}

/// A batch that is durable.
#[derive(Default)]
pub(crate) struct Written {
    /// Of its entries, in order.
    pub(crate) locations: Vec<Location>,
    /// Bytes it took; 0 where there was nothing to write.
    pub(crate) bytes: u64,
}

impl Writer {
    /// Begins the next segment.
    pub(crate) fn rotate(&mut self, carried: &Durable) -> Result<Arc<Segment>> {
        if self.len > self.tail {
            // Only the last segment has room in it.
            self.cut_to_tail()?;
        }
        let number = self.segment.number + 1;
        let (segment, tail) = Segment::create(&*self.disk, &self.dir, self.identity, number, carried)?;
        self.segment = Arc::new(segment);
        (self.tail, self.len) = (tail, tail);
        self.frames = 1;
        Ok(Arc::clone(&self.segment))
    }

    /// One frame, one write, one sync. After [`Error::Full`] the file is as it was.
    pub(crate) fn write(&mut self, batch: &Batch) -> Result<Written> {
        let (locations, records) = self.encode(batch);
        segment::finish_frame(&mut self.buffer, self.tail, records, self.frames, self.segment.salt);
        let segment = Arc::clone(&self.segment);
        let Segment { file, path, .. } = &*segment;
        if let Err(error) = disk::write_all(&**file, &self.buffer, self.tail) {
            let error = Error::writing("write", path)(error);
            if matches!(error, Error::Full { .. }) {
                // Nothing of it can turn up behind a later frame.
                self.cut_to_tail()?;
            }
            return Err(error);
        }
        self.reserve_behind(self.tail + self.buffer.len() as u64)?;
        if !planted::is(Bug::AckBeforeSync) {
            file.sync_data().map_err(Error::io("sync", path))?;
        }
        let bytes = self.buffer.len() as u64;
        self.tail += bytes;
        self.frames += 1;
        self.buffer.clear();
        self.buffer.shrink_to(BUFFER_BYTES);
        Ok(Written { locations, bytes })
    }

    /// Cuts off what is behind the last frame, durably.
    fn cut_to_tail(&mut self) -> Result<()> {
        let Segment { file, path, .. } = &*self.segment;
        file.set_len(self.tail).map_err(Error::io("cut", path))?;
        file.sync_data().map_err(Error::io("sync", path))?;
        self.len = self.tail;
        Ok(())
    }

    /// Makes room behind a frame that made the file longer, if the disk has any; the frame's sync covers it.
    fn reserve_behind(&mut self, end: u64) -> Result<()> {
        if end <= self.len {
            return Ok(());
        }
        self.len = end;
        if self.reserve == 0 {
            return Ok(());
        }
        let room = self.reserve.min(self.segment_bytes.saturating_sub(end));
        // Whole sectors: a length inside of one could reach the disk without the rest of a frame's part in it.
        let room = (end + room).next_multiple_of(frame::SECTOR_BYTES as u64) - end;
        let Segment { file, path, .. } = &*self.segment;
        let zeros = vec![0; room as usize];
        match disk::write_all(&**file, &zeros, end).map_err(Error::writing("reserve room in", path)) {
            Ok(()) => self.len += room,
            Err(Error::Full { .. }) => file.set_len(end).map_err(Error::io("cut", path))?,
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// Fills the buffer with the batch's frame, the header left out.
    fn encode(&mut self, batch: &Batch) -> (Vec<Location>, u32) {
        let Self { buffer, segment, tail, .. } = self;
        let salt = segment.salt;
        buffer.clear();
        buffer.resize(frame::HEADER_BYTES, 0);
        let (mut locations, mut records) = (Vec::new(), 0);
        for pending in &batch.operations {
            records += 1;
            match &pending.change {
                Change::Append(entries) => {
                    records += entries.len() as u32 - 1;
                    for entry in entries {
                        let offset = *tail + buffer.len() as u64;
                        let len = record::encode(buffer, salt, Kind::Entry, Some(&entry.id), &entry.payload);
                        locations.push(Location { segment: segment.number, offset, len });
                    }
                }
                Change::Vote(vote) => drop(record::encode(buffer, salt, Kind::Vote, None, vote)),
                Change::TruncateAfter(id) => {
                    record::encode(buffer, salt, Kind::TruncateAfter, id.as_ref(), &[]);
                }
                Change::PurgeTo(id) => drop(record::encode(buffer, salt, Kind::PurgeTo, Some(id), &[])),
                Change::Nothing => records -= 1,
            }
        }
        if let Some(id) = &batch.committed {
            record::encode(buffer, salt, Kind::Committed, Some(id), &[]);
            records += 1;
        }
        (locations, records)
    }
}
