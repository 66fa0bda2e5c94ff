use std::os::fd::{FromRawFd as _, RawFd};
use std::process::{Child, Command};
use std::sync::Mutex;

use super::*;
use crate::Stream;
use crate::sandbox::runner::step_socket;
use crate::stopping::stop_signal;

struct Silence;

impl LogSink for Silence {
    fn write(&mut self, _: Stream, _: &[u8]) {}
}

/// In place of a step's first process: its report comes, and it ends, while the thread that follows it does something else.
#[derive(Debug)]
struct Meanwhile {
    channel: OwnedFd,
    child: Mutex<Child>,
}

impl TerminalHost for Meanwhile {
    fn attach(&self, _: OwnedFd) {
        let report = Report {
            ending: Ending::Code(7),
            started_at: SystemTime::now(),
            duration: Duration::ZERO,
            taken: Taken::default(),
            owners: None,
        };
        send_packet(self.channel.as_fd(), &StepReport::Ended(report), &[]).unwrap();
        let mut child = self.child.lock().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
    }
}

fn pidfd(child: &Child) -> OwnedFd {
    // SAFETY: pidfd_open(2) takes two numbers, and gives a descriptor that nobody else owns.
    let number = unsafe { libc::syscall(libc::SYS_pidfd_open, child.id(), 0) };
    let number = RawFd::try_from(number).unwrap();
    assert!(number >= 0);
    // SAFETY: see above.
    unsafe { OwnedFd::from_raw_fd(number) }
}

#[test]
fn a_report_that_comes_with_the_end_is_heard() {
    let (channel, theirs) = step_socket().unwrap();
    let child = Command::new("sleep").arg("60").spawn().unwrap();
    let processes = pidfd(&child);
    let pid = child.id().cast_signed();
    send_packet(theirs.as_fd(), &StepReport::Started { pid }, &[processes.as_fd()]).unwrap();
    send_packet(theirs.as_fd(), &StepReport::Terminal, &[processes.as_fd()]).unwrap();
    let (pump, _stdout, _stderr) = Pump::new().unwrap();
    let (_handle, stop) = stop_signal().unwrap();
    let step = Supervised {
        connection: Weak::new(),
        channel,
        pump,
        stop,
        timeout: Duration::from_secs(60),
        host: Some(Arc::new(Meanwhile { channel: theirs, child: Mutex::new(child) })),
        grace: Duration::from_secs(1),
        disk: None,
        is_namespace: true,
    };
    assert_eq!(supervise(step, &mut Silence).unwrap().exit, Exit::Code(7));
}
