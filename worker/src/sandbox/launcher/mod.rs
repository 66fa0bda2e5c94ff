//! The launcher: a small single-threaded process between cullet and its steps.
//!
//! A process with threads must not run ordinary code after fork, and forking one with a large heap is slow.
//! So cullet starts itself once more with a hidden argument; that process prepares what all steps share (its
//! right to mount, the view of the machine's root) and forks once per step.

mod caches;
mod checks;
mod confine;
mod dev;
mod etc;
mod filter;
mod footing;
mod image;
mod init;
mod mounts;
mod network;
mod own_program;
mod plain;
mod privileges;
mod proc;
mod program;
mod running;
mod secrets;
mod step_root;
mod sys;
mod taken;
mod trials;
mod view;
mod visit;

use std::os::fd::{AsFd, FromRawFd, OwnedFd};
use std::os::unix::net::UnixStream;

use nix::sched::{CloneFlags, unshare};
use nix::sys::signal::{SigHandler, Signal, signal};
use nix::sys::stat;
use nix::sys::wait::waitpid;
use nix::unistd::{Pid, setsid};
use seccompiler::BpfProgram;

pub(crate) use self::etc::FILES as ETC_FILES;
use self::footing::Standing;
pub(crate) use self::image::{Account, Wanted};
use self::init::StepFds;
use self::proc::Masks;
pub(super) use self::sys::{Cloned, clone_process, exit_now, loopback_up};
use self::view::View;
use super::config::ViewConfig;
use super::fault::{During, Fault};
use super::frame::{recv_frame, send_frame, send_packet};
use super::protocol::{Footing, Mode, Request, StepReport, StepRequest, Welcome};

/// How this launcher runs steps.
enum Launcher {
    Sandbox(Box<Prepared>),
    Plain,
}

/// What the launcher prepared for all sandboxed steps.
struct Prepared {
    standing: Standing,
    config: ViewConfig,
    view: View,
    own_proc: bool,
    masks: Masks,
    filter: BpfProgram,
    /// A pidfd of the launcher: its steps cannot see their parent's number.
    alive: OwnedFd,
}

/// The whole life of the launcher process. Its standard input is the socket to cullet; it ends with that.
///
/// To be called first thing in `main`, before any thread exists.
pub fn launcher_main() -> ! {
    let code = match serve() {
        Ok(()) => 0,
        Err(_) => 1,
    };
    sys::exit_now(code)
}

fn serve() -> Result<(), Fault> {
    let apart = own_program::set_apart();
    // Ctrl-C in a terminal reaches the whole process group; ending steps is cullet's decision.
    let _ = setsid();
    // Started through /proc/self/exe, it would be called `exe` in every list of processes.
    let _ = sys::set_name(c"cullet-launcher");
    stat::umask(stat::Mode::from_bits_truncate(0o022));
    sys::leave_keyring();
    let stream = take_socket()?;
    let Some((mode, _)) = recv_frame::<Mode>(&stream).during("read the greeting")? else {
        return Ok(());
    };
    let prepared = match mode {
        Mode::Sandbox(config) => {
            apart.and_then(|()| Prepared::new(config)).map(Box::new).map(Launcher::Sandbox)
        }
        Mode::Plain => Ok(Launcher::Plain),
        Mode::Trials(grounds) => {
            return send_frame(&stream, &Welcome::Tried(trials::all(&grounds)), &[]).during("answer");
        }
    };
    let launcher = match prepared {
        Ok(launcher) => launcher,
        Err(fault) => return send_frame(&stream, &Welcome::Refused(fault), &[]).during("answer"),
    };
    send_frame(&stream, &Welcome::Ready(launcher.footing()), &[]).during("answer")?;
    // Steps' first processes report on their own sockets, so nobody waits for them: the kernel buries them.
    // SAFETY: ignoring a signal runs no code of ours.
    unsafe { signal(Signal::SIGCHLD, SigHandler::SigIgn) }.during("ignore SIGCHLD")?;
    loop {
        match recv_frame::<Request>(&stream) {
            Ok(Some((Request::Step(request), fds))) => launcher.start(*request, fds),
            Ok(Some((Request::Network, fds))) => network::hold(launcher.alive(), fds),
            Ok(None) => return Ok(()),
            // Its descriptors are closed, which ends that step for cullet; the others go on.
            Err(error) if error.kind() == std::io::ErrorKind::InvalidData => {}
            Err(error) => return Err(error).during("read a request"),
        }
    }
}

/// Moves the socket away from standard input, so that steps cannot inherit it by number.
fn take_socket() -> Result<UnixStream, Fault> {
    // SAFETY: descriptor 0 is the socket that cullet passed; nothing else in this process knows it.
    let stdin = unsafe { OwnedFd::from_raw_fd(0) };
    let stream = stdin.try_clone().during("keep the socket")?;
    let null = std::fs::File::open("/dev/null").during("open /dev/null")?;
    sys::duplicate_to(null.as_fd(), 0).during("replace standard input")?;
    let _now_null = std::os::fd::IntoRawFd::into_raw_fd(stdin);
    Ok(UnixStream::from(stream))
}

impl Prepared {
    fn new(config: ViewConfig) -> Result<Self, Fault> {
        let standing = footing::enter(config.sub_ids.as_ref())?;
        secrets::forbid_cores()?;
        let view = view::build(&config, standing)?;
        let own_proc = proc_is_allowed(&view)?;
        let alive = sys::own_pidfd().during("watch the launcher")?;
        let masks = Masks::new(&view.stage)?;
        let filter = filter::compile()?;
        // Values of secrets come by here. All that needs a `/proc/self` of its own is done; steps have their own.
        sys::prctl(libc::PR_SET_DUMPABLE, 0, 0).during("hide the launcher")?;
        Ok(Self { standing, config, view, own_proc, masks, filter, alive })
    }
}

impl Launcher {
    fn footing(&self) -> Footing {
        match self {
            Self::Sandbox(prepared) => {
                let Prepared { standing, own_proc, .. } = &**prepared;
                let owned_layers = *standing == Standing::Root;
                let ranged = standing.has_range();
                Footing { owner: standing.owner(), own_proc: *own_proc, owned_layers, ranged }
            }
            Self::Plain => Footing { owner: None, own_proc: false, owned_layers: false, ranged: false },
        }
    }

    /// The pidfd that a step's first process looks at once.
    fn alive(&self) -> Option<&OwnedFd> {
        match self {
            Self::Sandbox(prepared) => Some(&prepared.alive),
            Self::Plain => None,
        }
    }

    fn namespaces(&self) -> libc::c_int {
        match self {
            Self::Sandbox(_) => libc::CLONE_NEWPID,
            Self::Plain => 0,
        }
    }

    /// Starts one step. What goes wrong is told to the step's socket.
    fn start(&self, request: StepRequest, fds: Vec<OwnedFd>) {
        let mut fds = fds.into_iter();
        let (Some(stdout), Some(stderr), Some(channel)) = (fds.next(), fds.next(), fds.next()) else {
            // Too few descriptors were free to receive them. They are closed here, which ends the step for
            // cullet, too; other steps go on.
            return;
        };
        let network = if request.company.joins { fds.next() } else { None };
        let entrances: Vec<OwnedFd> = fds.collect();
        if entrances.len() < request.groups || network.is_some() != request.company.joins {
            return;
        }
        match sys::clone_process(self.namespaces()) {
            Ok(Cloned::Child) => {
                let fds = StepFds { stdout, stderr, channel, network, entrances };
                init::main(self, request, fds)
            }
            Ok(Cloned::Parent(pidfd, pid)) => {
                // Cullet may have given up already; then its end is closed and the step ends by itself.
                let _ = send_packet(channel.as_fd(), &StepReport::Started { pid }, &[pidfd.as_fd()]);
            }
            Err(error) => {
                let errno = error.raw_os_error().unwrap_or(libc::EIO);
                let fault = Fault::new("create the step's first process", errno);
                let _ = send_packet(channel.as_fd(), &StepReport::Failed(fault), &[]);
            }
        }
    }
}

/// Tries whether a new pid namespace may have its own /proc. Containers often mask parts of theirs, and then
/// the kernel refuses a new one that would show them.
fn proc_is_allowed(view: &View) -> Result<bool, Fault> {
    match sys::clone_process(libc::CLONE_NEWPID).during("create a pid namespace")? {
        Cloned::Child => {
            let mounted = unshare(CloneFlags::CLONE_NEWNS)
                .during("create a mount namespace")
                .and_then(|()| proc::mount(&view.root, true));
            sys::exit_now(i32::from(mounted.is_err()))
        }
        Cloned::Parent(_, pid) => {
            let ended = waitpid(Pid::from_raw(pid), None).during("wait for a trial")?;
            Ok(matches!(ended, nix::sys::wait::WaitStatus::Exited(_, 0)))
        }
    }
}
