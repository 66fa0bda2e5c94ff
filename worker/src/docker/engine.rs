//! An engine that answers.

use std::collections::HashMap;
use std::future::Future;
use std::io;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use bollard::errors::Error as ClientError;
use bollard::query_parameters::{ListContainersOptionsBuilder, RemoveContainerOptionsBuilder};
use bollard::{API_DEFAULT_VERSION, ClientVersion, Docker};

use super::account::Account;
use super::error::said;
use super::owner::{Found, PROCESS, Process};
use super::root::DirectoryOwner;
use super::{Address, EngineError, root};
use crate::StepLimits;

/// How long an answer is waited for that takes the engine no work: a busy disk makes it slow, not dead.
pub(super) const PATIENCE: Duration = Duration::from_secs(60);
/// For answers that come after gigabytes were sent or unpacked.
pub(super) const LONG_PATIENCE: Duration = Duration::from_secs(30 * 60);
/// How long an engine may take to say that it is there, before there is none.
const GREETING: Duration = Duration::from_secs(10);

/// The oldest API that has everything: that of Docker 20.10.
const NEEDED: ClientVersion = ClientVersion { major_version: 1, minor_version: 41 };
const NEEDED_TEXT: &str = "1.41";

/// A Docker engine. Clones are the same one.
#[derive(Debug, Clone)]
pub struct Engine {
    pub(super) shared: Arc<Shared>,
}

#[derive(Debug)]
pub(super) struct Shared {
    client: Docker,
    address: Address,
    facts: Facts,
    pub(super) process: Process,
    /// Users of images, which nobody can know without a look at their files.
    pub(super) accounts: Mutex<HashMap<(String, String), Account>>,
    /// Where they are noted for the next process, by image and user.
    pub(super) notes: OnceLock<PathBuf>,
    /// Directories of images, by their paths, for the same reason.
    pub(super) directories: Mutex<HashMap<(String, String), Option<DirectoryOwner>>>,
    /// Whether it was seen that the engine does not see this machine's files.
    pub(super) apart: AtomicBool,
}

/// What an engine says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// Such as `20.10.24`.
    pub version: String,
    /// Such as `1.41`.
    pub api: String,
    /// The architecture of its machine, such as `x86_64`.
    pub machine: String,
    /// How many processors its machine has.
    pub processors: u32,
    /// Whether it can limit memory.
    limits_memory: bool,
    /// Whether it can limit processor time.
    limits_cpu: bool,
    /// Whether it can limit processes.
    limits_processes: bool,
    /// How it keeps layers.
    driver: String,
    /// Whether users of containers are others outside.
    maps_users: bool,
    /// How many containers of processes that are gone were removed.
    pub removed: usize,
}

impl Facts {
    /// How many processors there are to have parts of; none where it cannot limit their time.
    pub(super) fn divisible_processors(&self) -> Option<u32> {
        self.limits_cpu.then_some(self.processors)
    }
}

impl Engine {
    /// Finds out whether an engine answers there, and removes what processes that are gone left in it. Blocks, for at most
    /// some ten seconds.
    ///
    /// # Errors
    /// None does, or none that is any use.
    pub fn find(address: &Address) -> Result<Self, EngineError> {
        knock(address)?;
        let process = Process::this();
        // Connections belong to the runtime that they are made in; this may be called in one, where blocking on another
        // is not allowed.
        let looked = std::thread::scope(|scope| {
            let thread = scope.spawn(|| {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
                let runtime =
                    runtime.map_err(|error| failed(address, "start a thread", None, error.to_string()))?;
                runtime.block_on(look(address, &process))
            });
            thread.join()
        });
        let (facts, version) = looked
            .map_err(|_| failed(address, "be looked at", None, "the look ended early".to_owned()))??;
        let client = client(address, &version)?;
        let (accounts, notes, directories, apart) = Default::default();
        let shared =
            Shared { client, address: address.clone(), facts, process, accounts, notes, directories, apart };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// Notes in a directory what is found out about images, which takes a container each. The first one counts.
    pub fn note_in(&self, dir: PathBuf) {
        let _ = self.shared.notes.set(dir);
    }

    /// What it says of itself.
    pub fn facts(&self) -> &Facts {
        &self.shared.facts
    }

    /// Where it listens.
    pub fn address(&self) -> &Address {
        &self.shared.address
    }

    /// Which of these limits it does not enforce.
    pub fn missing(&self, limits: &StepLimits) -> Vec<&'static str> {
        let facts = self.facts();
        let asked = [
            ("memory", limits.memory_bytes > 0, facts.limits_memory),
            ("cpu", limits.cpu_millis > 0, facts.limits_cpu),
            ("processes", limits.processes > 0, facts.limits_processes),
            ("disk", limits.disk_bytes > 0, false),
        ];
        asked.into_iter().filter(|(_, wanted, there)| *wanted && !there).map(|(name, ..)| name).collect()
    }

    /// Why it cannot keep what steps change of their roots; none where it can.
    pub(super) fn no_roots(&self) -> Option<String> {
        root::obstacle(&self.facts().driver, self.facts().maps_users)
    }

    /// For requests with an answer within [`PATIENCE`].
    pub(super) fn client(&self) -> &Docker {
        &self.shared.client
    }

    /// For requests that take long.
    pub(super) fn patient_client(&self) -> Docker {
        self.shared.client.clone().with_timeout(LONG_PATIENCE)
    }

    /// A request, and what was being done when it failed.
    pub(super) async fn ask<T>(
        &self,
        action: &str,
        request: impl Future<Output = Result<T, ClientError>>,
    ) -> Result<T, EngineError> {
        request.await.map_err(|error| self.error(action, &error))
    }

    /// A request of [`Self::patient_client`].
    pub(super) async fn ask_patiently<T>(
        &self,
        action: &str,
        request: impl Future<Output = Result<T, ClientError>>,
    ) -> Result<T, EngineError> {
        request.await.map_err(|error| match error {
            ClientError::RequestTimeoutError => silent(self.address(), action, LONG_PATIENCE),
            error => self.error(action, &error),
        })
    }

    pub(super) fn error(&self, action: &str, error: &ClientError) -> EngineError {
        told(&self.shared.address, action, error)
    }

    /// An engine that broke off, or another failure without a status.
    pub(super) fn broke_off(&self, action: &str, said: impl Into<String>) -> EngineError {
        failed(&self.shared.address, action, None, said.into())
    }

    pub(super) fn account(&self, key: &(String, String)) -> Option<Account> {
        self.shared.accounts.lock().unwrap_or_else(PoisonError::into_inner).get(key).cloned()
    }

    /// Whether the engine sees the files of this machine, as far as is known.
    pub(super) fn sees_files(&self) -> bool {
        !self.shared.apart.load(Ordering::Relaxed)
    }
}

/// Whether anybody is at home, and lets this user in.
fn knock(address: &Address) -> Result<(), EngineError> {
    let socket = address.path().to_owned();
    match UnixStream::connect(&socket) {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Err(EngineError::Denied { socket }),
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused) => {
            Err(EngineError::Absent { socket })
        }
        Err(error) => Err(failed(address, "be reached", None, error.to_string())),
    }
}

fn client(address: &Address, version: &ClientVersion) -> Result<Docker, EngineError> {
    Docker::connect_with_unix(&address.to_string(), PATIENCE.as_secs(), version)
        .map_err(|error| told(address, "be reached", &error))
}

async fn look(address: &Address, process: &Process) -> Result<(Facts, ClientVersion), EngineError> {
    let silent = |_| silent(address, "say what it is", GREETING);
    let (mut facts, version) = tokio::time::timeout(GREETING, introduce(address)).await.map_err(silent)??;
    let client = client(address, &version)?;
    let removing = remove_left_over(&client, process, &mut facts.removed);
    // What stays is for the next one.
    match tokio::time::timeout(PATIENCE, removing).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::debug!(%error, "what was left over in the Docker engine is not known"),
        Err(_) => tracing::debug!("what was left over in the Docker engine is not removed in time"),
    }
    Ok((facts, version))
}

async fn introduce(address: &Address) -> Result<(Facts, ClientVersion), EngineError> {
    let ask = |error| told(address, "say what it is", &error);
    let client = Docker::connect_with_unix(&address.to_string(), PATIENCE.as_secs(), API_DEFAULT_VERSION);
    let client = client.map_err(ask)?.negotiate_version().await.map_err(ask)?;
    let version = client.client_version();
    if version < NEEDED {
        let (socket, found) = (address.path().to_owned(), version.to_string());
        return Err(EngineError::Old { socket, found, needed: NEEDED_TEXT });
    }
    let info = client.info().await.map_err(ask)?;
    let facts = Facts {
        version: info.server_version.unwrap_or_default(),
        api: version.to_string(),
        machine: info.architecture.unwrap_or_default(),
        processors: info.ncpu.and_then(|count| u32::try_from(count).ok()).unwrap_or(1).max(1),
        limits_memory: info.memory_limit.unwrap_or_default(),
        limits_cpu: info.cpu_cfs_quota.unwrap_or_default(),
        limits_processes: info.pids_limit.unwrap_or_default(),
        driver: info.driver.unwrap_or_default(),
        maps_users: info.security_options.unwrap_or_default().iter().any(|option| option == "name=userns"),
        removed: 0,
    };
    Ok((facts, version))
}

/// Removes containers whose processes are gone, and counts them.
async fn remove_left_over(
    client: &Docker,
    process: &Process,
    removed: &mut usize,
) -> Result<(), ClientError> {
    let filters: HashMap<String, Vec<String>> = [("label".to_owned(), vec![PROCESS.to_owned()])].into();
    let options = ListContainersOptionsBuilder::default().all(true).filters(&filters).build();
    for container in client.list_containers(Some(options)).await? {
        let (Some(id), Some(labels)) = (&container.id, &container.labels) else { continue };
        let is_running = container.state.is_some_and(|state| state.to_string() == "running");
        let found = Found { labels, is_running, created_s: container.created.unwrap_or_default() };
        if process.may_remove(found, Process::life) {
            let options = RemoveContainerOptionsBuilder::default().force(true).v(true).build();
            match client.remove_container(id, Some(options)).await {
                Ok(()) => *removed += 1,
                // Others may be removing it, too.
                Err(error) => tracing::debug!(id, %error, "a container that was left over is not removed"),
            }
        }
    }
    Ok(())
}

fn silent(address: &Address, action: &str, patience: Duration) -> EngineError {
    let (socket, action) = (address.path().to_owned(), action.to_owned());
    EngineError::Silent { socket, seconds: patience.as_secs(), action }
}

fn failed(address: &Address, action: &str, status: Option<u16>, said: String) -> EngineError {
    EngineError::Failed { socket: address.path().to_owned(), action: action.to_owned(), status, said }
}

fn told(address: &Address, action: &str, error: &ClientError) -> EngineError {
    match error {
        ClientError::RequestTimeoutError => silent(address, action, PATIENCE),
        ClientError::DockerResponseServerError { status_code, .. } => {
            failed(address, action, Some(*status_code), said(error))
        }
        _ => failed(address, action, None, said(error)),
    }
}
