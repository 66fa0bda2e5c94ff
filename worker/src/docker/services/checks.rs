//! Finding out whether a service is ready. Its network is its own, so that whoever asks has to be in there as well: a program
//! in the holder connects, and passes on what is said.

use std::io;
use std::sync::Arc;
use std::time::Instant;

use bollard::container::LogOutput;
use cullet_cache::services::Check;
use cullet_secrets::Masker;
use futures_util::StreamExt as _;
use tokio::io::AsyncWriteExt as _;

use super::super::exec::{Exec, Seating};
use super::super::{EngineError, helper};
use super::Ground;
use crate::sandbox::protocol::Ending;
use crate::services::said::Said;
use crate::services::told;
use crate::services::{ONE_CHECK, http};
use crate::{LogSink as _, Stream};

/// A service that is asked whether it is ready.
pub(super) struct Probe {
    /// Without one, it is ready as soon as its container was started.
    pub(super) check: Option<Check>,
    pub(super) name: String,
    pub(super) ground: Arc<Ground>,
    pub(super) container: String,
    pub(super) masker: Arc<Masker>,
}

/// Why nothing was heard of a port.
enum Deaf {
    /// The port is to blame.
    Port(io::Error),
    Engine(EngineError),
}

impl Probe {
    /// Asks once, at most until then. The error is a clause that says what is wrong.
    pub(super) async fn ask(&self, until: Instant) -> Result<(), String> {
        let until = until.min(Instant::now() + ONE_CHECK).into();
        match &self.check {
            None => Ok(()),
            Some(Check::Exec { command }) => {
                let mut said = Said::masked(Arc::clone(&self.masker));
                let asked = tokio::time::timeout_at(until, self.program(command, &mut said)).await;
                asked.unwrap_or_else(|_| Err(format!("its check takes too long{}", said.told())))
            }
            Some(Check::Tcp { port }) => {
                let asked = tokio::time::timeout_at(until, self.connect(*port)).await;
                asked.unwrap_or_else(|_| Err(Deaf::late())).map(drop).map_err(|deaf| deaf.told(*port))
            }
            Some(Check::Http { port, path, status }) => {
                let host = format!("{}:{port}", self.name);
                let asked = tokio::time::timeout_at(until, async {
                    let connection = self.connect(*port).await.map_err(|deaf| deaf.told(*port))?;
                    let answered = self.get(connection, &host, path).await;
                    answered.map_err(|error| silent(&host, path, &error))
                });
                let late = |_| Err(silent(&host, path, &io::ErrorKind::TimedOut.into()));
                http::verdict(asked.await.unwrap_or_else(late)?, *status, *port, path)
            }
        }
    }

    async fn program(&self, command: &[String], said: &mut Said) -> Result<(), String> {
        let cannot = |error: EngineError| format!("its check cannot be run: {error}");
        let running = self.ground.engine.exec(&self.container, command, Seating::Nowhere).await;
        let mut running = running.map_err(cannot)?;
        // As everywhere: nobody says anything to it.
        let _ = running.input.shutdown().await;
        while let Some(Ok(piece)) = running.output.next().await {
            let stream = match piece {
                LogOutput::StdErr { .. } => Stream::Stderr,
                _ => Stream::Stdout,
            };
            said.write(stream, &piece.into_bytes());
        }
        match running.program.exit_code().await.map_err(cannot)? {
            0 => Ok(()),
            code => Err(format!("its check {}{}", told::ended(Ending::Code(code)), said.told())),
        }
    }

    /// What is connected to a port of the network.
    async fn connect(&self, port: u16) -> Result<Connection, Deaf> {
        let command = [helper::PATH, "connect", &port.to_string()].map(str::to_owned);
        let Ground { engine, holder, .. } = &*self.ground;
        let running = engine.exec(holder, &command, Seating::Nowhere).await.map_err(Deaf::Engine)?;
        let mut connection = Connection { running, read: Vec::new() };
        loop {
            match *connection.read {
                [b'+', ..] => {
                    connection.read.remove(0);
                    return Ok(connection);
                }
                [b'-', error, ..] => return Err(Deaf::Port(io::Error::from_raw_os_error(error.into()))),
                [] | [b'-'] => {}
                _ => return Err(connection.odd(&self.ground)),
            }
            match connection.more().await {
                Ok(true) => {}
                Ok(false) | Err(_) => return Err(connection.odd(&self.ground)),
            }
        }
    }

    /// The status that a server answers a GET with.
    async fn get(&self, mut connection: Connection, host: &str, path: &str) -> io::Result<u16> {
        let request = http::request(host, path);
        connection.running.input.write_all(request.as_bytes()).await?;
        connection.running.input.flush().await?;
        while !http::is_enough(&connection.read) && connection.more().await? {}
        http::status(&connection.read).ok_or_else(|| io::Error::other("this is no HTTP"))
    }
}

/// A program in the holder that is connected to a port, and what it has read.
struct Connection {
    running: Exec,
    read: Vec<u8>,
}

impl Connection {
    /// Reads on; false at the end.
    async fn more(&mut self) -> io::Result<bool> {
        match self.running.output.next().await {
            Some(Ok(LogOutput::StdOut { message })) => self.read.extend_from_slice(&message),
            Some(Ok(_)) => {}
            Some(Err(error)) => return Err(io::Error::other(super::super::error::said(&error))),
            None => return Ok(false),
        }
        Ok(true)
    }

    /// It was not the program that was asked.
    fn odd(&self, ground: &Ground) -> Deaf {
        let said = String::from_utf8_lossy(&self.read).trim().to_owned();
        let said = if said.is_empty() { "it ended at once".to_owned() } else { said };
        Deaf::Engine(ground.engine.broke_off("connect to a service", said))
    }
}

impl Deaf {
    fn late() -> Self {
        Self::Port(io::ErrorKind::TimedOut.into())
    }

    fn told(&self, port: u16) -> String {
        match self {
            Self::Port(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
                format!("nothing listens at port {port}")
            }
            Self::Port(error) => format!("port {port} cannot be connected to: {error}"),
            Self::Engine(error) => format!("port {port} cannot be connected to: {error}"),
        }
    }
}

fn silent(host: &str, path: &str, error: &io::Error) -> String {
    format!("http://{host}{path} does not answer: {error}")
}
