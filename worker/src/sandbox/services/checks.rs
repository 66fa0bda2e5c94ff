//! Finding out whether a service is ready.

use std::io::{self, Read, Write as _};
use std::net::TcpStream;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

use cullet_cache::services::Check;
use cullet_secrets::Masker;
use nix::poll::{PollFd, PollFlags, poll};

use super::super::frame::{recv_packet, send_packet};
use super::super::protocol::{Ending, Order};
use super::super::runner::{Ground, step_socket};
use super::network;
use crate::pump::Pump;
use crate::services::said::Said;
use crate::services::{ONE_CHECK, http};

/// A service that is asked whether it is ready.
pub(super) struct Probe {
    /// Without one, it is ready as soon as its program was started.
    pub(super) check: Option<Check>,
    pub(super) name: String,
    pub(super) ground: Arc<Ground>,
    /// To its first process.
    pub(super) channel: OwnedFd,
    /// What is not to be quoted of a check.
    pub(super) masker: Arc<Masker>,
}

impl Probe {
    /// Asks once, at most until then. Blocks; the error is a clause that says what is wrong.
    pub(super) fn ask(&self, until: Instant) -> Result<(), String> {
        let until = until.min(Instant::now() + ONE_CHECK);
        match &self.check {
            None | Some(Check::Exec { .. }) => self.program(until),
            Some(Check::Tcp { port }) => self.connect(*port, until).map(drop),
            Some(Check::Http { port, path, status }) => {
                let answered = self.connect(*port, until).and_then(|stream| {
                    let host = format!("{}:{port}", self.name);
                    get(stream, &host, path, until)
                        .map_err(|error| format!("http://{host}{path} does not answer: {error}"))
                });
                http::verdict(answered?, *status, *port, path)
            }
        }
    }

    fn connect(&self, port: u16, until: Instant) -> Result<TcpStream, String> {
        let network = self.ground.network.as_ref();
        let connected =
            network.map_or(Err(io::ErrorKind::NotConnected.into()), |network| network.connect(port, until));
        connected.map_err(|error| match error.kind() {
            io::ErrorKind::ConnectionRefused => format!("nothing listens at port {port}"),
            _ => format!("port {port} cannot be connected to: {error}"),
        })
    }

    fn program(&self, until: Instant) -> Result<(), String> {
        let cannot = |error: io::Error| format!("its check cannot be run: {error}");
        let (mut pump, output, _) = Pump::new().map_err(cannot)?;
        let (answer, theirs) = step_socket().map_err(cannot)?;
        send_packet(self.channel.as_fd(), &Order::Check, &[theirs.as_fd(), output.as_fd()])
            .map_err(cannot)?;
        drop((theirs, output));
        let mut said = Said::masked(Arc::clone(&self.masker));
        loop {
            let left = until.saturating_duration_since(Instant::now());
            let mut watched = vec![PollFd::new(answer.as_fd(), PollFlags::POLLIN)];
            watched.extend(pump.open_ends().map(|end| PollFd::new(end, PollFlags::POLLIN)));
            let ready = poll(&mut watched, network::timeout(left));
            let answered = watched[0].revents().is_some_and(|events| !events.is_empty());
            pump.read(&mut said).map_err(cannot)?;
            if answered {
                let ending = recv_packet::<Ending>(answer.as_fd()).ok().flatten();
                let _ = pump.drain(&mut said);
                return said.verdict(ending.map(|(ending, _)| ending));
            }
            if ready == Ok(0) && left.is_zero() {
                return Err(format!("its check takes too long{}", said.told()));
            }
        }
    }
}

/// The status that a server answers a GET with.
fn get(mut stream: TcpStream, host: &str, path: &str, until: Instant) -> io::Result<u16> {
    let left =
        |until: Instant| Some(until.saturating_duration_since(Instant::now()).max(Duration::from_millis(1)));
    stream.set_write_timeout(left(until))?;
    stream.write_all(http::request(host, path).as_bytes())?;
    let mut line = Vec::new();
    let mut byte = [0_u8; 256];
    while !http::is_enough(&line) {
        if Instant::now() >= until {
            return Err(io::ErrorKind::TimedOut.into());
        }
        stream.set_read_timeout(left(until))?;
        match stream.read(&mut byte) {
            Ok(0) => break,
            Ok(count) => line.extend_from_slice(&byte[..count]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                return Err(io::ErrorKind::TimedOut.into());
            }
            Err(error) => return Err(error),
        }
    }
    http::status(&line).ok_or_else(|| io::Error::other("this is no HTTP"))
}

#[cfg(test)]
mod tests {

    use super::*;

    #[test]
    fn a_server_that_says_nothing_is_given_up() {
        let server = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let stream = TcpStream::connect(server.local_addr().unwrap()).unwrap();
        let until = Instant::now() + Duration::from_millis(50);
        assert_eq!(get(stream, "a", "/", until).unwrap_err().kind(), io::ErrorKind::TimedOut);
    }
}
