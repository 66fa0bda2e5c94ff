//! Reading a segment.

use bytes::Bytes;

use crate::disk::{self, DiskFile};
use crate::durable::{Durable, Location};
use crate::frame::{self, FrameHeader};
use crate::segment::{self, Segment};
use crate::{Error, Result, record, torn};

/// Where a segment that was read goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct End {
    /// Bytes that are good.
    pub(crate) tail: u64,
    /// Frames that are good.
    pub(crate) frames: u64,
    /// Bytes of a torn frame behind them, with what is reserved behind that.
    pub(crate) torn: u64,
    /// Zeros behind the last frame.
    pub(crate) reserved: u64,
}

/// Applies the segment's records. Only the last segment may be torn.
pub(crate) fn replay(segment: &Segment, is_last: bool, log: &mut Durable) -> Result<End> {
    let len = segment.file.len().map_err(Error::io("measure", &segment.path))?;
    let mut reading = Reading { segment, len, at: segment::HEADER_BYTES as u64, frames: 0, records: 0 };
    while reading.at < len || reading.frames == 0 {
        let Err(bad) = reading.frame(log)? else { continue };
        let (tail, frames) = (reading.at, reading.frames);
        let rest = if is_last && frames > 0 { reading.rest()? } else { None };
        return match rest {
            Some(rest) if len.is_multiple_of(frame::SECTOR_BYTES as u64) && frame::is_zero(&rest) => {
                Ok(End { tail, frames, torn: 0, reserved: len - tail })
            }
            Some(rest) if torn::is_torn(&rest, tail, bad.header, segment.salt) => {
                Ok(End { tail, frames, torn: len - tail, reserved: 0 })
            }
            _ => Err(Error::corrupt(&segment.path, bad.offset, reading.records, bad.problem)),
        };
    }
    Ok(End { tail: reading.at, frames: reading.frames, torn: 0, reserved: 0 })
}

struct Reading<'a> {
    segment: &'a Segment,
    len: u64,
    /// Where the next frame begins.
    at: u64,
    frames: u64,
    records: u64,
}

/// A frame that is not what was written.
struct Bad {
    header: Option<FrameHeader>,
    offset: u64,
    problem: &'static str,
}

impl Reading<'_> {
    /// Reads the next frame and applies it, unless there is something wrong with it.
    fn frame(&mut self, log: &mut Durable) -> Result<std::result::Result<(), Bad>> {
        let left = self.len - self.at;
        let bad = |header, problem| Ok(Err(Bad { header, offset: self.at, problem }));
        if left < frame::HEADER_BYTES as u64 {
            return bad(None, "a frame's header is cut off");
        }
        let header = self.read(self.at, frame::HEADER_BYTES)?;
        let Some(header) = FrameHeader::decode(&header, self.segment.salt) else {
            return bad(None, "a frame's header has a wrong checksum");
        };
        let start = self.at + frame::HEADER_BYTES as u64;
        if self.len - start < u64::from(header.body) {
            return bad(Some(header), "a frame is cut off");
        }
        let body = Bytes::from(self.read(start, header.body as usize)?);
        let records = match decode_all(&body, header.records, self.segment.salt) {
            Ok(records) => records,
            Err((at, problem)) => {
                return Ok(Err(Bad { header: Some(header), offset: start + at as u64, problem }));
            }
        };
        self.apply(header, records, start, log)?;
        self.at = start + u64::from(header.body);
        self.frames += 1;
        Ok(Ok(()))
    }

    /// Whatever does not fit here was written so, or replaced as a whole: never a torn write.
    fn apply(
        &mut self,
        header: FrameHeader,
        records: Vec<record::Record>,
        start: u64,
        log: &mut Durable,
    ) -> Result<()> {
        let corrupt =
            |offset, record, problem| Err(Error::corrupt(&self.segment.path, offset, record, problem));
        if header.sequence != self.frames {
            return corrupt(self.at, self.records, "a frame is missing before it");
        }
        let mut offset = start;
        for record in records {
            let len = record.len as u32;
            let location = Location { segment: self.segment.number, offset, len };
            if let Err(problem) = log.apply(record, location) {
                return corrupt(offset, self.records, problem);
            }
            offset += u64::from(len);
            self.records += 1;
        }
        Ok(())
    }

    /// What is left of the file, unless it is more than a frame can leave.
    fn rest(&self) -> Result<Option<Vec<u8>>> {
        let left = self.len - self.at;
        (left <= torn::MAX_REST_BYTES).then(|| self.read(self.at, left as usize)).transpose()
    }

    fn read(&self, offset: u64, len: usize) -> Result<Vec<u8>> {
        read(&*self.segment.file, offset, len).map_err(Error::io("read", &self.segment.path))
    }
}

fn read(file: &dyn DiskFile, offset: u64, len: usize) -> std::io::Result<Vec<u8>> {
    let mut bytes = vec![0; len];
    disk::read_exact(file, &mut bytes, offset)?;
    Ok(bytes)
}

/// All records of a frame, which they fill exactly; or where it goes wrong and how.
fn decode_all(
    body: &Bytes,
    count: u32,
    salt: u32,
) -> std::result::Result<Vec<record::Record>, (usize, &'static str)> {
    let mut records = Vec::new();
    let mut at = 0;
    for _ in 0..count {
        let record = record::decode(body, at, salt).map_err(|problem| (at, problem))?;
        at += record.len;
        records.push(record);
    }
    if at == body.len() { Ok(records) } else { Err((at, "a frame is longer than its records")) }
}
