//! Attempts from their inputs to their results, with the real disk cache.

mod caching;
mod fixture;
mod hostile;
mod inputs;
mod logs;
mod outputs;
mod sandboxed;
