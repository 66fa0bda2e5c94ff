//! An engine whose disk is full, and images that are removed from one.

use std::path::Path;
use std::process::Command;

use cullet_tests::User;

use super::engine::{Engine, checkout, log, reason, text};
use super::support::{expect, skip};

/// A filesystem in memory of that many megabytes, gone with this.
struct Small {
    dir: tempfile::TempDir,
}

impl Small {
    fn of(megabytes: u32) -> Option<Self> {
        let dir = tempfile::tempdir().unwrap();
        let options = format!("size={megabytes}m");
        let mount =
            Command::new("mount").args(["-t", "tmpfs", "-o", &options, "tmpfs"]).arg(dir.path()).status();
        if !mount.is_ok_and(|status| status.success()) {
            skip("filesystems in memory take root");
            return None;
        }
        Some(Self { dir })
    }

    fn path(&self) -> &Path {
        self.dir.path()
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        // The engine may be letting go of it still.
        drop(Command::new("umount").arg("--lazy").arg(self.path()).status());
    }
}

#[test]
fn a_full_disk_of_the_engine_is_said_and_nothing_half_made_stays() {
    let Some(small) = Small::of(48) else { return };
    let Some(engine) = Engine::in_place(small.path()) else { return };
    let step = |run: &str| format!("cullet: 1\nsteps:\n  a: {{ image: 'oci-layout:app', run: '{run}' }}\n");
    let (user, project) = (User::new(), checkout(&step("cat /layer")));
    engine.run(&user, &project, &[]).assert_success();

    // Another image, for which there is no room.
    let filler = small.path().join("filler");
    fill(&filler);
    super::made::Image { layers: &["two"], ..Default::default() }.layout(&project.path().join("app"));
    let images = engine.images();
    let full = engine.run(&user, &project, &[]);
    assert_eq!((full.exit_code, &*full.steps["a"].status), (3, "infra_failed"), "{:?}", full.steps);
    assert!(reason(&full, "a").contains("no space left on device"), "{}", reason(&full, "a"));
    assert_eq!(engine.images(), images);
    assert_eq!((engine.containers(""), engine.volumes()), (0, 0));

    std::fs::remove_file(&filler).unwrap();
    let roomy = engine.run(&user, &project, &[]);
    roomy.assert_success();
    assert_eq!(log(&roomy, "a"), "two\n");

    // Inputs, for which there is none.
    project.write("large", &"x".repeat(8 << 20));
    project.write(
        "cullet.yaml",
        "cullet: 1\nsources: { s: { path: ., include: [/large] } }\nsteps:\n  a: { image: 'oci-layout:app', inputs: { .: s }, run: 'true' }\n",
    );
    fill(&filler);
    let full = engine.run(&user, &project, &[]);
    assert_eq!((full.exit_code, &*full.steps["a"].status), (3, "infra_failed"), "{:?}", full.steps);
    assert!(reason(&full, "a").contains("no space left on device"), "{}", reason(&full, "a"));
    assert_eq!((engine.containers(""), engine.volumes()), (0, 0));
    std::fs::remove_file(&filler).unwrap();
    engine.run(&user, &project, &[]).assert_success();
}

/// Until nothing more goes in.
fn fill(path: &Path) {
    let mut dd = Command::new("dd");
    dd.arg("if=/dev/zero").arg(format!("of={}", path.display())).args(["bs=64k", "status=none"]);
    assert!(!dd.status().unwrap().success(), "there is no end to it");
}

#[test]
fn clearing_the_cache_removes_its_images_from_the_engine_and_no_others() {
    let Some(engine) = Engine::own() else { return };
    let step = "cullet: 1\nsteps:\n  a: { image: 'oci-layout:app', run: 'cat /layer; echo > /x' }\n  b: { from: a, run: 'true' }\n";
    let (user, other, project) = (User::new(), User::new(), checkout(step));
    engine.run(&user, &project, &[]).assert_success();
    super::made::Image { layers: &["two"], ..Default::default() }.layout(&project.path().join("app"));
    engine.run(&other, &project, &["a"]).assert_success();
    assert_eq!(engine.images().len(), 3);
    // What was used lately stays where not all is to go.
    expect(&engine.cullet(&user, &project, &["cache", "gc", "--to", "0"]), 0, &["freed"]);
    assert_eq!(engine.images().len(), 3);
    let host = engine.host();
    let mut away = engine.command(&user, &project, &["cache", "clear"]);
    let away = away.env("DOCKER_HOST", "unix:///nowhere/docker.sock").output().unwrap();
    expect(&away, 0, &["stay there: no Docker engine listens at /nowhere/docker.sock", "is empty"]);
    let cleared = engine.cullet(&user, &project, &["cache", "clear"]);
    expect(&cleared, 0, &["removed 2 images from the Docker engine at", &host]);
    assert_eq!(engine.images().len(), 1);
    let again = text(&engine.cullet(&user, &project, &["cache", "clear"]));
    assert!(!again.contains("Docker"), "{again}");
    // It comes back when it is needed.
    engine.run(&user, &project, &[]).assert_success();
    assert_eq!(engine.images().len(), 2);
}
