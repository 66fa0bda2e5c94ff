//! Entries from the log's files.

use std::io;

use bytes::Bytes;

use crate::record::{self, Kind, Record};
use crate::state::Stored;
use crate::types::Entry;
use crate::{Error, Result, disk};

/// Neighbours are read together up to this much.
const READ_BYTES: u64 = 1 << 20;

/// Reads the entries in order, each with its checksum.
pub(crate) fn read(stored: &[Stored], entries: &mut Vec<Entry>) -> Result<()> {
    let mut rest = stored;
    while let Some(first) = rest.first() {
        let count = rest.iter().take_while(|other| are_near(first, other)).count().max(1);
        let (run, behind) = rest.split_at(count);
        read_run(first, run, entries)?;
        rest = behind;
    }
    Ok(())
}

fn are_near(first: &Stored, last: &Stored) -> bool {
    let (from, to) = (first.location, last.location);
    from.segment == to.segment && to.offset + u64::from(to.len) - from.offset <= READ_BYTES
}

/// Reads records of one segment in one go.
fn read_run(first: &Stored, run: &[Stored], entries: &mut Vec<Entry>) -> Result<()> {
    let (segment, start) = (&first.segment, first.location.offset);
    let corrupt = |stored: &Stored, problem| {
        Error::corrupt(&segment.path, stored.location.offset, stored.index, problem)
    };
    let end = run.last().map_or(start, |last| last.location.offset + u64::from(last.location.len));
    let mut bytes = vec![0; (end - start) as usize];
    disk::read_exact(&*segment.file, &mut bytes, start).map_err(|error| match error.kind() {
        io::ErrorKind::UnexpectedEof => corrupt(first, "the file ends before it"),
        _ => Error::io("read", &segment.path)(error),
    })?;
    let bytes = Bytes::from(bytes);
    for stored in run {
        let record = record::decode(&bytes, (stored.location.offset - start) as usize, segment.salt);
        match record.map_err(|problem| corrupt(stored, problem))? {
            Record { kind: Kind::Entry, id: Some(id), data, .. } if id.index == stored.index => {
                entries.push(Entry { id, payload: data });
            }
            _ => return Err(corrupt(stored, "another record is in its place")),
        }
    }
    Ok(())
}
