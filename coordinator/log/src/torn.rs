//! Telling what a power cut leaves from damage.
//!
//! A frame is written only after the one before it was synced, so a power cut can hurt the last frame of the last
//! segment and nothing else. Disks write sectors whole, and a kernel takes whole pages from a process that is killed in
//! the middle of a write; a sector that was lost reads as zeros, or the file ends before it.
//! Room that is reserved behind the last frame is zeros as well. A bad frame is a torn tail, which nobody was told about
//! and which is cut off, only if
//!
//! - it is in the last segment, and is not the segment's first (that one is durable before the segment has its name),
//! - there are only zeros behind it, and
//! - it is shorter than its header says, or a sector that was written with something in it is all zeros. The header
//!   counts the sectors that were written as zeros.
//!
//! Everything else (full length and every sector there, but a wrong checksum) is [`crate::Error::Corrupt`]: the frame
//! may have been acknowledged, and a node that forgets what it acknowledged can lose an entry for everybody, or vote
//! twice.
//!
//! # Limits
//!
//! - Damage that looks like a power cut is taken for one: a log file cut short at its end, or whole sectors zeroed in
//!   its last frame. No file by itself can tell the two apart.
//! - A file system that leaves old content in blocks it never wrote (ext4 with `data=writeback`) makes a power cut look
//!   like damage: the node refuses its log and has to rejoin, and nothing is lost.
//! - So does one whose file length on the device ended inside a sector in the middle of a write: lengths grow by whole
//!   pages while a write goes on.
//! - A log whose last segments were removed by hand opens at an earlier state.

use crate::frame::{self, FrameHeader, HEADER_BYTES, MAX_BODY_BYTES, MAX_RESERVE_BYTES, SECTOR_BYTES};

/// Most bytes from the beginning of a bad frame to the end of its file.
pub(crate) const MAX_REST_BYTES: u64 = (HEADER_BYTES + MAX_BODY_BYTES) as u64 + MAX_RESERVE_BYTES;

/// True where the bytes from a bad frame at `offset` to the end of its file are what a power cut leaves.
pub(crate) fn is_torn(rest: &[u8], offset: u64, header: Option<FrameHeader>, salt: u32) -> bool {
    if rest.len() as u64 > MAX_REST_BYTES {
        return false;
    }
    if rest.len() < HEADER_BYTES {
        return true;
    }
    let Some(header) = header else {
        return lost_sector_in_header(rest, offset) && !frame::contains_header(rest, salt);
    };
    let (rest, len) = (&rest[HEADER_BYTES..], header.body as usize);
    let (body, behind) = rest.split_at(len.min(rest.len()));
    let has_lost = || frame::zero_sectors(body, offset + HEADER_BYTES as u64) > header.zero_sectors;
    frame::is_zero(behind) && (body.len() < len || has_lost())
}

/// True where the header cannot be read because one of the sectors it lies in was not written.
fn lost_sector_in_header(rest: &[u8], offset: u64) -> bool {
    let first = frame::to_sector_end(offset).min(rest.len());
    if frame::is_zero(&rest[..first]) {
        return true;
    }
    let second = &rest[first..rest.len().min(first + SECTOR_BYTES)];
    first < HEADER_BYTES && frame::is_zero(second)
}
