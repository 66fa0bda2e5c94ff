//! The fingerprint of a machine changes with its tools and with nothing else.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use cullet_worker::host::{HostFingerprint, HostTools, fingerprint, look};

fn write(path: &Path, text: &str) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
    let file = fs::File::options().write(true).open(path).unwrap();
    file.set_modified(SystemTime::now() - Duration::from_secs(100)).unwrap();
}

fn tools(home: &Path) -> HostTools {
    let path = format!("{0}/.cargo/bin:{0}/.pyenv/shims:/usr/bin", home.display());
    HostTools {
        path: path.split(':').map(str::to_owned).collect(),
        binds: Vec::new(),
        env: vec![
            ("RUSTUP_HOME".to_owned(), home.join(".rustup").display().to_string()),
            ("PYENV_ROOT".to_owned(), home.join(".pyenv").display().to_string()),
        ],
        home: Some(home.to_path_buf()),
    }
}

/// A home with a Rust toolchain and a Python.
fn home(base: &Path, name: &str) -> PathBuf {
    let home = base.join(name);
    write(&home.join(".cargo/bin/cargo"), "proxy");
    write(&home.join(".rustup/toolchains/stable/bin/rustc"), "rustc 1");
    write(
        &home.join(".rustup/settings.toml"),
        &format!("default_toolchain = \"stable\"\n[overrides]\n\"{}\" = \"nightly\"\n", home.display()),
    );
    symlink(home.join(".rustup/toolchains/stable"), home.join(".rustup/toolchains/1.0")).unwrap();
    write(
        &home.join(".pyenv/shims/pip"),
        &format!("#!/bin/sh\nexec {}/.pyenv/libexec/pyenv pip\n", home.display()),
    );
    write(&home.join(".pyenv/versions/3.12.1/bin/python3"), "python");
    fs::create_dir_all(
        home.join(".pyenv/versions/3.12.1/lib/python3.12/site-packages/pytest-8.0.0.dist-info"),
    )
    .unwrap();
    home
}

fn take(home: &Path) -> HostFingerprint {
    // The rest of this machine is read once a test only.
    fingerprint(&tools(home), Some(&home.with_file_name("memory-of-the-rest")))
}

#[test]
fn two_users_with_the_same_tools_have_the_same() {
    let base = tempfile::tempdir().unwrap();
    let (one, other) = (take(&home(base.path(), "one")), take(&home(base.path(), "another-user")));
    assert_eq!(one.changed_since(&other), [""; 0]);
    assert_eq!(one, other);
    let text = format!("{one:?}");
    assert!(!text.contains("one/") && one.digest.len() == 64, "{text}");
}

#[test]
fn names_the_part_that_changed() {
    let base = tempfile::tempdir().unwrap();
    let home = home(base.path(), "u");
    let before = take(&home);
    let changed = |path: &str, text: &str| {
        write(&home.join(path), text);
        take(&home).changed_since(&before)
    };
    assert_eq!(changed(".cargo/bin/cargo", "proxy 2"), ["tools ~/.cargo/bin"]);
    write(&home.join(".cargo/bin/cargo"), "proxy");
    assert_eq!(
        changed(".rustup/toolchains/stable/bin/rustc", "rustc 2"),
        ["rust toolchain 1.0", "rust toolchain stable"]
    );
    write(&home.join(".rustup/toolchains/stable/bin/rustc"), "rustc 1");
    assert_eq!(changed(".cargo/bin/extra", "x"), ["tools ~/.cargo/bin"]);
    fs::remove_file(home.join(".cargo/bin/extra")).unwrap();
    let packages = home.join(".pyenv/versions/3.12.1/lib/python3.12/site-packages");
    fs::rename(packages.join("pytest-8.0.0.dist-info"), packages.join("pytest-8.0.1.dist-info")).unwrap();
    assert_eq!(take(&home).changed_since(&before), ["python 3.12.1"]);
    fs::rename(packages.join("pytest-8.0.1.dist-info"), packages.join("pytest-8.0.0.dist-info")).unwrap();
    assert_eq!(take(&home), before);
}

#[test]
fn the_memory_changes_nothing_but_the_time() {
    let base = tempfile::tempdir().unwrap();
    let (home, memory) = (home(base.path(), "u"), base.path().join("memory"));
    let tools = tools(&home);
    let fresh = fingerprint(&tools, None);
    assert_eq!(fingerprint(&tools, Some(&memory)), fresh);
    assert!(memory.exists());
    assert_eq!(fingerprint(&tools, Some(&memory)), fresh);
    // Same size, same modification time: only the change time tells.
    write(&home.join(".cargo/bin/cargo"), "PROXY");
    assert_eq!(fingerprint(&tools, Some(&memory)).changed_since(&fresh), ["tools ~/.cargo/bin"]);
    fs::write(&memory, b"\xff\xff\xff not a memory").unwrap();
    assert_eq!(fingerprint(&tools, Some(&memory)), fingerprint(&tools, None));
    assert_eq!(fingerprint(&tools, Some(Path::new("/nonexistent/memory"))), fingerprint(&tools, None));
}

#[test]
fn the_tools_of_this_machine_have_one() {
    let path = std::env::var("PATH").unwrap_or_default();
    let home = std::env::var_os("HOME").map(PathBuf::from);
    let tools = HostTools::discover(&path, home.as_deref());
    let base = tempfile::tempdir().unwrap();
    let memory = base.path().join("memory");
    let cold = fingerprint(&tools, Some(&memory));
    let mut fastest = Duration::MAX;
    let mut warm = cold.clone();
    for _ in 0..20 {
        let clock = std::time::Instant::now();
        warm = fingerprint(&tools, Some(&memory));
        fastest = fastest.min(clock.elapsed());
    }
    println!("warm: {fastest:?}, {} parts", warm.parts.len());
    assert_eq!(cold, warm);
    assert!(warm.parts.iter().any(|part| part.name == "architecture"));
}

#[test]
fn a_look_is_discovery_and_fingerprint() {
    // Not below /tmp, whose directories are never shown.
    let base = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let (home, memory) = (home(base.path(), "u"), base.path().join("memory"));
    let path = format!("{0}/.cargo/bin:{0}/later:/usr/bin", home.display());
    let both = || {
        let tools = HostTools::discover(&path, Some(&home));
        let fingerprint = fingerprint(&tools, None);
        (tools, fingerprint)
    };
    let remembered = || look(&path, Some(&home), Some(&memory));
    std::thread::sleep(Duration::from_millis(3100));
    let before = remembered();
    assert_eq!((remembered(), both()), (before.clone(), before.clone()));
    assert!(before.0.binds.contains(&home.join(".rustup")));
    // Of another path or home, nothing is known.
    assert_eq!(look("/usr/bin", Some(&home), Some(&memory)).0, HostTools::discover("/usr/bin", Some(&home)));
    assert_eq!(look(&path, None, Some(&memory)).0, HostTools::discover(&path, None));
    assert_eq!(remembered(), before);
    write(&home.join(".cargo/bin/cargo"), "PROXY");
    let after = remembered();
    assert_eq!(after.1.changed_since(&before.1), ["tools ~/.cargo/bin"]);
    // A directory of the path that was not there.
    write(&home.join("later/tool"), "x");
    let after = remembered();
    assert!(after.0.path.contains(&home.join("later").display().to_string()));
    assert_eq!(after, both());
}
