//! Whose containers are, so that those of processes that are gone can be removed, and no others.

use std::collections::HashMap;
use std::fs;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::io::Errno;
use rustix::process::{Pid, test_kill_process};

/// The label with the process: boot of the machine, namespace of process numbers, number, start.
pub(super) const PROCESS: &str = "dev.cullet.process";
/// The label with the time, in seconds since 1970, after which nobody needs the container.
pub(super) const UNTIL: &str = "dev.cullet.until";

/// How long a container may take beyond its step's timeout: for what goes in and comes out.
const SLACK: Duration = Duration::from_secs(60 * 60);

/// A process of a machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Process {
    boot: String,
    numbers: String,
    pid: u32,
    /// In clock ticks since the boot; another process may get the number.
    started: u64,
}

/// What can be known of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Life {
    Lives,
    Gone,
    /// Some process has its number, and whether that is this one cannot be seen.
    Hidden,
}

/// What is known of a container.
#[derive(Debug, Clone, Copy)]
pub(super) struct Found<'a> {
    pub(super) labels: &'a HashMap<String, String>,
    pub(super) is_running: bool,
    /// In seconds since 1970.
    pub(super) created_s: i64,
}

impl Process {
    /// This one.
    pub(super) fn this() -> Self {
        let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
        let numbers = fs::read_link("/proc/self/ns/pid").unwrap_or_default();
        let pid = std::process::id();
        Self {
            boot: boot.trim().to_owned(),
            numbers: numbers.to_string_lossy().into_owned(),
            pid,
            started: started(pid).unwrap_or_default(),
        }
    }

    fn text(&self) -> String {
        let Self { boot, numbers, pid, started } = self;
        format!("{boot} {numbers} {pid} {started}")
    }

    fn read(text: &str) -> Option<Self> {
        let mut words = text.split(' ').map(str::to_owned);
        let (boot, numbers) = (words.next()?, words.next()?);
        Some(Self { boot, numbers, pid: words.next()?.parse().ok()?, started: words.next()?.parse().ok()? })
    }

    /// Labels for a container of this process that is needed for no longer than this.
    pub(super) fn labels(&self, needed: Duration) -> HashMap<String, String> {
        let until = now_s().saturating_add(needed.saturating_add(SLACK).as_secs());
        [(PROCESS.to_owned(), self.text()), (UNTIL.to_owned(), until.to_string())].into()
    }

    /// Whether nobody needs a container any more, as far as this process can know: its own process is gone, or its time
    /// is over, or the machine has been started anew.
    pub(super) fn may_remove(&self, found: Found<'_>, life: impl Fn(&Self) -> Life) -> bool {
        let Some(process) = found.labels.get(PROCESS) else { return false };
        let Some(owner) = Self::read(process) else { return false };
        let late = found
            .labels
            .get(UNTIL)
            .and_then(|text| text.parse().ok())
            .is_some_and(|until: u64| now_s() > until);
        if owner.boot == self.boot && owner.numbers == self.numbers {
            return match life(&owner) {
                Life::Lives => false,
                Life::Gone => true,
                Life::Hidden => late,
            };
        }
        // Of another container of this machine, whose processes have other numbers here; or of an earlier boot, or of
        // another machine at the same engine: a container that was not started yet may be about to be.
        let created = u64::try_from(found.created_s).unwrap_or(0);
        let is_old = now_s().saturating_sub(created) > SLACK.as_secs();
        late || (owner.boot != self.boot && !found.is_running && is_old)
    }

    /// Whether it lives, where its number is one of this process's namespace.
    pub(super) fn life(&self) -> Life {
        match started(self.pid) {
            Some(started) if started == self.started => Life::Lives,
            Some(_) => Life::Gone,
            // `/proc` may hide those of other users (`hidepid`): nothing there says nothing.
            None => match i32::try_from(self.pid).ok().and_then(Pid::from_raw).map(test_kill_process) {
                Some(Err(Errno::SRCH)) => Life::Gone,
                _ => Life::Hidden,
            },
        }
    }
}

fn now_s() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

/// Field 22 of `stat` (proc(5)).
fn started(pid: u32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The second field is a name in parentheses that may hold anything; the third is the first after it.
    let after_name = &stat[stat.rfind(')')? + 1..];
    after_name.split_whitespace().nth(19)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    fn found(labels: &HashMap<String, String>, is_running: bool, age: Duration) -> Found<'_> {
        let created_s = i64::try_from(now_s() - age.as_secs()).unwrap();
        Found { labels, is_running, created_s }
    }

    #[test]
    fn containers_of_living_processes_stay() {
        let me = Process::this();
        assert_eq!((me.life(), Process::read(&me.text())), (Life::Lives, Some(me.clone())));
        let labels = me.labels(HOUR);
        assert!(!me.may_remove(found(&labels, true, 9 * HOUR), Process::life));
        let another = Process { started: me.started + 1, ..me.clone() };
        assert_eq!(another.life(), Life::Gone);
        assert!(me.may_remove(found(&another.labels(HOUR), true, HOUR), Process::life));
        // Larger than any number that the kernel gives.
        assert_eq!(Process { pid: 1 << 22, ..me }.life(), Life::Gone);
    }

    /// In `/proc` as it is here with `hidepid`, for a user who is not the process's. None where that takes root.
    fn seen_by_another(process: &Process) -> Option<Life> {
        use nix::mount::{MsFlags, mount};
        use rustix::thread::{set_thread_groups, set_thread_res_gid, set_thread_res_uid};
        if !rustix::process::geteuid().is_root() {
            return None;
        }
        let look = || {
            let none: Option<&str> = None;
            nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNS).unwrap();
            mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none).unwrap();
            mount(Some("proc"), "/proc", Some("proc"), MsFlags::empty(), Some("hidepid=2")).ok()?;
            let (uid, gid) = (rustix::process::Uid::from_raw(65_534), rustix::process::Gid::from_raw(65_534));
            // Of this thread alone, which ends here.
            set_thread_groups(&[]).unwrap();
            set_thread_res_gid(gid, gid, gid).unwrap();
            set_thread_res_uid(uid, uid, uid).unwrap();
            assert_eq!(started(process.pid), None, "it is hidden");
            Some(process.life())
        };
        std::thread::scope(|scope| scope.spawn(look).join().unwrap())
    }

    #[test]
    fn containers_of_hidden_processes_have_their_time() {
        let me = Process::this();
        let mut child = std::process::Command::new("sleep").arg("100").spawn().unwrap();
        let process = Process { pid: child.id(), started: started(child.id()).unwrap(), ..me.clone() };
        let lives = seen_by_another(&process);
        child.kill().unwrap();
        child.wait().unwrap();
        let gone = seen_by_another(&process);
        assert!(
            matches!((lives, gone), (Some(Life::Hidden), Some(Life::Gone)) | (None, None)),
            "{lives:?} {gone:?}"
        );

        let mut labels = process.labels(HOUR);
        assert!(!me.may_remove(found(&labels, true, 9 * HOUR), |_| Life::Hidden));
        labels.insert(UNTIL.to_owned(), (now_s() - 1).to_string());
        assert!(me.may_remove(found(&labels, true, HOUR), |_| Life::Hidden));
        assert!(!me.may_remove(found(&labels, true, HOUR), |_| Life::Lives));
    }

    #[test]
    fn processes_that_cannot_be_seen_have_their_time() {
        let me = Process::this();
        let hidden = Process { numbers: "pid:[1]".to_owned(), ..me.clone() };
        let mut labels = hidden.labels(HOUR);
        let never = |_: &Process| -> Life { panic!("its number means nothing here") };
        assert!(!me.may_remove(found(&labels, false, 9 * HOUR), never));
        labels.insert(UNTIL.to_owned(), (now_s() - 1).to_string());
        assert!(me.may_remove(found(&labels, true, HOUR), never));

        let earlier = Process { boot: "earlier".to_owned(), ..me.clone() }.labels(HOUR);
        assert!(me.may_remove(found(&earlier, false, 2 * HOUR), never));
        assert!(!me.may_remove(found(&earlier, false, HOUR / 2), never));
        assert!(!me.may_remove(found(&earlier, true, 2 * HOUR), never));
    }

    #[test]
    fn what_is_not_ours_stays() {
        let me = Process::this();
        let nobody = |_: &Process| Life::Gone;
        for labels in [HashMap::new(), [(PROCESS.to_owned(), "odd".to_owned())].into()] {
            assert!(!me.may_remove(found(&labels, false, 9 * HOUR), nobody));
        }
    }
}
