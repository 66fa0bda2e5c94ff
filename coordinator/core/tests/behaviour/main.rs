//! What the core does with commands, seen from outside.

mod cancelling;
mod driver;
mod failing;
mod hashing;
mod identical;
mod invariants;
mod losing;
mod memory;
mod random;
mod refusing;
mod scaling;
mod scheduling;
mod shell;
mod starting;
mod steps;
mod workers;
