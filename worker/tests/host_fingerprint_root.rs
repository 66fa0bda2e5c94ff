//! Everything that a step can see of a machine's own directories changes the fingerprint; nothing else does.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use cullet_worker::host::{HostFingerprint, HostTools, fingerprint_of};

/// A small machine in a directory.
struct Machine {
    base: tempfile::TempDir,
    tools: HostTools,
}

impl Machine {
    fn new() -> Self {
        let tools = HostTools {
            path: ["/home/u/.rbenv/shims", "/opt/jdk/bin", "/usr/bin"].map(str::to_owned).to_vec(),
            binds: ["/home/u/.rbenv", "/opt/jdk", "/opt/jdk/bin"].map(PathBuf::from).to_vec(),
            env: Vec::new(),
            home: Some(PathBuf::from("/home/u")),
        };
        let machine = Self { base: tempfile::tempdir().unwrap(), tools };
        for file in [
            "etc/os-release",
            "etc/ssl/openssl.cnf",
            "etc/ssl/private/key",
            "etc/shadow",
            "etc/hostname",
            "usr/bin/mawk",
            "usr/bin/gawk",
            "usr/lib/triplet/libc.so.6",
            "usr/include/stdio.h",
            "usr/local/include/own.h",
            "usr/local/share/deep/er/data",
            "usr/local/script",
            "opt/jdk/lib/modules",
            "opt/other/file",
            "var/lib/dpkg/status",
            "home/u/.rbenv/versions/3.3.0/bin/ruby",
            "home/u/secret",
        ] {
            machine.write(file, "before");
        }
        machine.link("etc/alternatives/awk", "/usr/bin/mawk");
        machine.link("bin", "usr/bin");
        machine
    }

    fn root(&self) -> PathBuf {
        self.base.path().join("root")
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.root().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn link(&self, path: &str, target: &str) {
        let path = self.root().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let _ = fs::remove_file(&path);
        symlink(target, path).unwrap();
    }

    fn take(&self) -> HostFingerprint {
        fingerprint_of(&self.root(), &self.tools, None)
    }

    fn remembered(&self) -> HostFingerprint {
        fingerprint_of(&self.root(), &self.tools, Some(&self.base.path().join("memory")))
    }

    /// The parts that differ after `change`.
    fn changed(&self, change: impl FnOnce()) -> Vec<String> {
        let before = self.take();
        change();
        self.take().changed_since(&before)
    }
}

#[test]
fn an_alternative_is_a_part() {
    let machine = Machine::new();
    assert_eq!(
        machine.changed(|| machine.link("etc/alternatives/awk", "/usr/bin/gawk")),
        ["/etc/alternatives"]
    );
    assert_eq!(
        machine.changed(|| machine.link("etc/alternatives/cc", "/usr/bin/gcc")),
        ["/etc/alternatives"]
    );
}

#[test]
fn so_are_contents_names_and_the_right_to_execute() {
    let machine = Machine::new();
    let written = |path: &str, text: &str| machine.changed(|| machine.write(path, text));
    assert_eq!(written("etc/ssl/openssl.cnf", "BEFORE"), ["/etc/ssl"]);
    assert_eq!(written("etc/npmrc", "x"), ["/etc/npmrc"]);
    assert_eq!(written("usr/bin/mawk", "BEFORE"), ["/usr/bin"]);
    assert_eq!(written("usr/bin/unpackaged", "x"), ["/usr/bin"]);
    assert_eq!(written("usr/local/include/own.h", "BEFORE"), ["/usr/local/include"]);
    assert_eq!(written("usr/local/share/deep/er/data", "BEFORE"), ["/usr/local/share"]);
    assert_eq!(written("usr/local/share/deep/er/more", "x"), ["/usr/local/share"]);
    assert_eq!(written("usr/local/script", "BEFORE"), ["/usr/local/script"]);
    assert_eq!(written("usr/local/new/file", "x"), ["/usr/local/new"]);
    assert_eq!(written("usr/include/new.h", "x"), ["/usr/include"]);
    assert_eq!(written("usr/lib/triplet/libnew.so", "x"), ["/usr/lib"]);
    assert_eq!(written("usr/lib/triplet/libc.so.6", "larger than before"), ["/usr/lib"]);
    assert_eq!(written("opt/jdk/lib/modules", "BEFORE"), ["/opt/jdk"]);
    assert_eq!(written("var/lib/dpkg/status", "BEFORE"), ["packages (dpkg)"]);
    let executable = machine.changed(|| {
        let file = machine.root().join("usr/bin/mawk");
        fs::set_permissions(file, fs::Permissions::from_mode(0o755)).unwrap();
    });
    assert_eq!(executable, ["/usr/bin"]);
    let removed =
        machine.changed(|| fs::remove_file(machine.root().join("usr/local/include/own.h")).unwrap());
    assert_eq!(removed, ["/usr/local/include"]);
}

#[test]
fn so_are_the_versions_that_a_manager_installed() {
    let machine = Machine::new();
    let ruby = "installation ~/.rbenv/versions/3.3.0";
    let changed = machine.changed(|| machine.write("home/u/.rbenv/versions/3.3.0/bin/ruby", "BEFORE"));
    assert_eq!(changed, [ruby]);
    let changed = machine.changed(|| machine.write("home/u/.rbenv/versions/3.4.0/bin/ruby", "x"));
    assert_eq!(changed, ["installation ~/.rbenv/versions/3.4.0"]);
    let gem = "home/u/.rbenv/versions/3.3.0/lib/ruby/gems/3.3.0/gems/rake-13.0/rake.rb";
    assert_eq!(machine.changed(|| machine.write(gem, "x")), [ruby]);
    let changed = machine.changed(|| machine.write("home/u/.rbenv/version", "3.4.0"));
    assert_eq!(changed, ["choice ~/.rbenv/version", "installation ~/.rbenv"]);
}

#[test]
fn what_steps_do_not_see_is_none() {
    let machine = Machine::new();
    for hidden in [
        "etc/shadow",
        "etc/hostname",
        "etc/ssh/ssh_host_key.pub",
        "etc/localtime",
        "etc/ssl/private/key",
        "opt/other/file",
        "opt/third/file",
        "home/u/secret",
        "srv/data",
        "usr/lib/triplet/__pycache__/x.pyc",
        "usr/local/share/deep/__pycache__/x.pyc",
    ] {
        assert_eq!(machine.changed(|| machine.write(hidden, "x")), [""; 0], "{hidden}");
    }
}

#[test]
fn times_inodes_and_owners_are_none() {
    let machine = Machine::new();
    let before = machine.take();
    let other = Machine::new();
    assert_eq!(other.take(), before);
    for path in ["usr/bin/mawk", "usr/local/include/own.h", "etc/ssl/openssl.cnf", "opt/jdk/lib/modules"] {
        let path = other.root().join(path);
        let file = fs::File::options().write(true).open(&path).unwrap();
        file.set_modified(SystemTime::now() - Duration::from_secs(1_000_000)).unwrap();
        // As an ordinary user this is refused, and the rest holds all the same.
        let _ = std::os::unix::fs::chown(&path, Some(12345), Some(12345));
    }
    assert_eq!(other.take(), before);
}

#[test]
fn the_order_in_which_a_directory_lists_is_none() {
    let (one, other) = (Machine::new(), Machine::new());
    for number in 0..300 {
        one.write(&format!("usr/local/share/many/{number}"), "x");
        other.write(&format!("usr/local/share/many/{}", 299 - number), "x");
    }
    assert_eq!(one.take(), other.take());
}

#[test]
fn the_memory_sees_a_file_that_is_overwritten_in_place() {
    let machine = Machine::new();
    // What changed just now is not remembered, because it may change again within one tick of its times.
    std::thread::sleep(Duration::from_millis(3100));
    let before = machine.remembered();
    assert_eq!(machine.remembered(), before);
    assert!(machine.base.path().join("memory.files").exists());
    for (path, part) in [
        ("usr/bin/mawk", "/usr/bin"),
        ("usr/local/include/own.h", "/usr/local/include"),
        ("opt/jdk/lib/modules", "/opt/jdk"),
        ("etc/ssl/openssl.cnf", "/etc/ssl"),
    ] {
        machine.write(path, "BEFORE");
        assert_eq!(machine.remembered().changed_since(&before), [part]);
        machine.write(path, "before");
        assert_eq!(machine.remembered(), before, "{path}");
    }
}

#[test]
fn the_memory_sees_every_kind_of_change() {
    type Change = fn(&Machine);
    let changes: [(&str, Change); 15] = [
        ("an overwritten program", |machine| machine.write("usr/bin/mawk", "BEFORE")),
        ("a program more", |machine| machine.write("usr/bin/unpackaged", "x")),
        ("a program less", |machine| fs::remove_file(machine.root().join("usr/bin/gawk")).unwrap()),
        ("a right to execute", |machine| {
            let file = machine.root().join("usr/local/script");
            fs::set_permissions(file, fs::Permissions::from_mode(0o755)).unwrap();
        }),
        ("an alternative", |machine| machine.link("etc/alternatives/awk", "/usr/bin/gawk")),
        ("a directory's link", |machine| machine.link("bin", "usr/sbin")),
        ("a library", |machine| machine.write("usr/lib/triplet/libnew.so", "x")),
        ("a directory that was not there", |machine| machine.write("usr/local/new/file", "x")),
        ("a file that was not there", |machine| machine.write("etc/npmrc", "x")),
        ("a link that was not there", |machine| machine.link("lib64", "usr/lib64")),
        ("another package database", |machine| machine.write("var/lib/rpm/Packages", "x")),
        ("an updated package", |machine| machine.write("var/lib/dpkg/status", "BEFORE")),
        ("a version more", |machine| machine.write("home/u/.rbenv/versions/3.4.0/bin/ruby", "x")),
        ("a choice that was not there", |machine| machine.write("home/u/.rbenv/version", "3.3.0")),
        ("a package of a language", |machine| {
            machine.write("home/u/.rbenv/versions/3.3.0/lib/ruby/gems/3.3.0/gems/rake-13.0/rake.rb", "x");
        }),
    ];
    let machines: Vec<Machine> = changes.iter().map(|_| Machine::new()).collect();
    // Times of what changed just now are not trusted.
    std::thread::sleep(Duration::from_millis(3100));
    for ((what, change), machine) in changes.iter().zip(&machines) {
        let before = machine.remembered();
        let looks = machine.base.path().join("memory.looks");
        let written = fs::metadata(&looks).unwrap().modified().unwrap();
        assert_eq!(machine.remembered(), before);
        assert_eq!(fs::metadata(&looks).unwrap().modified().unwrap(), written, "recalled");
        change(machine);
        let after = machine.remembered();
        assert_ne!(after, before, "{what}");
        assert_eq!(after, machine.take(), "{what}");
    }
}

#[test]
fn a_damaged_memory_is_none() {
    let machine = Machine::new();
    std::thread::sleep(Duration::from_millis(3100));
    let before = machine.remembered();
    let files = ["memory", "memory.files", "memory.looks"].map(|name| machine.base.path().join(name));
    for file in &files {
        let whole = fs::read(file).unwrap();
        for place in (0..whole.len()).step_by(whole.len() / 20) {
            let mut turned = whole.clone();
            turned[place] ^= 0x04;
            // It would hold, and nothing else would be read.
            let _ = fs::remove_file(&files[2]);
            fs::write(file, &turned).unwrap();
            assert_eq!(machine.remembered(), before, "{} at {place}", file.display());
        }
        fs::write(file, &whole[..whole.len() / 2]).unwrap();
        assert_eq!(machine.remembered(), before, "{}", file.display());
    }
}

#[test]
fn a_memory_for_some_tools_is_none_for_others() {
    let mut machine = Machine::new();
    std::thread::sleep(Duration::from_millis(3100));
    let before = machine.remembered();
    machine.tools.path.reverse();
    assert_eq!(machine.remembered().changed_since(&before), ["search path"]);
}

#[test]
fn a_memory_of_one_machine_is_no_memory_of_another() {
    let (one, other) = (Machine::new(), Machine::new());
    other.write("usr/bin/mawk", "another");
    std::thread::sleep(Duration::from_millis(3100));
    let memory = one.base.path().join("memory");
    let take =
        |machine: &Machine, memory: Option<&Path>| fingerprint_of(&machine.root(), &machine.tools, memory);
    take(&one, Some(&memory));
    assert_eq!(take(&other, Some(&memory)), other.take());
}
