//! Hands steps to a launcher and follows them, in whatever way that launcher runs them.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use nix::sys::socket::{AddressFamily, SockFlag, SockType, socketpair};
use nix::unistd::{Gid, Uid, fchown};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;

use super::config::LauncherCommand;
use super::connection::Connection;
use super::descriptors::{raise_limit, room};
use super::disk::DiskWatch;
use super::protocol::{Footing, Mode, Request, StepRequest, Taken};
use super::services::Network;
use super::supervise::{Ended, Supervised, supervise};
use crate::cgroup::{Cgroups, Group, Seen};
use crate::pump::Pump;
use crate::stopping::{StopHandle, StopSignal, stop_signal};
use crate::{ExecuteError, Execution, Exit, Launch, LogSink, StepLimits, TerminalHost, Usage};

/// A launcher, started anew when it dies, and the room for steps.
#[derive(Debug)]
pub(crate) struct Runner {
    command: LauncherCommand,
    mode: Mode,
    grace: Duration,
    connection: RwLock<Arc<Connection>>,
    room: Arc<Semaphore>,
    /// How many places there are in all.
    places: usize,
    cgroups: Cgroups,
}

/// How long a step may run, with what, and who may look into it.
pub(crate) struct Bounds {
    timeout: Duration,
    pub(super) limits: StepLimits,
    host: Option<Arc<dyn TerminalHost>>,
}

impl Bounds {
    /// For what ends with the step.
    pub(super) fn of_service() -> Self {
        Self { timeout: Duration::MAX, limits: StepLimits::default(), host: None }
    }

    pub(crate) fn of(launch: &Launch) -> Self {
        let host = launch.visit.as_ref().map(|visit| Arc::clone(&visit.host));
        Self { timeout: launch.timeout, limits: launch.limits, host }
    }
}

/// What a step shares with its services: their room, their control group and their network.
#[derive(Debug)]
pub(crate) struct Ground {
    // Taken until the descriptors are closed, even when nobody waits for the step any more.
    _room: OwnedSemaphorePermit,
    limits: StepLimits,
    group: Option<Group>,
    pub(super) network: Option<Network>,
}

impl Ground {
    /// What the control group saw of all that ran.
    pub(super) fn seen(&self) -> Seen {
        self.group.as_ref().map(Group::seen).unwrap_or_default()
    }
}

/// A step that has ended, with what its control group saw.
pub(crate) struct Ran {
    pub(crate) ended: Ended,
    pub(crate) seen: Seen,
}

impl Ran {
    /// For whoever asked, with what is left in the workspace.
    pub(crate) fn execution(self, workspace: Vec<PathBuf>) -> Execution {
        let Self { ended: Ended { exit, started_at, duration, taken, out_of_disk, .. }, seen } = self;
        let peak_memory_bytes = if seen.peak_bytes > 0 { seen.peak_bytes } else { taken.peak_bytes };
        let Taken { cpu_ms, read_bytes, written_bytes, .. } = taken;
        let usage = Usage { cpu_ms, peak_memory_bytes, read_bytes, written_bytes };
        let out_of_memory = seen.killed;
        Execution {
            exit,
            started_at,
            duration,
            usage,
            out_of_memory,
            out_of_disk,
            workspace,
            root_upper: None,
            engine_upper: None,
            services: Vec::new(),
        }
    }
}

impl Runner {
    /// Starts the launcher. At most `max_in_flight` steps run at a time, fewer where open files are few.
    pub(crate) fn start(
        command: LauncherCommand,
        mode: Mode,
        grace: Duration,
        max_in_flight: usize,
    ) -> Result<Arc<Self>, ExecuteError> {
        let room = room(max_in_flight, raise_limit());
        // First: a launcher would be another process in this one's group.
        let cgroups = Cgroups::open();
        let connection = Connection::open(&command, &mode)?;
        Ok(Arc::new(Self {
            room: Arc::new(Semaphore::new(room)),
            places: room,
            cgroups,
            connection: RwLock::new(Arc::new(connection)),
            command,
            mode,
            grace,
        }))
    }

    pub(crate) fn footing(&self) -> Footing {
        self.connection().footing
    }

    pub(crate) fn launcher_pid(&self) -> u32 {
        self.connection().pid()
    }

    /// Where steps are limited.
    pub(crate) const fn cgroups(&self) -> &Cgroups {
        &self.cgroups
    }

    fn connection(&self) -> Arc<Connection> {
        Arc::clone(&self.connection.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// A launcher that runs: a killed one is replaced, its steps are lost.
    fn living_connection(&self) -> Result<Arc<Connection>, ExecuteError> {
        let current = self.connection();
        if current.is_alive() {
            return Ok(current);
        }
        let mut slot = self.connection.write().unwrap_or_else(PoisonError::into_inner);
        if !slot.is_alive() {
            *slot = Arc::new(Connection::open(&self.command, &self.mode)?);
        }
        Ok(Arc::clone(&slot))
    }

    /// Runs one step to its end. `prepare` is called with the room taken, just before the step starts, on the
    /// thread that then follows the step: all of this may block.
    pub(crate) async fn run(
        self: &Arc<Self>,
        prepare: impl FnOnce() -> Result<StepRequest, ExecuteError> + Send + 'static,
        bounds: Bounds,
        log: Box<dyn LogSink>,
        cancel: CancellationToken,
    ) -> Result<Ran, ExecuteError> {
        let room = self.room(1).await?;
        let (runner, limits) = (Arc::clone(self), bounds.limits);
        let ready = move || Ok((prepare()?, Arc::new(runner.ground(room, limits)?)));
        self.follow(ready, bounds, log, cancel).await
    }

    /// Runs one step to its end, on a thread that follows it. What comes first may block.
    pub(super) async fn follow(
        self: &Arc<Self>,
        ready: impl FnOnce() -> Result<(StepRequest, Arc<Ground>), ExecuteError> + Send + 'static,
        bounds: Bounds,
        mut log: Box<dyn LogSink>,
        cancel: CancellationToken,
    ) -> Result<Ran, ExecuteError> {
        let (handle, stop) = stop_signal().map_err(|source| setup("create a pipe", source))?;
        let (runner, is_held) = (Arc::clone(self), matches!(self.mode, Mode::Sandbox(_)));
        let follow = tokio::task::spawn_blocking(move || {
            let (request, ground) = ready()?;
            let drafts = request.caches.iter().map(|cache| cache.draft.clone()).collect();
            let disk = DiskWatch::new(&request.scratch, drafts, ground.limits.disk_bytes, is_held);
            let mut step = runner.begin(request, &ground, bounds, stop)?;
            step.disk = disk;
            // The executor's end ends its launcher, and must not wait for this step.
            drop(runner);
            let ended = supervise(step, log.as_mut());
            conclude(ended, ground.seen())
        });
        until_ended(follow, handle, cancel).await
    }

    /// Waits for so many places, or for all there are.
    pub(super) async fn room(&self, places: usize) -> Result<OwnedSemaphorePermit, ExecuteError> {
        let places = u32::try_from(places.min(self.places)).unwrap_or(u32::MAX);
        let room = Arc::clone(&self.room).acquire_many_owned(places).await;
        room.map_err(|_| setup("wait for room", io::ErrorKind::Other.into()))
    }

    /// With a control group, if there is something to limit. Blocks.
    pub(super) fn ground(
        &self,
        room: OwnedSemaphorePermit,
        limits: StepLimits,
    ) -> Result<Ground, ExecuteError> {
        let group = self.cgroups.group(&limits).map_err(|source| setup("make a control group", source))?;
        Ok(Ground { _room: room, limits, group, network: None })
    }

    /// A network for a step and its services. Blocks.
    pub(super) fn network(&self) -> Result<Network, ExecuteError> {
        let connection = self.living_connection()?;
        Network::make(|socket| connection.send(&Request::Network, &[socket]))
    }

    /// Hands a step, or a service of one, to the launcher.
    pub(super) fn begin(
        &self,
        mut request: StepRequest,
        ground: &Ground,
        Bounds { timeout, host, .. }: Bounds,
        stop: StopSignal,
    ) -> Result<Supervised, ExecuteError> {
        let entrances = ground.group.as_ref().map(Group::entrances).transpose();
        let entrances =
            entrances.map_err(|source| setup("open a control group", source))?.unwrap_or_default();
        (request.groups, request.processes) = (entrances.len(), ground.limits.processes);
        request.file_bytes = ground.limits.disk_bytes;
        let network = ground.network.as_ref().map(Network::namespace);
        request.company.joins = network.is_some();
        let (pump, stdout, stderr) =
            Pump::new().map_err(|source| setup("create the output pipes", source))?;
        let connection = self.living_connection()?;
        give(&stdout, connection.footing.owner)
            .and_then(|()| give(&stderr, connection.footing.owner))
            .map_err(|source| setup("hand over the output pipes", source))?;
        let (channel, theirs) = step_socket().map_err(|source| setup("create a socket", source))?;
        let mut fds = vec![stdout.as_fd(), stderr.as_fd(), theirs.as_fd()];
        fds.extend(network);
        fds.extend(entrances.iter().map(File::as_fd));
        connection
            .send(&Request::Step(Box::new(request)), &fds)
            .map_err(|source| setup("hand over to the launcher", source))?;
        Ok(Supervised {
            connection: Arc::downgrade(&connection),
            channel,
            pump,
            stop,
            timeout,
            host,
            grace: self.grace,
            disk: None,
            is_namespace: matches!(self.mode, Mode::Sandbox(_)),
        })
    }
}

/// Where the first process itself was killed, and others for want of memory, that is why.
pub(super) fn conclude(ended: Result<Ended, ExecuteError>, seen: Seen) -> Result<Ran, ExecuteError> {
    match ended {
        Ok(ended) => Ok(Ran { ended, seen }),
        Err(ExecuteError::Lost { started_at, duration }) if seen.killed > 0 => {
            Ok(Ran { ended: Ended::unseen(Exit::Signal(libc::SIGKILL), started_at, duration), seen })
        }
        Err(error) => Err(error),
    }
}

pub(crate) fn setup(action: &str, source: io::Error) -> ExecuteError {
    ExecuteError::Setup { action: action.to_owned(), source }
}

pub(super) fn step_socket() -> io::Result<(OwnedFd, OwnedFd)> {
    let ends = socketpair(AddressFamily::Unix, SockType::SeqPacket, None, SockFlag::SOCK_CLOEXEC)?;
    Ok(ends)
}

/// Makes a pipe the step's own, so that it can open it again by name, as `> /dev/stderr` does.
fn give(pipe: &OwnedFd, owner: Option<u32>) -> io::Result<()> {
    match owner {
        Some(owner) => Ok(fchown(pipe, Some(Uid::from_raw(owner)), Some(Gid::from_raw(owner)))?),
        None => Ok(()),
    }
}

/// Waits for the following thread, and passes a cancellation on to it. Being dropped stops the step, too: the
/// handle goes, and the thread takes that as a cancellation.
async fn until_ended(
    follow: tokio::task::JoinHandle<Result<Ran, ExecuteError>>,
    handle: StopHandle,
    cancel: CancellationToken,
) -> Result<Ran, ExecuteError> {
    tokio::pin!(follow);
    let joined = tokio::select! {
        joined = &mut follow => joined,
        () = cancel.cancelled() => {
            handle.raise();
            (&mut follow).await
        }
    };
    drop(handle);
    joined.map_err(|error| setup("follow the step", io::Error::other(error)))?
}
