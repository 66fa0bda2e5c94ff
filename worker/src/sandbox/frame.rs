//! Messages with file descriptors over Unix sockets.

use std::io::{self, IoSlice, Read, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::net::UnixStream;

use nix::sys::socket::{ControlMessage, MsgFlags, sendmsg};
use serde::Serialize;
use serde::de::DeserializeOwned;
use zeroize::Zeroizing;

/// The largest message on the launcher's stream. The kernel takes at most 6 MiB of arguments and environment.
const MAX_FRAME_BYTES: usize = 16 << 20;
/// Of a request with all secrets that a step may have, and an environment and arguments of common length.
const USUAL_FRAME_BYTES: usize = crate::MOST_SECRET_BYTES + (64 << 10);
/// The largest message on a step's own socket: one error text or one exit status.
const MAX_PACKET_BYTES: usize = 16 << 10;
/// The most descriptors any message carries: standard output, standard error, the step's socket, its network, and two
/// control groups.
const MAX_FDS: usize = 6;

fn invalid(error: impl std::error::Error + Send + Sync + 'static) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}

/// Sends one message on the stream: its length, with the descriptors attached, then its bytes.
pub(crate) fn send_frame<T: Serialize>(
    mut stream: &UnixStream,
    message: &T,
    fds: &[BorrowedFd<'_>],
) -> io::Result<()> {
    // It may have secrets: growing would leave parts of them in memory.
    let room = Vec::with_capacity(USUAL_FRAME_BYTES);
    let bytes = Zeroizing::new(postcard::to_extend(message, room).map_err(invalid)?);
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
    let mut bytes = Zeroizing::new(vec![0; length]);
    stream.read_exact(&mut bytes)?;
    // What cannot be understood was read to its end: the next message can be.
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

// SAFETY: it only computes a size.
const CONTROL_BYTES: usize =
    unsafe { libc::CMSG_SPACE((MAX_FDS * size_of::<RawFd>()) as libc::c_uint) } as usize;

/// Room for the control message with [`MAX_FDS`] descriptors, aligned as its header must be.
#[repr(C, align(8))]
struct ControlSpace([u8; CONTROL_BYTES]);

/// Reads bytes and the descriptors that came with them: fewer than were sent where the limit of open files is
/// reached. nix would take that for an error, and leave open those that did come.
fn recv_with_fds(socket: BorrowedFd<'_>, bytes: &mut [u8]) -> io::Result<(usize, Vec<OwnedFd>)> {
    let mut space = ControlSpace([0; CONTROL_BYTES]);
    let mut buffer = libc::iovec { iov_base: bytes.as_mut_ptr().cast(), iov_len: bytes.len() };
    // SAFETY: msghdr is plain data, for which all zeros are valid.
    let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
    message.msg_iov = &raw mut buffer;
    message.msg_iovlen = 1;
    loop {
        message.msg_control = space.0.as_mut_ptr().cast();
        message.msg_controllen = size_of::<ControlSpace>() as _;
        // SAFETY: the header names two buffers with their sizes, which outlive the call.
        let count = unsafe { libc::recvmsg(socket.as_raw_fd(), &raw mut message, libc::MSG_CMSG_CLOEXEC) };
        if let Ok(count) = usize::try_from(count) {
            // SAFETY: the kernel has just filled the header and the control message in.
            return Ok((count, unsafe { take_fds(&message) }));
        }
        let error = io::Error::last_os_error();
        if error.kind() != io::ErrorKind::Interrupted {
            return Err(error);
        }
    }
}

/// Takes over the descriptors of a message.
///
/// # Safety
/// `message` is as recvmsg left it, with a control buffer that lives, and nobody else takes its descriptors.
unsafe fn take_fds(message: &libc::msghdr) -> Vec<OwnedFd> {
    let mut fds = Vec::new();
    // SAFETY: the kernel wrote well-formed control messages within `msg_controllen`, and the length of each
    // says how many descriptors it made for us.
    unsafe {
        let mut control = libc::CMSG_FIRSTHDR(message);
        while let Some(header) = control.as_ref() {
            if (header.cmsg_level, header.cmsg_type) == (libc::SOL_SOCKET, libc::SCM_RIGHTS) {
                let data = libc::CMSG_DATA(control).cast::<RawFd>();
                // The C libraries do not agree on its type.
                let whole: usize = header.cmsg_len as _;
                let length = whole.saturating_sub(libc::CMSG_LEN(0) as usize);
                for index in 0..length / size_of::<RawFd>() {
                    fds.push(OwnedFd::from_raw_fd(data.add(index).read_unaligned()));
                }
            }
            control = libc::CMSG_NXTHDR(message, control);
        }
    }
    fds
}

#[cfg(test)]
mod tests;
