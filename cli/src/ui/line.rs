//! An event as one line of JSON.

use cullet_coordinator::Event;

use super::duration::rfc3339;

/// Writes events as lines, each with the time at which it happened.
#[derive(Debug, Default)]
pub struct LineWriter {
    /// The time that was formatted last: thousands of events share a millisecond.
    at: u64,
    time: String,
}

impl LineWriter {
    /// Appends `event` with a `time` field, and a newline. `wall_ms` is in milliseconds since the Unix epoch.
    pub fn append(&mut self, event: &Event, wall_ms: u64, out: &mut Vec<u8>) {
        if self.time.is_empty() || self.at != wall_ms {
            self.at = wall_ms;
            self.time = rfc3339(wall_ms);
        }
        let start = out.len();
        // Plain data into memory: there is nothing that could fail. If it did, no half line may stay.
        if serde_json::to_writer(&mut *out, event).is_err() || out.pop() != Some(b'}') {
            out.truncate(start);
            return;
        }
        // The tag makes sure that the object is never empty.
        out.extend_from_slice(b",\"time\":\"");
        out.extend_from_slice(self.time.as_bytes());
        out.extend_from_slice(b"\"}\n");
    }
}
