//! What can go wrong with an engine, as opposed to a step.

use std::io;
use std::path::PathBuf;

use bollard::errors::Error as ClientError;

use crate::ExecuteError;
use crate::attempt::chain;

/// Why an engine cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// A `DOCKER_HOST` that is no Unix socket.
    #[error(
        "DOCKER_HOST is {text}: Cullet speaks to engines at Unix sockets only, such as unix:///var/run/docker.sock"
    )]
    Address {
        /// What it is.
        text: String,
    },
    /// Nobody listens there.
    #[error("no Docker engine listens at {}: start it, or name its socket with DOCKER_HOST=unix://PATH", .socket.display())]
    Absent {
        /// Where.
        socket: PathBuf,
    },
    /// The socket is not for this user.
    #[error(
        "the Docker engine at {} does not let this user in: the group of the socket (docker) may talk to it, which makes \
         whoever is in that group as mighty as root", .socket.display()
    )]
    Denied {
        /// Which.
        socket: PathBuf,
    },
    /// It takes too long.
    #[error("the Docker engine at {} did not answer within {seconds} s when it was to {action}", .socket.display())]
    Silent {
        /// Which.
        socket: PathBuf,
        /// How long it was waited for.
        seconds: u64,
        /// What was asked for.
        action: String,
    },
    /// It speaks only an older API.
    #[error("the Docker engine at {} speaks API {found}, and {needed} is needed (Docker 20.10)", .socket.display())]
    Old {
        /// Which.
        socket: PathBuf,
        /// What it speaks.
        found: String,
        /// What is needed.
        needed: &'static str,
    },
    /// It answered with an error, or went away.
    #[error("the Docker engine at {} could not {action}: {said}", .socket.display())]
    Failed {
        /// Which.
        socket: PathBuf,
        /// What was asked for.
        action: String,
        /// The status of its answer, if there was one.
        status: Option<u16>,
        /// What it said, in its words.
        said: String,
    },
}

impl EngineError {
    /// Whether it answered that what was named is not there.
    pub(super) fn is_absent(&self) -> bool {
        matches!(self, Self::Failed { status: Some(404), .. })
    }

    /// Whether it did not take what it was asked for.
    pub(super) fn is_refused(&self) -> bool {
        matches!(self, Self::Failed { status: Some(400), .. })
    }
}

/// An error of the client and what caused it, in one line.
pub(super) fn said(error: &ClientError) -> String {
    if let ClientError::DockerResponseServerError { message, .. } = error {
        return message.trim_end().to_owned();
    }
    chain(error)
}

impl From<EngineError> for ExecuteError {
    fn from(error: EngineError) -> Self {
        let action = "run it in a container".to_owned();
        Self::Setup { action, source: io::Error::other(error) }
    }
}
