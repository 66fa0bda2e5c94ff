//! This program once more, where there is no network.

use std::fs;
use std::os::unix::process::CommandExt as _;
use std::process::Command;

use cullet_worker::sandbox::cut_off;

use crate::diagnostics;
use crate::error::{CliError, ExitStatus};
use crate::ui::Style;

/// What the program is started with to leave the network, before its own arguments.
pub(crate) const ARGUMENT: &str = "__cut-off";

/// Whether there is no way to anywhere but to this machine.
pub(crate) fn is_cut_off() -> bool {
    let read = |name: &str| fs::read_to_string(format!("/proc/self/net/{name}")).unwrap_or_default();
    !leads_out(&read("route"), &read("ipv6_route"))
}

/// Whether one of the routes of IPv4 (with a title, the interface first) or of IPv6 (the interface last) leads elsewhere.
fn leads_out(route: &str, ipv6_route: &str) -> bool {
    let v4 = route.lines().skip(1).filter_map(|line| line.split_whitespace().next());
    let v6 = ipv6_route.lines().filter_map(|line| line.split_whitespace().last());
    v4.chain(v6).any(|interface| interface != "lo")
}

/// Starts the program anew with the same arguments, without a network. Returns only where that is not possible.
pub(crate) fn again() -> CliError {
    let program = match std::env::current_exe() {
        Ok(program) => program,
        Err(error) => return CliError::infra("cannot find this program").because(error),
    };
    let error = Command::new(program).arg(ARGUMENT).args(std::env::args_os().skip(1)).exec();
    CliError::infra("cannot start this program anew").because(error)
}

/// What that begins with: leaves the network, and goes on with the arguments behind [`ARGUMENT`].
pub(crate) fn main() -> ExitStatus {
    let failed = |error: CliError| {
        diagnostics::error(&error, Style::PLAIN);
        error.status()
    };
    if let Err(error) = cut_off() {
        return failed(
            CliError::infra("this machine does not let its network be cut off for a rehearsal")
                .because(error)
                .hint("it takes root, or user namespaces that this user may make"),
        );
    }
    match std::env::current_exe() {
        Ok(program) => {
            let error = Command::new(program).args(std::env::args_os().skip(2)).exec();
            failed(CliError::infra("cannot start this program anew").because(error))
        }
        Err(error) => failed(CliError::infra("cannot find this program").because(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_route_to_elsewhere_is_seen() {
        let title = "Iface\tDestination\tGateway\n";
        let loopback = "00000001 80 0 00 0 00 ffffffff 1 0 80200001 lo\n";
        assert!(!leads_out("", "") && !leads_out(title, loopback));
        assert!(leads_out(&format!("{title}eth0\t00000000\t0100A8C0\n"), ""));
        assert!(leads_out(title, &format!("{loopback}fe80 40 0 00 0 00 100 1 0 1 eth0\n")));
    }
}
