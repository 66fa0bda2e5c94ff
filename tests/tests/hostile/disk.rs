//! Disks that are full, read-only, or made by the future.

use std::path::Path;
use std::process::Command;

use cullet_tests::{Checkout, User};
use tempfile::TempDir;

use super::support::{expect, expect_right_cache, fan, said, shell, skip};

/// A small file system of its own.
pub(crate) struct Tmpfs(TempDir);

impl Tmpfs {
    /// None where this user cannot mount.
    pub(crate) fn mount(options: &str) -> Option<Self> {
        let dir = tempfile::tempdir().unwrap();
        let mounted =
            Command::new("mount").args(["-t", "tmpfs", "-o", options, "tmpfs"]).arg(dir.path()).output();
        mounted.is_ok_and(|output| output.status.success()).then(|| Self(dir))
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    pub(crate) fn remount(&self, options: &str) {
        let options = format!("remount,{options}");
        assert!(Command::new("mount").args(["-o", &options]).arg(self.path()).status().unwrap().success());
    }
}

impl Drop for Tmpfs {
    fn drop(&mut self) {
        // Lazily: a process that is just dying may still stand in it.
        let _ = Command::new("umount").arg("-l").arg(self.path()).status();
    }
}

fn with_cache_on(disk: &Tmpfs, checkout: &Checkout, arguments: &[&str]) -> std::process::Output {
    let mut command = User::new().command(checkout.path(), arguments.iter().copied());
    command.env("CULLET_CACHE_DIR", disk.path().join("cache")).output().unwrap()
}

#[test]
fn a_read_only_cache_answers_and_says_why_it_cannot_execute() {
    let Some(disk) = Tmpfs::mount("size=64m") else { return skip("this user cannot mount") };
    let checkout = fan("READ-ONLY-CACHE");
    expect(&with_cache_on(&disk, &checkout, &["run", "--output", "reference"]), 0, &["succeeded"]);
    disk.remount("ro");
    let warm = with_cache_on(&disk, &checkout, &["run", "--output", "out"]);
    expect(&warm, 0, &["succeeded fan", "0 executed", "not remembered"]);
    shell(checkout.path(), "diff -r reference out; echo more >> src/f1");
    let words = ["read-only", "name another directory", "failed by the machine"];
    expect(&with_cache_on(&disk, &checkout, &["run"]), 3, &words);
    for command in [&["runs"][..], &["status"], &["logs", "work[i=1]"], &["why", "gen"], &["cache", "stats"]]
    {
        expect(&with_cache_on(&disk, &checkout, command), 0, &[]);
    }
    expect(&with_cache_on(&disk, &checkout, &["doctor"]), 0, &["cannot be written", "CULLET_CACHE_DIR"]);
    for command in [&["cache", "gc", "--to", "0"][..], &["cache", "clear"]] {
        expect(&with_cache_on(&disk, &checkout, command), 3, &["read-only"]);
    }
    disk.remount("rw");
    expect(&with_cache_on(&disk, &checkout, &["run"]), 0, &["succeeded"]);
    expect(&with_cache_on(&disk, &checkout, &["cache", "verify"]), 0, &["everything is right"]);
}

#[test]
fn a_step_that_fills_the_disk() {
    let Some(disk) = Tmpfs::mount("size=8m") else { return skip("this user cannot mount") };
    let text = "cullet: 1\nsteps:\n  fill: { run: 'head -c 60000000 /dev/zero > x', outputs: { x: x } }\n  \
                good: { run: 'echo ok > x', outputs: { x: x } }\n";
    let checkout = Checkout::of_pipeline(text);
    let arguments = ["run", "--keep-going", "--jobs", "1", "--progress", "plain"];
    let run = with_cache_on(&disk, &checkout, &arguments);
    expect(&run, 1, &["fill: failed", "good: succeeded"]);
    assert!(said(&run).to_lowercase().contains("no space left"), "{}", said(&run));
    shell(disk.path(), "test -z \"$(ls cache/work cache/tmp | grep -v ':' | grep .)\"");
    expect(&with_cache_on(&disk, &checkout, &["cache", "verify"]), 0, &["everything is right"]);
    expect(&with_cache_on(&disk, &checkout, &["run", "good", "--progress", "plain"]), 0, &["good: cached"]);
}

#[test]
fn no_space_for_the_cache() {
    // What is remembered of a machine with much software takes some megabytes.
    let Some(disk) = Tmpfs::mount("size=16m") else { return skip("this user cannot mount") };
    let checkout =
        Checkout::of_pipeline("cullet: 1\nsteps: { good: { run: 'echo ok > x', outputs: { x: x } } }\n");
    shell(disk.path(), "head -c 20000000 /dev/zero > filler || true");
    let words = ["no space left for the cache in", "free some", "CULLET_CACHE_DIR"];
    expect(&with_cache_on(&disk, &checkout, &["run"]), 3, &words);
    expect(&with_cache_on(&disk, &checkout, &["doctor"]), 3, &["no space left for the cache in"]);
    shell(disk.path(), "rm filler");
    expect(&with_cache_on(&disk, &checkout, &["run"]), 0, &["1 executed"]);
    shell(disk.path(), "head -c 20000000 /dev/zero > filler || true");
    expect(&with_cache_on(&disk, &checkout, &["run", "--no-cache"]), 3, &words[..2]);
    expect(&with_cache_on(&disk, &checkout, &["run"]), 0, &["0 executed", "1 cached"]);
    shell(disk.path(), "rm filler");
    expect(&with_cache_on(&disk, &checkout, &["cache", "verify"]), 0, &["everything is right"]);
    expect(&with_cache_on(&disk, &checkout, &["run"]), 0, &["0 executed", "1 cached"]);
}

#[test]
fn a_cache_of_the_future_is_left_alone() {
    let (user, checkout) = (User::new(), fan("FUTURE-CACHE"));
    user.run(&checkout).assert_success();
    let version = user.cache().join("VERSION");
    let known = std::fs::read(&version).unwrap();
    std::fs::write(&version, "99\n").unwrap();
    let before = super::support::files(user.cache());
    let words = ["has format 99", "use a newer cullet, or another directory"];
    for command in
        [&["run"][..], &["cache", "stats"], &["cache", "clear"], &["cache", "verify"], &["why", "gen"]]
    {
        expect(&user.cullet(&checkout, command.iter().copied()), 2, &words);
    }
    expect(&user.cullet(&checkout, ["doctor"]), 3, &words);
    assert_eq!(super::support::files(user.cache()), before);
    std::fs::write(&version, "garbage\n").unwrap();
    expect(&user.cullet(&checkout, ["run"]), 3, &["VERSION", "hint: name another directory"]);
    std::fs::write(&version, known).unwrap();
    assert_eq!(user.run(&checkout).executed(), [""; 0]);
    expect_right_cache(&user, &checkout);
}

#[test]
fn a_cache_directory_that_is_none() {
    let checkout = Checkout::of_pipeline("cullet: 1\nsteps: { a: { run: 'true' } }\n");
    let user = User::new();
    checkout.write("file", "");
    for place in ["file", "/dev/null", "/proc"] {
        let mut command = user.command(checkout.path(), ["run"]);
        let output = command.env("CULLET_CACHE_DIR", place).output().unwrap();
        expect(&output, 3, &[place, "hint: name another directory with --cache-dir or CULLET_CACHE_DIR"]);
    }
    // Among the things of somebody else it works, and clearing takes only what is Cullet's.
    checkout.write("home/thesis", "years");
    for arguments in [&["run"][..], &["cache", "clear", "--force"]] {
        let mut command = user.command(checkout.path(), arguments.iter().copied());
        assert!(command.env("CULLET_CACHE_DIR", "home").status().unwrap().success());
    }
    shell(checkout.path(), "grep years home/thesis");
}
