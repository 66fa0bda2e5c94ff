//! Finding out whether a service is ready.

use std::io::{self, Read, Write as _};
use std::net::TcpStream;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

use cullet_cache::services::Check;
use cullet_secrets::{MaskedStream, Masker};
use nix::poll::{PollFd, PollFlags, poll};

use super::super::frame::{recv_packet, send_packet};
use super::super::protocol::{Ending, Order};
use super::super::runner::{Ground, step_socket};
use super::network;
use super::told::{self, LastLines};
use crate::pump::Pump;
use crate::{LogSink, Stream};

/// How long one check may take. One that hangs must not be the last: the service may answer the next.
pub(super) const ONE_CHECK: Duration = Duration::from_secs(10);

/// The most that is read of an answer before its first line has to end.
const STATUS_LINE_BYTES: u64 = 4 << 10;

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
                match (answered?, status) {
                    (found, Some(wanted)) if found == *wanted => Ok(()),
                    (200..=399, None) => Ok(()),
                    (found, _) => Err(format!("port {port} answers {found} to a GET of {path}")),
                }
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

/// What a check prints. Values are masked before its lines are cut, and before those of its two outputs meet.
struct Said {
    last: LastLines,
    masked: [MaskedStream; 2],
    masker: Arc<Masker>,
}

impl LogSink for Said {
    fn write(&mut self, stream: Stream, bytes: &[u8]) {
        let masked = &mut self.masked[usize::from(stream == Stream::Stderr)];
        masked.feed(&self.masker, bytes, &mut |bytes| self.last.add(bytes));
    }
}

impl Said {
    fn masked(masker: Arc<Masker>) -> Self {
        Self { last: LastLines::default(), masked: Default::default(), masker }
    }

    fn verdict(mut self, ending: Option<Ending>) -> Result<(), String> {
        match ending {
            Some(Ending::Code(0)) => Ok(()),
            Some(ending) => Err(format!("its check {}{}", told::ended(ending), self.told())),
            None => Err("its check was not run to its end".to_owned()),
        }
    }

    /// What it said last. It says no more.
    fn told(&mut self) -> String {
        for masked in &mut self.masked {
            masked.finish(&self.masker, &mut |bytes| self.last.add(bytes));
        }
        self.last.told("it")
    }
}

/// The status that a server answers a GET with. Source: RFC 9112, sections 3 and 4.
fn get(mut stream: TcpStream, host: &str, path: &str, until: Instant) -> io::Result<u16> {
    let left =
        |until: Instant| Some(until.saturating_duration_since(Instant::now()).max(Duration::from_millis(1)));
    stream.set_write_timeout(left(until))?;
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: cullet\r\nAccept: */*\r\nConnection: close\r\n\r\n"
    );
    stream.write_all(request.as_bytes())?;
    let mut line = Vec::new();
    let mut byte = [0_u8; 256];
    while !line.contains(&b'\n') && (line.len() as u64) < STATUS_LINE_BYTES {
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
    status(&line).ok_or_else(|| io::Error::other("this is no HTTP"))
}

fn status(line: &[u8]) -> Option<u16> {
    let line = line.split(|byte| *byte == b'\n').next()?;
    let (version, rest) = std::str::from_utf8(line).ok()?.trim_end().split_once(' ')?;
    let code = rest.get(..3).filter(|_| rest.len() == 3 || rest.as_bytes().get(3) == Some(&b' '))?;
    version.starts_with("HTTP/").then(|| code.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use cullet_secrets::SecretValue;

    use super::*;

    #[test]
    fn what_a_check_says_is_masked_before_it_is_cut() {
        let value = SecretValue::new(b"hunter22-0123".to_vec()).unwrap();
        let masker = Arc::new(Masker::new([&value]).unwrap());
        let said = |pieces: &[(Stream, &[u8])]| {
            let mut said = Said::masked(Arc::clone(&masker));
            pieces.iter().for_each(|(stream, bytes)| said.write(*stream, bytes));
            said.verdict(Some(Ending::Code(1))).unwrap_err()
        };
        let one = said(&[
            (Stream::Stdout, b"password hunter"),
            (Stream::Stderr, b"no\n"),
            (Stream::Stdout, b"22-0123"),
        ]);
        assert_eq!(one, "its check ended with exit code 1; it said: password no / ***");
        // Where the line is cut, and where the check ends.
        let long = format!("{}hunter22-0123\n", "x".repeat(196));
        let cut = said(&[(Stream::Stdout, long.as_bytes()), (Stream::Stderr, b"hunter22-01")]);
        assert!(cut.ends_with("xxx*** / ***") && !cut.contains("hun"), "{cut}");
    }

    #[test]
    fn reads_status_lines() {
        for (line, found) in [
            ("HTTP/1.1 200 OK\r\nServer: x\r\n", Some(200)),
            ("HTTP/1.0 503\r\n", Some(503)),
            ("", None),
            ("SSH-2.0-OpenSSH_9.2\r\n", None),
            ("HTTP/1.1 2000 OK\r\n", None),
            ("HTTP/1.1 abc OK\r\n", None),
        ] {
            assert_eq!(status(line.as_bytes()), found, "{line}");
        }
    }

    #[test]
    fn a_server_that_says_nothing_is_given_up() {
        let server = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let stream = TcpStream::connect(server.local_addr().unwrap()).unwrap();
        let until = Instant::now() + Duration::from_millis(50);
        assert_eq!(get(stream, "a", "/", until).unwrap_err().kind(), io::ErrorKind::TimedOut);
    }
}
