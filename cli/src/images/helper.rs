//! Work on files of an ordinary user's sub-ids. A process that has these ids has to have one thread when it gets them, so
//! this program starts itself once more for each piece of work.

use std::fs::File;
use std::io::{self, BufWriter, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use cullet_image::layer::{GivenOwners, LayerError, UnpackOptions, Unpacked, capture_layer};
use cullet_image::{Digest, OwnerHelper, UnpackTask};
use cullet_worker::attempt::give_to_this_user;
use cullet_worker::sandbox::{IMAGE_BLOCK, INSIDE_UID, SubIds, enter_sub_ids};
use cullet_worker::{CaptureFault, Owners, Reclaim, RootUpper};
use rustix::process::{Signal, set_parent_process_death_signal};
use serde::{Deserialize, Serialize};

use super::layers::{BUFFER, rules};

/// The hidden first argument of such a process.
pub(crate) const ARGUMENT: &str = "__owners";

/// How often a process is looked at that works: layers take seconds.
const PAUSE: Duration = Duration::from_millis(5);

/// The most that such a process answers: notes about a layer.
const MOST_ANSWER: u64 = 1 << 20;

/// Has work done by processes that have the sub-ids of this user.
#[derive(Debug)]
pub(crate) struct SubIdHelper {
    ids: SubIds,
}

#[derive(Debug, Serialize, Deserialize)]
struct Order {
    ids: SubIds,
    task: Task,
}

#[derive(Debug, Serialize, Deserialize)]
enum Task {
    Nothing,
    Unpack(UnpackTask),
    Capture { from: PathBuf, to: PathBuf, owners: Owners, without: Vec<String> },
    TakeOver(PathBuf),
}

#[derive(Debug, Serialize, Deserialize)]
enum Answer {
    Done,
    Unpacked(Unpacked),
    /// A layer whose bytes are not those of its digest.
    Damaged {
        expected: Digest,
        actual: Digest,
    },
    /// A step left what no layer can hold.
    Unfit(String),
    /// The operating system refused: its number, and what was to be done.
    Refused(i32, String),
    Failed(String),
}

impl SubIdHelper {
    /// One for all, where this user has sub-ids that can be used. Blocks for some milliseconds when it is asked for first.
    pub(crate) fn find() -> Option<Arc<Self>> {
        static FOUND: LazyLock<Option<Arc<SubIdHelper>>> = LazyLock::new(|| {
            let helper = SubIdHelper { ids: SubIds::find().ok()? };
            let tried = helper.have_done(Task::Nothing, &AtomicBool::new(false));
            matches!(tried, Ok(Answer::Done)).then(|| Arc::new(helper))
        });
        FOUND.clone()
    }

    /// How layers are unpacked for a step of this user and group of an image.
    pub(super) fn unpacking(&self, (uid, gid): (u32, u32)) -> UnpackOptions {
        let on_machine = (self.ids.first_uid, self.ids.first_gid);
        UnpackOptions::with_owners(GivenOwners { uid, gid, own: INSIDE_UID, block: IMAGE_BLOCK, on_machine })
    }

    /// Writes what a step changed of its root as a layer to a new file.
    pub(super) fn capture(&self, upper: &RootUpper, to: &Path) -> Result<(), CaptureFault> {
        let without = upper.without().into_iter().map(str::to_owned).collect();
        let (from, to) = (upper.path.clone(), to.to_owned());
        let task = Task::Capture { from, to, owners: upper.owners, without };
        let machine = |error: io::Error| CaptureFault::Machine(Box::new(error));
        match self.have_done(task, &AtomicBool::new(false)).map_err(machine)? {
            Answer::Done => Ok(()),
            Answer::Unfit(why) => Err(CaptureFault::Step(why)),
            answer => Err(machine(answer.into_error())),
        }
    }

    /// Blocks until it is done, or given up.
    fn have_done(&self, task: Task, cancelled: &AtomicBool) -> io::Result<Answer> {
        let order = serde_json::to_vec(&Order { ids: self.ids.clone(), task })?;
        let mut process = Command::new("/proc/self/exe")
            .arg(ARGUMENT)
            .env_clear()
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        // Smaller than a pipe, so that neither waits for the other.
        let told = process.stdin.take().map_or(Ok(()), |mut input| input.write_all(&order));
        let status = loop {
            if cancelled.load(Ordering::Relaxed) || told.is_err() {
                process.kill()?;
            }
            if let Some(status) = process.try_wait()? {
                break status;
            }
            std::thread::sleep(PAUSE);
        };
        told?;
        let mut answer = Vec::new();
        if let Some(output) = process.stdout.take() {
            output.take(MOST_ANSWER).read_to_end(&mut answer)?;
        }
        serde_json::from_slice(&answer)
            .map_err(|_| io::Error::other(format!("a process for files of sub-ids ended early: {status}")))
    }
}

impl Answer {
    fn into_error(self) -> io::Error {
        match self {
            Self::Refused(errno, _) => io::Error::from_raw_os_error(errno),
            Self::Failed(problem) | Self::Unfit(problem) => io::Error::other(problem),
            Self::Damaged { .. } | Self::Done | Self::Unpacked(_) => io::ErrorKind::InvalidData.into(),
        }
    }
}

impl OwnerHelper for SubIdHelper {
    fn unpack(&self, task: &UnpackTask, cancelled: &AtomicBool) -> Result<Unpacked, LayerError> {
        let elsewhere = |problem: String| LayerError::Elsewhere { problem };
        let answer = self.have_done(Task::Unpack(task.clone()), cancelled);
        match answer.map_err(|error| elsewhere(error.to_string()))? {
            Answer::Unpacked(unpacked) => Ok(unpacked),
            Answer::Damaged { expected, actual } => Err(LayerError::Digest { expected, actual }),
            Answer::Refused(errno, _) => Err(LayerError::Io {
                action: "unpack a layer into",
                path: task.tree.clone(),
                source: Arc::new(io::Error::from_raw_os_error(errno)),
            }),
            answer => Err(elsewhere(answer.into_error().to_string())),
        }
    }

    fn take_over(&self, dir: &Path) -> io::Result<()> {
        match self.have_done(Task::TakeOver(dir.to_owned()), &AtomicBool::new(false))? {
            Answer::Done => Ok(()),
            answer => Err(answer.into_error()),
        }
    }
}

impl Reclaim for SubIdHelper {
    fn take_over(&self, dir: &Path) -> io::Result<()> {
        OwnerHelper::take_over(self, dir)
    }
}

/// The whole life of such a process, which has one thread.
pub(crate) fn main() {
    let answer = match serde_json::from_reader::<_, Order>(io::stdin().lock().take(MOST_ANSWER)) {
        Ok(order) => match enter_sub_ids(&order.ids) {
            Ok(()) => {
                // Whoever takes the lock of what is worked on next must find nobody else at work.
                let dies = set_parent_process_death_signal(Some(Signal::KILL));
                dies.map_or_else(|error| Answer::Failed(error.to_string()), |()| order.task.run())
            }
            Err(problem) => Answer::Failed(problem),
        },
        Err(error) => Answer::Failed(error.to_string()),
    };
    // Nobody wants to know any more where this fails.
    let _ = serde_json::to_writer(io::stdout().lock(), &answer);
}

impl Task {
    fn run(self) -> Answer {
        match self {
            Self::Nothing => Answer::Done,
            Self::Unpack(task) => match task.run(&AtomicBool::new(false)) {
                Ok(unpacked) => Answer::Unpacked(unpacked),
                Err(error) => of_layer(error),
            },
            Self::Capture { from, to, owners, without } => match capture(&from, &to, owners, &without) {
                Ok(()) => Answer::Done,
                Err(error @ (LayerError::Entry { .. } | LayerError::Limit { .. })) => {
                    Answer::Unfit(error.to_string())
                }
                Err(error) => of_layer(error),
            },
            Self::TakeOver(dir) => match give_to_this_user(&dir) {
                Ok(()) => Answer::Done,
                Err(error) => refused(&error, format!("take {} over", dir.display())),
            },
        }
    }
}

fn capture(from: &Path, to: &Path, owners: Owners, without: &[String]) -> Result<(), LayerError> {
    let without: Vec<&str> = without.iter().map(String::as_str).collect();
    let owners = |uid: u32, gid: u32| owners.inside(uid, gid);
    let rules = rules(&owners, &without);
    let failed =
        |error: io::Error| LayerError::Io { action: "make", path: to.to_owned(), source: Arc::new(error) };
    let file = File::options().write(true).create_new(true).open(to).map_err(failed)?;
    capture_layer(from, BufWriter::with_capacity(BUFFER, file), &rules).map(drop)
}

fn of_layer(error: LayerError) -> Answer {
    match error {
        LayerError::Digest { expected, actual } => Answer::Damaged { expected, actual },
        LayerError::Io { ref source, .. } => refused(source, error.to_string()),
        error => {
            let cause = std::error::Error::source(&error).map(|cause| format!(": {cause}"));
            Answer::Failed(format!("{error}{}", cause.unwrap_or_default()))
        }
    }
}

fn refused(error: &io::Error, action: String) -> Answer {
    match error.raw_os_error() {
        Some(errno) => Answer::Refused(errno, action),
        None => Answer::Failed(format!("cannot {action}: {error}")),
    }
}
