//! From the step's first process to the step's own program.

use std::convert::Infallible;
use std::ffi::{CStr, CString};
use std::fs;
use std::io::Write;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::sys::stat::{Mode, umask};
use nix::unistd::{chdir, execve, setsid};
use zeroize::Zeroize as _;

use super::super::fault::Fault;
use super::super::protocol::StepRequest;
use super::init::World;
use super::secrets;
use super::step_root::c_string;
use super::{sys, visit};

/// What a shell answers for a program that is not there.
const NOT_FOUND: i32 = 127;
/// What a shell answers for a program that cannot be run.
const NOT_EXECUTABLE: i32 = 126;

/// The request in the form that exec takes, made before the fork.
pub(super) struct Program {
    name: String,
    candidates: Vec<CString>,
    arguments: Vec<CString>,
    env: Vec<CString>,
    directory: CString,
    /// In place of the outputs that this process has, and of no input.
    terminal: Option<OwnedFd>,
    /// The largest file that it may write; 0 for any.
    file_bytes: u64,
    /// Where an image says that its programs start, which need not be there.
    made: Option<PathBuf>,
}

impl Program {
    /// Prepares the request; the program is looked for in `PATH` of the step's environment.
    pub(super) fn new(request: &StepRequest, world: &World) -> Result<Self, Fault> {
        Self::of(request, &request.arguments, &request.env, world)
    }

    /// The same with other arguments and another environment.
    pub(super) fn of(
        request: &StepRequest,
        arguments: &[String],
        env: &[(String, String)],
        world: &World,
    ) -> Result<Self, Fault> {
        let directory = world.workspace.join(&request.working_directory);
        let made = Path::new(&request.working_directory).is_absolute().then(|| directory.clone());
        let name = arguments.first().cloned().unwrap_or_default();
        let exposed =
            |wanted: &str| request.secrets.iter().any(|secret| secret.in_env && secret.name == wanted);
        let pairs = env.iter().filter(|(name, _)| !exposed(name));
        let pairs = pairs.map(|(name, value)| format!("{name}={value}"));
        let has_home = exposed("HOME") || env.iter().any(|(name, _)| name == "HOME");
        let home = world.home.iter().filter(|_| !has_home).map(|home| format!("HOME={home}"));
        let secrets = request.secrets.iter().filter(|secret| secret.in_env).map(secrets::variable);
        Ok(Self {
            candidates: candidates(&name, env)?,
            arguments: arguments.iter().map(|text| c_string(text)).collect::<Result<_, _>>()?,
            env: pairs.chain(home).map(|pair| c_string(&pair)).chain(secrets).collect::<Result<_, _>>()?,
            directory: CString::new(directory.into_os_string().into_vec())
                .map_err(|_| Fault::new("pass a directory with a NUL byte", libc::EINVAL))?,
            file_bytes: request.file_bytes,
            name,
            made,
            terminal: None,
        })
    }

    /// The same at a terminal.
    pub(super) fn at(mut self, terminal: OwnedFd) -> Self {
        self.terminal = Some(terminal);
        self
    }

    /// The terminal that it has.
    pub(super) fn terminal(&self) -> Option<&OwnedFd> {
        self.terminal.as_ref()
    }

    /// Becomes the program. Whatever is wrong is said on standard error, as a shell would.
    pub(super) fn run(&self) -> ! {
        sys::default_signals();
        let _ = setsid();
        if let Some(terminal) = &self.terminal {
            visit::sit_at(terminal.as_fd());
        }
        umask(Mode::from_bits_truncate(0o022));
        let _ = sys::close_from(3);
        // Not for the first process, which writes no files.
        let _ = super::privileges::limit_files(self.file_bytes);
        // In what is private and the user's; elsewhere it was made before.
        let _ = self.made.as_ref().map(fs::create_dir_all);
        if let Err(errno) = chdir(self.directory.as_c_str()) {
            complain(&self.directory.to_string_lossy(), errno);
            sys::exit_now(NOT_EXECUTABLE);
        }
        let errno = self.try_candidates();
        complain(&self.name, errno);
        let missing = matches!(errno, Errno::ENOENT | Errno::ENOTDIR);
        sys::exit_now(if missing { NOT_FOUND } else { NOT_EXECUTABLE })
    }

    fn try_candidates(&self) -> Errno {
        let mut worst = Errno::ENOENT;
        for candidate in &self.candidates {
            match self.exec(candidate) {
                Err(Errno::ENOENT | Errno::ENOTDIR) => {}
                // Found but not permitted: a later directory of PATH may have a better one.
                Err(Errno::EACCES) => worst = Errno::EACCES,
                Err(errno) => return errno,
            }
        }
        worst
    }

    fn exec(&self, path: &CStr) -> Result<Infallible, Errno> {
        execve(path, &self.arguments, &self.env)
    }
}

/// Some of the variables may have values of secrets.
impl Drop for Program {
    fn drop(&mut self) {
        self.env.drain(..).for_each(|variable| variable.into_bytes().zeroize());
    }
}

fn candidates(name: &str, env: &[(String, String)]) -> Result<Vec<CString>, Fault> {
    if name.is_empty() {
        return Ok(Vec::new());
    }
    if name.contains('/') {
        return Ok(vec![c_string(name)?]);
    }
    let path = env.iter().find(|(key, _)| key == "PATH").map_or("", |(_, value)| value);
    path.split(':').filter(|dir| !dir.is_empty()).map(|dir| c_string(&format!("{dir}/{name}"))).collect()
}

fn complain(what: &str, errno: Errno) {
    let _ = writeln!(std::io::stderr(), "cullet: cannot run '{what}': {}", errno.desc());
}
