//! What these tests share.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use cullet_tests::cluster::{Cluster, Network};
use cullet_tests::cullet_binary;
use serde_json::Value;

/// One step that nobody has run before.
pub(crate) fn unique(cluster: &Cluster, name: &str, run: &str) -> PathBuf {
    let text = format!("cullet: 1\nname: {name}\nsteps:\n  s: {{ run: '{run} # {name}' }}\n");
    cluster.pipeline(name, &text)
}

/// So many coordinators and workers on a network of their own, and one machine more for the commands of the test.
pub(crate) fn networked(coordinators: usize, workers: usize) -> Cluster {
    let mut cluster = networked_for(coordinators, workers);
    (0..workers).for_each(|position| cluster.run_worker(position, &[]));
    if workers > 0 {
        cluster.with_workers(workers);
    }
    cluster
}

/// As [`networked`], with room for workers of which none runs.
pub(crate) fn networked_for(coordinators: usize, workers: usize) -> Cluster {
    let network = Network::new(coordinators + workers + 1);
    let mut cluster = Cluster::prepare(cullet_binary().clone(), coordinators, workers).on(network);
    (0..coordinators).for_each(|position| cluster.run_coordinator(position));
    cluster.agreed();
    cluster
}

/// The status of an answer to GET, asked on the machine of the test; none where there was none in time.
pub(crate) fn get(cluster: &Cluster, position: usize, path: &str) -> Option<u16> {
    ask(cluster, position, path, &[]).map(|(code, _)| code)
}

/// The status of an answer and what is in it, asked on the machine of the test with these arguments of curl; none where
/// there was none in time.
pub(crate) fn ask(
    cluster: &Cluster,
    position: usize,
    path: &str,
    arguments: &[&str],
) -> Option<(u16, String)> {
    let url = format!("{}{path}", cluster.url(position));
    let asked =
        curl(cluster).args(["-w", "\n%{http_code}", "--max-time", "20", &url]).args(arguments).output();
    let answer = String::from_utf8(asked.unwrap().stdout).unwrap();
    let (body, code) = answer.rsplit_once('\n')?;
    let code: u16 = code.parse().ok()?;
    (code != 0).then(|| (code, body.to_owned()))
}

/// Submits a run of one step that nobody has run before, to one coordinator.
pub(crate) fn submit(cluster: &Cluster, position: usize, name: &str) -> Option<(u16, String)> {
    let pipeline = format!("cullet: 1\nname: {name}\nsteps:\n  s: {{ run: 'true # {name}' }}\n");
    let body = serde_json::json!({ "pipeline": pipeline }).to_string();
    ask(cluster, position, "/api/v1/runs", &["-H", "Content-Type: application/json", "-d", &body])
}

/// Quiet, on the machine of the test.
pub(crate) fn curl(cluster: &Cluster) -> Command {
    let host = cluster.worker_host(0) + cluster.workers();
    let mut command = match cluster.network() {
        Some(network) => network.command(host, Path::new("curl")),
        None => Command::new("curl"),
    };
    command.arg("-s");
    command
}

/// The sum of a metric over so many coordinators.
pub(crate) fn metric(cluster: &Cluster, coordinators: usize, series: &str) -> u64 {
    (0..coordinators).map(|position| metric_of(cluster, position, series)).sum()
}

/// A metric of a coordinator.
pub(crate) fn metric_of(cluster: &Cluster, position: usize, series: &str) -> u64 {
    let (code, text) = ask(cluster, position, "/metrics", &[]).expect("metrics need nobody else");
    assert_eq!(code, 200, "{text}");
    text.lines().filter_map(|line| line.strip_prefix(series)?.trim().parse::<u64>().ok()).sum()
}

/// The first of these coordinators that says something while it knows a leader among them.
pub(crate) fn led_among(cluster: &Cluster, positions: &[usize]) -> Option<(usize, Value)> {
    positions.iter().find_map(|position| {
        let status = cluster.status(*position)?;
        let ids: Vec<String> = positions
            .iter()
            .filter_map(|other| Some(cluster.status(*other)?["id"].as_str()?.to_owned()))
            .collect();
        let leader = status["leader"].as_str()?;
        ids.iter().position(|id| id == leader).map(|led| (positions[led], status.clone()))
    })
}

/// What a process has in memory, in KiB.
pub(crate) fn resident(process: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// Every file below a directory, with what is in it.
pub(crate) fn files_below(dir: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let (mut files, mut dirs) = (BTreeMap::new(), vec![dir.to_owned()]);
    while let Some(dir) = dirs.pop() {
        for path in std::fs::read_dir(dir).into_iter().flatten().map(|entry| entry.unwrap().path()) {
            if path.is_dir() {
                dirs.push(path);
            } else {
                let content = std::fs::read(&path).unwrap();
                files.insert(path, content);
            }
        }
    }
    files
}

/// How long something takes that has to happen.
pub(crate) fn timed<T>(work: impl FnOnce() -> T) -> (T, Duration) {
    let began = Instant::now();
    (work(), began.elapsed())
}

/// A filesystem of its own, in a file.
pub(crate) struct Filesystem {
    pub(crate) at: PathBuf,
}

impl Filesystem {
    /// ext4 of so many MiB at a directory that is made for it.
    pub(crate) fn ext4(at: PathBuf, mebibytes: u32) -> Self {
        let image = at.with_extension("img");
        succeed(Command::new("truncate").args(["-s", &format!("{mebibytes}M")]).arg(&image));
        succeed(Command::new("mkfs.ext4").arg("-q").arg(&image));
        std::fs::create_dir_all(&at).unwrap();
        let this = Self { at };
        this.mount();
        this
    }

    fn mount(&self) {
        succeed(Command::new("mount").args(["-o", "loop"]).arg(self.at.with_extension("img")).arg(&self.at));
    }

    /// Mounts again what is on the disk now. A copy of it: workers of other tests have copies of what is mounted, which
    /// keep the old one in the kernel as it was.
    pub(crate) fn mount_again(&self) {
        succeed(Command::new("umount").arg("-l").arg(&self.at));
        let (image, copy) = (self.at.with_extension("img"), self.at.with_extension("copy"));
        succeed(Command::new("cp").args(["--sparse=always"]).arg(&image).arg(&copy));
        std::fs::rename(&copy, &image).unwrap();
        self.mount();
    }

    /// What a power cut does: what was not synced is gone.
    pub(crate) fn cut_power(&self) {
        // EXT4_IOC_SHUTDOWN with EXT4_GOING_FLAGS_NOLOGFLUSH; see the kernel's fs/ext4/ext4.h.
        let script = "import fcntl, os, struct, sys\n\
                      fcntl.ioctl(os.open(sys.argv[1], os.O_RDONLY), 0x8004587D, struct.pack('I', 2))";
        succeed(Command::new("python3").args(["-c", script]).arg(&self.at));
    }

    /// Stops all writes until it thaws.
    pub(crate) fn freeze(&self) {
        succeed(Command::new("fsfreeze").arg("-f").arg(&self.at));
    }

    pub(crate) fn thaw(&self) {
        succeed(Command::new("fsfreeze").arg("-u").arg(&self.at));
    }
}

impl Drop for Filesystem {
    fn drop(&mut self) {
        // It may be frozen, or unmounted already.
        let _ = Command::new("fsfreeze").arg("-u").arg(&self.at).stderr(std::process::Stdio::null()).status();
        let _ = Command::new("umount").arg("-l").arg(&self.at).stderr(std::process::Stdio::null()).status();
    }
}

pub(crate) fn succeed(command: &mut Command) {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}
