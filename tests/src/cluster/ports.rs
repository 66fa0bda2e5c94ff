//! Ports for coordinators, which others look for after they were away.

use std::net::TcpListener;

/// A port that stays free while whoever listens there is away: none of those that the system gives to who connects.
pub(super) fn free_port() -> (u16, TcpListener) {
    let held = (0..1000).find_map(|_| {
        let port = fastrand::u16(10_000..32_000);
        Some((port, TcpListener::bind(("127.0.0.1", port)).ok()?))
    });
    held.unwrap_or_else(|| panic!("no port is free"))
}
