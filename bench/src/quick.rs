//! Everything in small, for continuous integration: machines there are busy, so only what is far beyond its
//! target fails.

use crate::Result;
use crate::check::Report;
use crate::scale::Scale;

/// How far beyond a target is too far.
const SLACK: f64 = 5.0;

/// Runs every benchmark once.
pub(crate) fn run() -> Result<bool> {
    let mut report = Report::new(SLACK);
    crate::all(&Scale::quick(), &mut report)?;
    Ok(report.passed())
}
