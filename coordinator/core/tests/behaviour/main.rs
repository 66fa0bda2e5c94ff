//! What the core does with commands, seen from outside.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that meets the unexpected has failed")]

mod admitting;
mod bookkeeping;
mod cancelling;
mod dividing;
mod driver;
mod failing;
mod fairness;
mod hashing;
mod identical;
mod invariants;
mod journal;
mod keeping;
mod losing;
mod memory;
mod operations;
mod outstanding;
mod owed;
mod placing;
mod random;
mod refusing;
mod scaling;
mod scheduling;
mod shell;
mod shunned;
mod shunning;
mod starting;
mod steps;
mod turns;
mod upgrading;
mod versions;
mod workers;
