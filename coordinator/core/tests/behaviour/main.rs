//! What the core does with commands, seen from outside.

mod cancelling;
mod driver;
mod failing;
mod hashing;
mod identical;
mod invariants;
mod losing;
mod random;
mod refusing;
mod scheduling;
mod shell;
mod starting;
mod steps;
mod workers;
