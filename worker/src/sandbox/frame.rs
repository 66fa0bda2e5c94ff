//! Messages with file descriptors over Unix sockets.

use std::io::{self, IoSlice, IoSliceMut, Read, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::net::UnixStream;

use nix::sys::socket::{ControlMessage, ControlMessageOwned, MsgFlags, recvmsg, sendmsg};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// The largest message on the launcher's stream. The kernel takes at most 6 MiB of arguments and environment.
const MAX_FRAME_BYTES: usize = 16 << 20;
/// The largest message on a step's own socket: one error text or one exit status.
const MAX_PACKET_BYTES: usize = 16 << 10;
/// The most descriptors any message carries: standard output, standard error and the step's socket.
pub(crate) const MAX_FDS: usize = 3;

fn invalid(error: impl std::error::Error + Send + Sync + 'static) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}

/// Sends one message on the stream: its length, with the descriptors attached, then its bytes.
pub(crate) fn send_frame<T: Serialize>(
    mut stream: &UnixStream,
    message: &T,
    fds: &[BorrowedFd<'_>],
) -> io::Result<()> {
    let bytes = postcard::to_allocvec(message).map_err(invalid)?;
    if bytes.len() > MAX_FRAME_BYTES {
        return Err(io::Error::from_raw_os_error(libc::E2BIG));
    }
    let length = u32::try_from(bytes.len()).map_err(invalid)?.to_le_bytes();
    send_with_fds(stream.as_fd(), &length, fds)?;
    stream.write_all(&bytes)
}

/// The next message of the stream with its descriptors, or `None` at its end.
pub(crate) fn recv_frame<T: DeserializeOwned>(
    mut stream: &UnixStream,
) -> io::Result<Option<(T, Vec<OwnedFd>)>> {
    let mut header = [0_u8; 4];
    let (count, fds) = recv_with_fds(stream.as_fd(), &mut header)?;
    if count == 0 {
        return Ok(None);
    }
    stream.read_exact(&mut header[count..])?;
    let length = u32::from_le_bytes(header) as usize;
    if length > MAX_FRAME_BYTES {
        return Err(io::Error::from_raw_os_error(libc::EMSGSIZE));
    }
    let mut bytes = vec![0; length];
    stream.read_exact(&mut bytes)?;
    Ok(Some((postcard::from_bytes(&bytes).map_err(invalid)?, fds)))
}

/// Sends one packet on a step's own socket.
pub(crate) fn send_packet<T: Serialize>(
    socket: BorrowedFd<'_>,
    message: &T,
    fds: &[BorrowedFd<'_>],
) -> io::Result<()> {
    let bytes = postcard::to_allocvec(message).map_err(invalid)?;
    send_with_fds(socket, &bytes, fds)
}

/// The next packet of a step's own socket, or `None` when the other end is closed.
pub(crate) fn recv_packet<T: DeserializeOwned>(
    socket: BorrowedFd<'_>,
) -> io::Result<Option<(T, Vec<OwnedFd>)>> {
    let mut bytes = vec![0; MAX_PACKET_BYTES];
    let (count, fds) = recv_with_fds(socket, &mut bytes)?;
    if count == 0 {
        return Ok(None);
    }
    let message = postcard::from_bytes(&bytes[..count]).map_err(invalid)?;
    Ok(Some((message, fds)))
}

fn send_with_fds(socket: BorrowedFd<'_>, bytes: &[u8], fds: &[BorrowedFd<'_>]) -> io::Result<()> {
    let raw: Vec<RawFd> = fds.iter().map(AsRawFd::as_raw_fd).collect();
    let rights = [ControlMessage::ScmRights(&raw)];
    let control: &[ControlMessage<'_>] = if raw.is_empty() { &[] } else { &rights };
    loop {
        let sent =
            sendmsg::<()>(socket.as_raw_fd(), &[IoSlice::new(bytes)], control, MsgFlags::MSG_NOSIGNAL, None);
        match sent {
            Err(nix::Error::EINTR) => {}
            Err(errno) => return Err(errno.into()),
            Ok(count) if count == bytes.len() => return Ok(()),
            // Four bytes on a stream and packets are sent whole or not at all.
            Ok(_) => return Err(io::ErrorKind::WriteZero.into()),
        }
    }
}

fn recv_with_fds(socket: BorrowedFd<'_>, bytes: &mut [u8]) -> io::Result<(usize, Vec<OwnedFd>)> {
    let mut space = nix::cmsg_space!([RawFd; MAX_FDS]);
    loop {
        let mut buffers = [IoSliceMut::new(bytes)];
        let received =
            recvmsg::<()>(socket.as_raw_fd(), &mut buffers, Some(&mut space), MsgFlags::MSG_CMSG_CLOEXEC);
        let message = match received {
            Err(nix::Error::EINTR) => continue,
            other => other?,
        };
        let mut fds = Vec::new();
        for control in message.cmsgs()? {
            if let ControlMessageOwned::ScmRights(raw) = control {
                // SAFETY: the kernel has just made these descriptors for us; nobody else knows them.
                fds.extend(raw.into_iter().map(|fd| unsafe { OwnedFd::from_raw_fd(fd) }));
            }
        }
        return Ok((message.bytes, fds));
    }
}
