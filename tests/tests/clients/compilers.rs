//! Caches of compilers.

use std::fs;
use std::path::Path;
use std::process::Command;

use cullet_tests::cluster::Cluster;
use tempfile::TempDir;

use super::{configuration, has};

const SOURCE: &str = "#include <stdio.h>\nint main(void) { puts(\"hello\"); return 0; }\n";

/// The variables that a guide sets.
fn variables(guide: &str, block: usize, cluster: &Cluster) -> Vec<(String, String)> {
    let url = cluster.url(0);
    let text = &configuration(guide, "sh", url.trim_start_matches("http://"))[block];
    let lines = text.lines().filter_map(|line| line.strip_prefix("export ")?.split_once('='));
    let unquoted = |value: &str| value.trim_matches(['\'', '"']).to_owned();
    lines.map(|(name, value)| (name.to_owned(), unquoted(value))).collect()
}

fn run(command: &mut Command) -> String {
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {said}");
    said.into_owned()
}

/// Compiles the source with an empty directory for everything that the machine keeps, and says where the result is.
fn compile(dir: &Path, source: &str, compiler: &[&str], variables: &[(String, String)]) -> Vec<u8> {
    fs::write(dir.join("main.c"), source).unwrap();
    let mut command = Command::new("timeout");
    command.arg("60").args(compiler).args(["-O1", "-c", "main.c", "-o", "main.o"]).current_dir(dir);
    command.envs(variables.iter().cloned()).env("HOME", dir);
    run(&mut command);
    fs::read(dir.join("main.o")).unwrap()
}

#[test]
fn ccache_finds_what_another_machine_compiled() {
    if !has("ccache") || !has("gcc") {
        return;
    }
    let cluster = Cluster::start(1, 0);
    cluster.agreed();
    // The path is in what is compiled, for debuggers, so both have the same.
    let place = TempDir::new().unwrap();
    let machine = |name: &str, variables: &[(String, String)]| {
        let dir = place.path().join("here");
        fs::create_dir(&dir).unwrap();
        let statistics = dir.join("log");
        let mut variables = variables.to_vec();
        variables.push(("CCACHE_DIR".to_owned(), dir.join("cache").display().to_string()));
        variables.push(("CCACHE_STATSLOG".to_owned(), statistics.display().to_string()));
        let object = compile(&dir, SOURCE, &["ccache", "gcc"], &variables);
        let said = fs::read_to_string(&statistics).unwrap();
        fs::rename(&dir, place.path().join(name)).unwrap();
        (object, said)
    };
    let guide = variables("ccache.md", 0, &cluster);
    let (made, said) = machine("one", &guide);
    assert!(said.contains("cache_miss") && !said.contains("error"), "{said}");
    let (found, said) = machine("two", &guide);
    assert!(said.contains("remote_storage_hit"), "{said}");
    assert_eq!(found, made);
    // Of another branch, nothing is seen; of what is protected, it would be.
    let other: Vec<_> =
        guide.iter().map(|(name, value)| (name.clone(), value.replace("branch/main", "branch/x"))).collect();
    let (_, said) = machine("three", &other);
    assert!(said.contains("cache_miss"), "{said}");
}

#[test]
fn sccache_finds_what_another_machine_compiled() {
    if !has("sccache") || !has("gcc") {
        return;
    }
    let cluster = Cluster::start(1, 0);
    cluster.agreed();
    let guide = variables("sccache.md", 0, &cluster);
    let place = TempDir::new().unwrap();
    let dir = place.path().join("here");
    let machine = || {
        fs::create_dir(&dir).unwrap();
        let held = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = held.local_addr().unwrap().port().to_string();
        drop(held);
        let mut variables = guide.clone();
        variables.push(("SCCACHE_SERVER_PORT".to_owned(), port));
        let object = compile(&dir, SOURCE, &["sccache", "gcc"], &variables);
        let mut stop = Command::new("sccache");
        let said = run(stop.arg("--stop-server").envs(variables).env("HOME", &dir));
        fs::remove_dir_all(&dir).unwrap();
        (object, said)
    };
    let count = |said: &str, what: &str| {
        let line = said.lines().find(|line| line.starts_with(what)).unwrap_or_else(|| panic!("{said}"));
        line.split_whitespace().last().unwrap().parse::<u32>().unwrap()
    };
    let (made, said) = machine();
    assert_eq!((count(&said, "Cache hits  "), count(&said, "Cache write errors")), (0, 0), "{said}");
    let (found, said) = machine();
    assert_eq!((count(&said, "Cache hits  "), count(&said, "Cache read errors")), (1, 0), "{said}");
    assert_eq!(found, made);
}
