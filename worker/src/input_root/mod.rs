//! A step's inputs as a directory, which is never written to and therefore shared.

mod build;
mod error;
mod pool;
mod queue;

pub(crate) use build::Builder;
pub use error::{InputError, LostInput, LostInputs};
pub(crate) use pool::{InputRoot, InputRoots};
