//! A connection to a port of this container, for somebody outside of it.

use super::system::{self, AF_INET, AF_INET6, EINPROGRESS, ETIMEDOUT, READABLE, WRITABLE, Watched};

/// A check takes ten seconds at most; nobody waits for this any more then.
const PATIENCE_S: i64 = 12;

const STDIN: i32 = 0;
const STDOUT: i32 = 1;

pub(crate) fn relay(port: &[u8]) -> i32 {
    let Some(port) = number(port) else { return super::MISUSED };
    let socket = match connect(port) {
        Ok(socket) => socket,
        Err(error) => {
            let said = system::write(STDOUT, &[b'-', u8::try_from(error).unwrap_or(u8::MAX)]);
            return i32::from(said.is_err());
        }
    };
    if system::write(STDOUT, b"+").is_err() {
        return 1;
    }
    i32::from(pass_on(socket).is_err())
}

fn number(text: &[u8]) -> Option<u16> {
    let digit = |number: u16, byte: &u8| {
        byte.is_ascii_digit().then(|| number.checked_mul(10)?.checked_add(u16::from(byte - b'0')))?
    };
    text.iter().try_fold(0, digit)
}

/// By the older of the two protocols or else by the newer one; the error is the older one's.
fn connect(port: u16) -> Result<i32, i32> {
    // `struct sockaddr_in` with 127.0.0.1, and `struct sockaddr_in6` with ::1.
    let (mut older, mut newer) = ([0; 16], [0; 28]);
    for (family, address) in [(AF_INET, &mut older[..]), (AF_INET6, &mut newer[..])] {
        address[..2].copy_from_slice(&family.to_ne_bytes());
        address[2..4].copy_from_slice(&port.to_be_bytes());
    }
    older[4..8].copy_from_slice(&[127, 0, 0, 1]);
    newer[23] = 1;
    connect_to(AF_INET, &older).or_else(|error| connect_to(AF_INET6, &newer).map_err(|_| error))
}

fn connect_to(family: u16, address: &[u8]) -> Result<i32, i32> {
    let socket = system::socket(family)?;
    match system::connect(socket, address) {
        Ok(()) => return Ok(socket),
        Err(EINPROGRESS) => {}
        Err(error) => return Err(error),
    }
    let mut watched = [Watched { descriptor: socket, events: WRITABLE, happened: 0 }];
    if !system::wait(&mut watched, Some(PATIENCE_S)) {
        return Err(ETIMEDOUT);
    }
    match system::error_of(socket)? {
        0 => Ok(socket),
        error => Err(error),
    }
}

/// Until one of the two has no more to say, or neither says anything.
fn pass_on(socket: i32) -> Result<(), i32> {
    let mut bytes = [0; 4096];
    let mut watched = [STDIN, socket].map(|descriptor| Watched { descriptor, events: READABLE, happened: 0 });
    while system::wait(&mut watched, Some(PATIENCE_S)) {
        for (from, to) in [(0, socket), (1, STDOUT)] {
            if watched[from].happened == 0 {
                continue;
            }
            let count = system::read(watched[from].descriptor, &mut bytes)?;
            if count == 0 {
                return Ok(());
            }
            system::write(to, bytes.get(..count).unwrap_or_default())?;
        }
    }
    Ok(())
}
