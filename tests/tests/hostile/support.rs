//! What these tests do again and again.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use cullet_tests::{Checkout, User, within};

/// Long enough for a loaded machine; nothing waits as long when all is well.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// Everything a command said.
pub(crate) fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// Fails unless a command ended with `code`, saying all of `words`.
#[track_caller]
pub(crate) fn expect(output: &Output, code: i32, words: &[&str]) {
    let text = said(output);
    assert_eq!(output.status.code(), Some(code), "{text}");
    for word in words {
        assert!(text.contains(word), "{word:?} is not in:\n{text}");
    }
}

/// Fails unless `cullet cache verify` finds nothing wrong.
#[track_caller]
pub(crate) fn expect_right_cache(user: &User, checkout: &Checkout) {
    expect(&user.cullet(checkout, ["cache", "verify"]), 0, &["everything is right"]);
}

/// Runs a shell script that must succeed.
#[track_caller]
pub(crate) fn shell(dir: &Path, script: &str) {
    let output = Command::new("sh").args(["-euc", script]).current_dir(dir).output().unwrap();
    assert!(output.status.success(), "{script}: {}", said(&output));
}

/// A process that does not outlive its test, however that ends.
pub(crate) struct Running(Option<Child>);

impl Running {
    pub(crate) fn child(&mut self) -> &mut Child {
        self.0.as_mut().unwrap()
    }

    pub(crate) fn id(&self) -> u32 {
        self.0.as_ref().unwrap().id()
    }

    pub(crate) fn output(mut self) -> Output {
        self.0.take().unwrap().wait_with_output().unwrap()
    }

    /// As `kill -9` does it: without a chance to say goodbye.
    pub(crate) fn kill(mut self) {
        let mut child = self.0.take().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// Sends a signal such as `INT`.
    pub(crate) fn signal(&self, name: &str) {
        let arguments = [format!("-{name}"), self.id().to_string()];
        assert!(Command::new("kill").args(arguments).status().unwrap().success());
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(mut child) = self.0.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Starts the binary, with its output kept.
pub(crate) fn start(user: &User, checkout: &Checkout, arguments: &[&str]) -> Running {
    start_command(&mut user.command(checkout.path(), arguments.iter().copied()))
}

/// Starts a command, with its output kept.
pub(crate) fn start_command(command: &mut Command) -> Running {
    Running(Some(command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()))
}

/// A number of seconds that no other test sleeps, in this process or another: it tells whose processes are left.
pub(crate) fn nap(number: u32) -> String {
    format!("77{number:02}.{:07}", std::process::id())
}

/// Waits for something.
#[track_caller]
pub(crate) fn until(what: &str, mut there: impl FnMut() -> bool) {
    let start = Instant::now();
    while !there() {
        assert!(start.elapsed() < PATIENCE, "waited too long: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// How many processes have `marker` in their command line. Steps are marked so that others are left alone.
pub(crate) fn alive(marker: &str) -> usize {
    let entries = std::fs::read_dir("/proc").unwrap().flatten();
    let is_marked = |pid: &PathBuf| {
        let line = std::fs::read(pid.join("cmdline")).unwrap_or_default();
        line.windows(marker.len()).any(|window| window == marker.as_bytes())
    };
    entries.map(|entry| entry.path()).filter(is_marked).count()
}

/// All files below a directory, sorted.
pub(crate) fn files(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut open = vec![dir.to_owned()];
    while let Some(dir) = open.pop() {
        for entry in std::fs::read_dir(dir).into_iter().flatten().flatten() {
            match entry.file_type().unwrap().is_dir() {
                true => open.push(entry.path()),
                false => found.push(entry.path()),
            }
        }
    }
    found.sort();
    found
}

/// The blobs of a user's cache.
pub(crate) fn blobs(user: &User) -> Vec<PathBuf> {
    files(&user.cache().join("cas"))
}

/// Turns a bit of a file around, and leaves its times as they are: what a failing disk does.
pub(crate) fn flip(path: &Path) {
    let before = std::fs::metadata(path).unwrap();
    let mut bytes = std::fs::read(path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    overwrite(path, &bytes);
    let times = std::fs::FileTimes::new()
        .set_accessed(before.accessed().unwrap())
        .set_modified(before.modified().unwrap());
    std::fs::File::open(path).unwrap().set_times(times).unwrap();
}

/// Gives a file other bytes, whatever its mode, and its mode back.
pub(crate) fn overwrite(path: &Path, bytes: &[u8]) {
    let mode = std::fs::metadata(path).unwrap().permissions();
    std::fs::set_permissions(path, PermissionsExt::from_mode(0o644)).unwrap();
    std::fs::write(path, bytes).unwrap();
    std::fs::set_permissions(path, mode).unwrap();
}

/// Whether steps run as plain processes here, because these tests are themselves a step.
pub(crate) fn is_plain() -> bool {
    std::env::var_os("CULLET_EXECUTOR").is_some_and(|executor| executor == "plain")
}

/// Forbids further namespaces of a kind to all that follows, by way of a user namespace in which that can be
/// said, and gives back the rights that this took.
const FORBID: &str = "echo 0 > /proc/sys/user/max_${0}_namespaces || exit 77; \
                      exec setpriv --ambient-caps=-all --inh-caps=-all --bounding-set=-all \"$@\"";

/// A command where namespaces of a kind are forbidden, as an ordinary user. None where they cannot be.
pub(crate) fn without_namespaces(kind: &str, command: &mut Command) -> Option<Output> {
    command.env_remove("CULLET_EXECUTOR");
    let unshare = ["--user", "--map-user=1000", "--map-group=1000", "--keep-caps", "sh", "-c", FORBID, kind];
    // true(1) does not mind what it is to be given.
    let mut attempt = within("unshare", unshare.into_iter().chain(["true"]), command);
    let is_possible = attempt.output().is_ok_and(|output| output.status.success());
    is_possible.then(|| within("unshare", unshare, command).output().unwrap())
}

/// Says why a test tries nothing.
#[expect(clippy::print_stderr, reason = "whoever reads the results of the tests has to know")]
pub(crate) fn skip(why: &str) {
    eprintln!("skipped: {why}");
}

/// A pipeline with a fan: one step, several that use its outputs, one that uses theirs. `marker` ends up in the
/// command line of every process.
pub(crate) fn fan(marker: &str) -> Checkout {
    let text = format!(
        r#"
cullet: 1
name: fan
sources: {{ src: src }}
steps:
  gen:
    inputs: {{ .: src }}
    run: "mkdir d; for i in 1 2 3 4; do cat f* > d/$i; done; cat f1 > sum; : {marker}"
    outputs: {{ d: d, sum: sum }}
  work:
    matrix: {{ i: [1, 2, 3, 4] }}
    inputs: {{ d: gen.d, src: src }}
    run: "sort d/${{{{ matrix.i }}}} > o; cp src/f1 .; echo working; sleep 0.0${{{{ matrix.i }}}}; : {marker}"
    outputs: {{ o: o, g: "f*" }}
  merge:
    inputs: {{ w: work.o, s: gen.sum }}
    run: "cat w/*/* s > final 2>/dev/null || cat w/* s > final; cp -r w all; : {marker}"
    outputs: {{ f: final, all: all }}
outputs: {{ final: merge.f, all: merge.all }}
"#
    );
    let checkout = Checkout::of_pipeline(&text);
    for number in 0..10 {
        let lines: String = (0..2000).map(|line| format!("{}\n", (line * 7919 + number) % 10_007)).collect();
        checkout.write(&format!("src/f{number}"), &lines);
    }
    checkout
}
