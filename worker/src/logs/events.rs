//! Who wants to see lines as they are printed.

use super::LogTape;
use crate::executor::Stream;

/// Receives the lines of one attempt while it runs, in the order in which they were read. It is called from
/// the thread that reads the step's pipes: a call that takes long slows that step, and nothing else.
pub trait LogEvents: Send + 'static {
    /// Whole lines, each ended by `\n`, none longer than [`MAX_LINE_BYTES`] (longer ones arrive in pieces).
    /// Bytes that are no UTF-8 are replaced; `\r\n` and a lone `\r` end a line as `\n` does. Other control
    /// characters are left as they are: whoever shows them to a person must defuse them.
    fn lines(&mut self, stream: Stream, text: &str);

    /// What others read the log from while the step runs, byte by byte. Asked for once, before the step starts.
    fn tape(&self) -> Option<LogTape> {
        None
    }
}

impl LogEvents for Box<dyn LogEvents> {
    fn lines(&mut self, stream: Stream, text: &str) {
        (**self).lines(stream, text);
    }

    fn tape(&self) -> Option<LogTape> {
        (**self).tape()
    }
}

/// The longest line text that is passed on in one piece, in bytes. Far beyond what anybody reads as a line,
/// small enough that the four partial lines of a dozen running steps are nothing.
pub const MAX_LINE_BYTES: usize = 16 << 10;

/// Nobody is watching.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoEvents;

impl LogEvents for NoEvents {
    fn lines(&mut self, _: Stream, _: &str) {}
}
