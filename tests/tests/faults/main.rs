//! Real processes while machines, disks, networks and clocks fail. Takes root: networks and filesystems of their own
//! are made for it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "tests fail by panicking, and print how long things took"
)]

mod clients;
mod clocks;
mod damage;
mod disks;
mod histories;
mod killed;
mod leaders;
mod logs;
mod partitions;
mod pauses;
mod processes;
mod puppet;
mod readers;
mod replays;
mod support;
mod upgrades;
mod vanishing;
mod workers;
mod zombies;
