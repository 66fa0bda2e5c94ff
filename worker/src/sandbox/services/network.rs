//! Cullet's end of the network of a step and its services.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddrV4, SocketAddrV6, TcpStream};
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd, OwnedFd};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{SockaddrIn, SockaddrIn6, SockaddrLike, connect, getsockopt, sockopt::SocketError};

use super::super::connection::PATIENCE;
use super::super::fault::Fault;
use super::super::frame::{recv_packet, send_packet};
use super::super::protocol::Family;
use super::super::runner::{setup, step_socket};
use crate::ExecuteError;

/// A network that lives as long as this, and as long as somebody is in it.
#[derive(Debug)]
pub(in super::super) struct Network {
    namespace: OwnedFd,
    /// To the process that makes sockets there; one question at a time.
    holder: Mutex<OwnedFd>,
}

impl Network {
    /// Makes one. `ask` hands a socket over to the launcher.
    pub(in super::super) fn make(
        ask: impl FnOnce(BorrowedFd<'_>) -> io::Result<()>,
    ) -> Result<Self, ExecuteError> {
        let (holder, theirs) = step_socket().map_err(|source| setup("create a socket", source))?;
        ask(theirs.as_fd()).map_err(|source| setup("ask for a network", source))?;
        drop(theirs);
        let namespace = descriptor(&holder).map_err(|source| setup("make a network", source))??;
        Ok(Self { namespace, holder: Mutex::new(holder) })
    }

    /// For whoever joins it.
    pub(in super::super) fn namespace(&self) -> BorrowedFd<'_> {
        self.namespace.as_fd()
    }

    /// Connects to a port of its loopback interface, by the older of the two protocols or else by the newer one.
    pub(super) fn connect(&self, port: u16, until: Instant) -> io::Result<TcpStream> {
        let older = SockaddrIn::from(SocketAddrV4::new(Ipv4Addr::LOCALHOST, port));
        let newer = SockaddrIn6::from(SocketAddrV6::new(Ipv6Addr::LOCALHOST, port, 0, 0));
        self.connect_to(libc::AF_INET, &older, until)
            .or_else(|error| self.connect_to(libc::AF_INET6, &newer, until).map_err(|_| error))
    }

    fn connect_to(
        &self,
        family: Family,
        address: &impl SockaddrLike,
        until: Instant,
    ) -> io::Result<TcpStream> {
        let socket = self.socket(family)?;
        match connect(socket.as_raw_fd(), address) {
            Ok(()) => {}
            Err(nix::Error::EINPROGRESS) => {
                wait(socket.as_fd(), PollFlags::POLLOUT, until)?;
                let error = getsockopt(&socket, SocketError)?;
                if error != 0 {
                    return Err(io::Error::from_raw_os_error(error));
                }
            }
            Err(error) => return Err(error.into()),
        }
        let stream = TcpStream::from(socket);
        stream.set_nonblocking(false)?;
        Ok(stream)
    }

    /// A socket in the network that does not block.
    fn socket(&self, family: Family) -> io::Result<OwnedFd> {
        let holder = self.holder.lock().unwrap_or_else(PoisonError::into_inner);
        send_packet(holder.as_fd(), &family, &[])?;
        descriptor(&holder)?.map_err(io::Error::other)
    }
}

/// What the holder answers: a descriptor, or why there is none.
fn descriptor(holder: &OwnedFd) -> io::Result<Result<OwnedFd, Fault>> {
    wait(holder.as_fd(), PollFlags::POLLIN, Instant::now() + PATIENCE)?;
    match recv_packet::<Result<(), Fault>>(holder.as_fd())? {
        Some((Ok(()), fds)) => fds.into_iter().next().map(Ok).ok_or_else(|| nix::Error::EMFILE.into()),
        Some((Err(fault), _)) => Ok(Err(fault)),
        None => Err(io::ErrorKind::BrokenPipe.into()),
    }
}

/// Until something can be done with a descriptor, or the time is over.
pub(super) fn wait(fd: BorrowedFd<'_>, for_what: PollFlags, until: Instant) -> io::Result<()> {
    loop {
        let left = until.saturating_duration_since(Instant::now());
        let mut watched = [PollFd::new(fd, for_what)];
        match poll(&mut watched, timeout(left)) {
            Ok(0) if left.is_zero() => return Err(io::ErrorKind::TimedOut.into()),
            Ok(0) | Err(nix::Error::EINTR) => {}
            Ok(_) => return Ok(()),
            Err(errno) => return Err(errno.into()),
        }
    }
}

/// Rounded up, so that the time is over when the wait is.
pub(super) fn timeout(left: Duration) -> PollTimeout {
    let millis = if left.is_zero() { 0 } else { left.as_millis().saturating_add(1) };
    PollTimeout::try_from(millis).unwrap_or(PollTimeout::MAX)
}
