//! Where an engine listens.

use std::fmt;
use std::path::{Path, PathBuf};

use super::EngineError;

/// The socket of a Docker engine on this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address(PathBuf);

/// Where Docker's packages have it.
const USUAL: &str = "/var/run/docker.sock";

impl Address {
    /// Reads a `DOCKER_HOST`; without one, the usual place is meant.
    ///
    /// # Errors
    /// It is no Unix socket: other ways to an engine are not spoken.
    pub fn of(docker_host: Option<&str>) -> Result<Self, EngineError> {
        let Some(text) = docker_host.filter(|text| !text.is_empty()) else {
            return Ok(Self(PathBuf::from(USUAL)));
        };
        match text.strip_prefix("unix://") {
            Some(path) if path.starts_with('/') => Ok(Self(PathBuf::from(path))),
            _ => Err(EngineError::Address { text: text.to_owned() }),
        }
    }

    /// The socket.
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "unix://{}", self.0.display())
    }
}

#[test]
fn only_sockets_are_addresses() {
    let shown = |host: Option<&str>| Address::of(host).map(|address| address.to_string());
    assert_eq!(shown(None).unwrap(), "unix:///var/run/docker.sock");
    assert_eq!(shown(Some("")).unwrap(), "unix:///var/run/docker.sock");
    assert_eq!(shown(Some("unix:///run/x.sock")).unwrap(), "unix:///run/x.sock");
    for other in ["tcp://127.0.0.1:2375", "ssh://host", "unix://relative", "/run/x.sock"] {
        assert!(matches!(shown(Some(other)), Err(EngineError::Address { text }) if text == other));
    }
}
