//! Sockets: of kinds that steps have no use for, and of the machine.

use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixStream};

use super::attempt::{Attempt, Outcome, whether};
use super::call::{call, into, to};

pub(crate) const ALL: &[Attempt] = &[
    ("raw socket", || socket(libc::AF_INET, libc::SOCK_RAW, libc::IPPROTO_ICMP)),
    ("raw socket of IPv6", || socket(libc::AF_INET6, libc::SOCK_RAW, libc::IPPROTO_ICMPV6)),
    ("packet socket", || socket(libc::AF_PACKET, libc::SOCK_RAW, 0x0300)),
    ("vsock", || socket(libc::AF_VSOCK, libc::SOCK_STREAM, 0)),
    ("cipher socket", || socket(libc::AF_ALG, libc::SOCK_SEQPACKET, 0)),
    ("bluetooth socket", || socket(libc::AF_BLUETOOTH, libc::SOCK_RAW, 1)),
    ("key socket", || socket(libc::AF_KEY, libc::SOCK_RAW, 2)),
    ("xdp socket", || socket(libc::AF_XDP, libc::SOCK_RAW, 0)),
    ("audit socket", || netlink(libc::NETLINK_AUDIT, &audit_rules())),
    ("take the loopback interface down", || {
        let Ok(descriptor) = call(libc::SYS_socket, [2, 2, 0]) else {
            return whether(false, "there is no socket");
        };
        let mut request = [0_u8; 40];
        request[..2].copy_from_slice(b"lo");
        call(libc::SYS_ioctl, [word(descriptor), libc::SIOCSIFFLAGS as usize, to(&request)]).into()
    }),
    ("add a route", || {
        let Ok(descriptor) = call(libc::SYS_socket, [2, 2, 0]) else {
            return whether(false, "there is no socket");
        };
        let request = [0_u64; 15];
        call(libc::SYS_ioctl, [word(descriptor), libc::SIOCADDRT as usize, to(&request)]).into()
    }),
    ("listen at a port of the system", || std::net::TcpListener::bind("127.0.0.1:80").into()),
    ("reach the internet", || {
        let far = std::net::SocketAddr::from(([192, 0, 2, 1], 80));
        std::net::TcpStream::connect_timeout(&far, std::time::Duration::from_millis(500)).into()
    }),
    ("reach a service on the machine's loopback", || {
        let port = std::env::var("CANARY_PORT").ok().and_then(|port| port.parse().ok()).unwrap_or(1);
        std::net::TcpStream::connect(("127.0.0.1", port)).into()
    }),
    ("reach an abstract socket of the machine", || {
        let name = std::env::var("CANARY_SOCKET").unwrap_or_default();
        SocketAddr::from_abstract_name(name).and_then(|address| UnixStream::connect_addr(&address)).into()
    }),
    ("reach sockets of the machine", || {
        let canary = std::env::var("CANARY_PATH").unwrap_or_default();
        let known = [
            "/run/docker.sock",
            "/var/run/docker.sock",
            "/run/containerd/containerd.sock",
            "/run/podman/podman.sock",
            "/run/crio/crio.sock",
            "/run/dbus/system_bus_socket",
            "/run/systemd/private",
            "/run/systemd/journal/socket",
            "/dev/log",
            "/tmp/.X11-unix/X0",
        ];
        let reached = |path: &&str| !path.is_empty() && UnixStream::connect(path).is_ok();
        let all = known.into_iter().chain([canary.as_str()]);
        Outcome::CouldAt(all.filter(reached).map(str::to_owned).collect())
    }),
];

fn word(number: i64) -> usize {
    number.cast_unsigned() as usize
}

fn socket(family: i32, kind: i32, protocol: i32) -> Outcome {
    let words = [family, kind, protocol].map(|number| number.cast_unsigned() as usize);
    call(libc::SYS_socket, words).into()
}

/// `AUDIT_LIST_RULES`.
fn audit_rules() -> [u32; 4] {
    [16, 1013 | 5 << 16, 1, 0]
}

fn netlink(protocol: i32, message: &[u32; 4]) -> Outcome {
    let words = [libc::AF_NETLINK, libc::SOCK_RAW, protocol].map(|number| number.cast_unsigned() as usize);
    let answered = call(libc::SYS_socket, words).and_then(|descriptor| {
        call(libc::SYS_sendto, [word(descriptor), to(message), 16, 0, 0, 0])?;
        let mut answer = [0_i32; 64];
        call(libc::SYS_recvfrom, [word(descriptor), into(&mut answer), 256, 0, 0, 0])?;
        // An error has the number, negative, behind the header; none is 0.
        let error = if answer[1] & 0xFFFF == libc::NLMSG_ERROR { -answer[4] } else { 0 };
        if error == 0 { Ok(()) } else { Err(std::io::Error::from_raw_os_error(error)) }
    });
    answered.into()
}
