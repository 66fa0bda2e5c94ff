//! What a step prints: kept for later, bounded, and passed on while it runs.

mod events;
mod interleaving;
mod lines;
mod live;
mod recorder;
mod stream;
mod tape;

pub use events::{LogEvents, MAX_LINE_BYTES, NoEvents};
pub use lines::LineCutter;
pub use live::{LiveLines, LiveReader, LiveSender, LiveSource, live_log};
pub(crate) use recorder::Recorder;
pub(crate) use stream::{Captured, read_tail};
pub use tape::{LogPiece, LogTape, MAX_PIECE_BYTES};
