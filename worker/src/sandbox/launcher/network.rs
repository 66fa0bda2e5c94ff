//! The network of a step and its services: one namespace for all of them, and a process that holds it.
//!
//! The namespace belongs to whom the namespaces of single steps belong to, so nobody in it has power over it. It is made
//! before the first service starts and lives until nobody is in it and nobody holds its descriptor. The process that made
//! it also makes sockets in it for cullet, which may not enter it: a socket stays in the network in which it was made.

use std::fs::{self, File};
use std::os::fd::{AsFd, BorrowedFd, IntoRawFd, OwnedFd, RawFd};

use nix::sched::{CloneFlags, setns, unshare};
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socket};

use super::super::fault::{During, Fault};
use super::super::frame::{recv_packet, send_packet};
use super::super::protocol::{Company, Family};
use super::init::has_ended;
use super::sys::{self, Cloned, attr};
use super::view::View;
use super::{etc, mounts};
use crate::services::hosts;

/// The lowest port that needs a right to listen at, which nobody in the network has. Container engines set it to 0 for the
/// same reason: servers of images listen at 80.
const FIRST_FREE_PORT: &str = "/proc/sys/net/ipv4/ip_unprivileged_port_start";

/// Starts the process that makes the network and holds it until the socket's other end is closed.
pub(super) fn hold(launcher: Option<&OwnedFd>, fds: Vec<OwnedFd>) {
    let Some(socket) = fds.into_iter().next() else { return };
    match sys::clone_process(0) {
        Ok(Cloned::Child) => main(socket, launcher),
        Ok(Cloned::Parent(..)) => {}
        Err(error) => {
            let fault = Fault::new("create a process", error.raw_os_error().unwrap_or(libc::EIO));
            let _ = send_packet(socket.as_fd(), &Err::<(), _>(fault), &[]);
        }
    }
}

fn main(socket: OwnedFd, launcher: Option<&OwnedFd>) -> ! {
    const SOCKET: RawFd = 3;
    let _ = sys::set_name(c"cullet-network");
    let dies = sys::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL as libc::c_ulong, 0);
    // The kernel tells only of a death that comes after it was asked to.
    if dies.is_err() || launcher.is_some_and(|launcher| has_ended(launcher.as_fd())) {
        sys::exit_now(1);
    }
    // The launcher's socket above all: its end must be seen when the launcher dies.
    let kept = sys::duplicate_to(socket.as_fd(), SOCKET);
    let _ = socket.into_raw_fd();
    if kept.and_then(|()| sys::close_from(SOCKET.cast_unsigned() + 1)).is_err() {
        sys::exit_now(1);
    }
    // SAFETY: descriptor 3 was made above and is never closed in this process.
    let socket = unsafe { BorrowedFd::borrow_raw(SOCKET) };
    let told = match make() {
        Ok(network) => send_packet(socket, &Ok::<(), Fault>(()), &[network.as_fd()]),
        Err(fault) => send_packet(socket, &Err::<(), _>(fault), &[]),
    };
    if told.is_ok() {
        while let Ok(Some((family, _))) = recv_packet::<Family>(socket) {
            if answer(socket, family).is_err() {
                break;
            }
        }
    }
    sys::exit_now(0)
}

fn make() -> Result<File, Fault> {
    unshare(CloneFlags::CLONE_NEWNET).during("create a network for the step and its services")?;
    sys::loopback_up().during("start the loopback interface")?;
    // Where it is refused, services that listen at lower ports say so.
    let _ = fs::write(FIRST_FREE_PORT, "0");
    File::open("/proc/self/ns/net").during("open the network of the step and its services")
}

fn answer(to: BorrowedFd<'_>, family: Family) -> std::io::Result<()> {
    let family = if family == libc::AF_INET6 { AddressFamily::Inet6 } else { AddressFamily::Inet };
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    match socket(family, SockType::Stream, flags, None).during("create a socket beside a service") {
        Ok(made) => send_packet(to, &Ok::<(), Fault>(()), &[made.as_fd()]),
        Err(fault) => send_packet(to, &Err::<(), _>(fault), &[]),
    }
}

/// Enters the network, if there is one to enter.
pub(super) fn join(network: Option<&OwnedFd>) -> Result<(), Fault> {
    network.map_or(Ok(()), |network| {
        setns(network, CloneFlags::CLONE_NEWNET).during("enter the network of the step and its services")
    })
}

/// Puts the names of services into `/etc/hosts` of this process's copy of the view.
pub(super) fn show_names(view: &View, company: &Company) -> Result<(), Fault> {
    if company.names.is_empty() {
        return Ok(());
    }
    let file = view.private.join("hosts");
    fs::write(&file, hosts(etc::HOSTS, &company.names)).during("write the names of services")?;
    let hosts = view.root.join("etc/hosts");
    mounts::bind(&file, &hosts)?;
    mounts::restrict(&hosts, attr::RDONLY | attr::NOSUID | attr::NODEV)
}
