//! `cullet worker` without a cluster.

use std::io::Read as _;
use std::net::TcpListener;
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::{cullet, run, stderr};

const PATIENCE: Duration = Duration::from_secs(30);

fn until(what: &str, mut check: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !check() {
        assert!(Instant::now() < deadline, "waited in vain: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn signal(child: &Child) {
    assert!(Command::new("kill").arg(child.id().to_string()).status().unwrap().success());
}

#[test]
fn one_that_nobody_answers_goes_on_trying_and_ends_when_told() {
    let home = tempfile::tempdir().unwrap();
    let log = home.path().join("log");
    let args = ["worker", "--join", "127.0.0.1:9", "--executor", "plain", "--name", "w-0"];
    let file = std::fs::File::create(&log).unwrap();
    let mut child = cullet(home.path(), &args).stderr(file).stdout(Stdio::piped()).spawn().unwrap();
    until("it says so", || std::fs::read_to_string(&log).unwrap().contains("no leader there"));
    assert!(child.try_wait().unwrap().is_none(), "it goes on");
    signal(&child);
    let ended = child.wait().unwrap();
    let log = std::fs::read_to_string(&log).unwrap();
    assert_eq!((ended.code(), ended.signal()), (Some(0), None), "{log}");
    assert!(log.contains("name=\"w-0\"") && log.contains("Connection refused"), "{log}");
    let mut printed = String::new();
    child.stdout.unwrap().read_to_string(&mut printed).unwrap();
    assert_eq!(printed, "");
}

#[test]
fn what_the_machine_does_not_give_is_3() {
    let home = tempfile::tempdir().unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let plain = ["worker", "--join", "127.0.0.1:9", "--executor", "plain"];
    let refused = run(home.path(), &[&plain[..], &["--listen", &address]].concat());
    assert_eq!(refused.status.code(), Some(3));
    assert!(stderr(&refused).contains(&format!("cannot listen on {address}")), "{}", stderr(&refused));
    let file = home.path().join("file");
    std::fs::write(&file, "").unwrap();
    let file = file.to_str().unwrap();
    for (flag, words) in [("--data", file), ("--store", "shared store")] {
        let refused = run(home.path(), &[&plain[..], &[flag, file]].concat());
        assert_eq!(refused.status.code(), Some(3), "{flag}");
        assert!(stderr(&refused).contains(words), "{flag}: {}", stderr(&refused));
    }
}
