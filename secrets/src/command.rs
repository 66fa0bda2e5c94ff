//! Values that programs print: password managers and tools of clouds.

use std::ffi::OsStr;
use std::io::Read;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use zeroize::Zeroizing;

use crate::{MOST_BYTES, SecretError, SecretValue};

/// How long a program may take: time for a person to unlock a password manager elsewhere.
pub const COMMAND_TIMEOUT: Duration = Duration::from_secs(60);

/// How much of what it complains is shown.
const COMPLAINT_BYTES: u64 = 400;

/// Between two looks at whether it has ended.
const LOOK: Duration = Duration::from_millis(5);

/// What a program prints, without one line end at its end. It has this process's environment and no standard input.
/// Blocks.
///
/// # Errors
/// It cannot be started, fails, takes longer than `timeout`, or prints no value.
pub fn command_output(
    arguments: &[impl AsRef<OsStr>],
    directory: &Path,
    timeout: Duration,
) -> Result<SecretValue, SecretError> {
    let Some((program, rest)) = arguments.split_first() else {
        return Err(SecretError::Missing("no program is named".to_owned()));
    };
    let name = program.as_ref().to_string_lossy().into_owned();
    let mut command = Command::new(program);
    command.args(rest).current_dir(directory);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let started = command.spawn();
    let mut child = started
        .map_err(|error| SecretError::Missing(format!("the program `{name}` cannot be started: {error}")))?;
    let until = Instant::now() + timeout;
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let printed = read(stdout, MOST_BYTES as u64 + 3);
    let complaint = read(stderr, COMPLAINT_BYTES);
    let ended = wait(&mut child, until);
    let late = || {
        SecretError::Trouble(format!("the program `{name}` did not end within {} s", timeout.as_secs_f64()))
    };
    let Some(status) = ended else { return Err(late()) };
    // What it started may still hold its output.
    let left = until.saturating_duration_since(Instant::now()).max(LOOK);
    let mut printed = printed.recv_timeout(left).map_err(|_| late())?;
    if !status.success() {
        let said = complaint.recv_timeout(left).unwrap_or_default();
        let said = String::from_utf8_lossy(&said);
        let said = said.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default();
        // What it printed is a value, perhaps, and what it complains about is not; nevertheless nothing of both together.
        let said = match said {
            "" => String::new(),
            said if contains(said, &printed) => String::new(),
            said => format!(": {}", said.escape_debug()),
        };
        return Err(SecretError::Missing(format!("the program `{name}` ended with {status}{said}")));
    }
    for end in [b'\n', b'\r'] {
        if printed.last() == Some(&end) {
            printed.pop();
        }
    }
    SecretError::value(format!("what the program `{name}` printed"), std::mem::take(&mut *printed))
}

/// Whether a line of what was printed is in the text.
fn contains(text: &str, printed: &[u8]) -> bool {
    let lines = printed.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii).filter(|line| !line.is_empty());
    lines.into_iter().any(|line| text.as_bytes().windows(line.len()).any(|window| window == line))
}

/// Reads so much on a thread of its own, which ends with the pipe; the rest goes nowhere.
fn read(from: Option<impl Read + Send + 'static>, most: u64) -> mpsc::Receiver<Zeroizing<Vec<u8>>> {
    let (sender, receiver) = mpsc::sync_channel(1);
    std::thread::spawn(move || {
        let mut bytes = Zeroizing::new(Vec::with_capacity(most as usize));
        if let Some(mut from) = from {
            let _ = from.by_ref().take(most).read_to_end(&mut bytes);
            let _ = sender.send(bytes);
            let _ = std::io::copy(&mut from, &mut std::io::sink());
        }
    });
    receiver
}

/// How it ended; nothing where it did not and was killed.
fn wait(child: &mut Child, until: Instant) -> Option<std::process::ExitStatus> {
    loop {
        match child.try_wait() {
            Ok(Some(status)) => return Some(status),
            Ok(None) if Instant::now() < until => std::thread::sleep(LOOK),
            Ok(None) | Err(_) => {
                let _ = child.kill();
                let _ = child.wait();
                return None;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(script: &str, timeout: Duration) -> Result<SecretValue, String> {
        let output = command_output(&["/bin/sh", "-c", script], Path::new("/"), timeout);
        output.map_err(|error| error.to_string())
    }

    #[test]
    fn a_value_is_printed() {
        let within = Duration::from_secs(20);
        assert_eq!(run("printf 'a\\nvalue\\r\\n'", within).unwrap().expose(), b"a\nvalue");
        assert_eq!(run("echo \"$0-value\"", within).unwrap().expose(), b"/bin/sh-value");
        let wrong = |script| run(script, within).unwrap_err();
        assert_eq!(wrong("echo"), "what the program `/bin/sh` printed: it is empty");
        assert!(wrong("head -c 70000 /dev/zero").contains("more than 65536 bytes"));
        assert!(wrong("head -c 9000000 /dev/zero").contains("more than 65536 bytes"));
        let said = "the program `/bin/sh` ended with exit status: 3: no such entry";
        assert_eq!(wrong("echo no such entry >&2; exit 3"), said);
        assert_eq!(
            wrong("echo v4lue; echo has v4lue >&2; exit 3"),
            "the program `/bin/sh` ended with exit status: 3"
        );
        let none = command_output(&["/nowhere/x"], Path::new("/"), within).unwrap_err();
        assert!(none.to_string().starts_with("the program `/nowhere/x` cannot be started: No such file"));
    }

    #[test]
    fn whatever_does_not_end_is_not_waited_for() {
        let clock = Instant::now();
        let late = run("exec sleep 600", Duration::from_millis(100)).unwrap_err();
        assert_eq!(late, "the program `/bin/sh` did not end within 0.1 s");
        let late = run("sleep 30 & echo value", Duration::from_millis(300)).unwrap_err();
        assert_eq!(late, "the program `/bin/sh` did not end within 0.3 s");
        assert!(clock.elapsed() < Duration::from_secs(20));
    }
}
