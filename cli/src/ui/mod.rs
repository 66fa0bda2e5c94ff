//! Everything a person sees of a run. Renderers read events and write text; they decide nothing.

pub mod clean;
pub mod duration;
mod gate;
mod json;
mod line;
pub mod model;
pub mod observe;
pub mod output;
mod plain;
pub mod safe;
pub mod seat;
pub mod size;
pub mod style;
mod summary;
pub mod table;
pub mod terminal;
#[cfg(test)]
mod testing;
mod tty;
pub mod width;

pub use gate::Gate;
pub use json::Json;
pub use line::LineWriter;
pub use observe::{Closing, Moment, Observer, Observers};
pub use output::Output;
pub use plain::Plain;
pub use style::{Style, Tone};
pub use summary::{Summary, quoted, short};
pub use terminal::{Mode, Terminal};
pub use tty::{SizeOf, Tty, abandon};

/// The watcher that shows a run on standard output.
pub fn renderer(mode: Mode, style: Style) -> Box<dyn Observer> {
    let out = Output::stdout();
    match mode {
        Mode::Tty => Box::new(Tty::new(out, style, Box::new(terminal::size))),
        Mode::Plain => Box::new(Plain::new(out, style)),
        Mode::Json => Box::new(Json::new(out)),
    }
}
