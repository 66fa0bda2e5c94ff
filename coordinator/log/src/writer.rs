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
        let number = self.segment.number + 1;
        let (segment, tail) = Segment::create(&*self.disk, &self.dir, self.identity, number, carried)?;
        self.segment = Arc::new(segment);
        self.tail = tail;
        self.frames = 1;
        Ok(Arc::clone(&self.segment))
    }

    /// One frame, one write, one sync. After [`Error::Full`] the file is as it was.
    pub(crate) fn write(&mut self, batch: &Batch) -> Result<Written> {
        let (locations, records) = self.encode(batch);
        segment::finish_frame(&mut self.buffer, self.tail, records, self.frames, self.segment.salt);
        let Segment { file, path, .. } = &*self.segment;
        if let Err(error) = disk::write_all(&**file, &self.buffer, self.tail) {
            let error = Error::writing("write", path)(error);
            if matches!(error, Error::Full { .. }) {
                // Durably, so that nothing of it can turn up behind a later frame.
                file.set_len(self.tail).map_err(Error::io("cut", path))?;
                file.sync_data().map_err(Error::io("sync", path))?;
            }
            return Err(error);
        }
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
