//! `cullet lock`, and what `cullet run` makes of its file.

mod project;

use std::io::Read as _;
use std::path::PathBuf;
use std::time::Duration;

use cullet_image::Platform;
pub(crate) use project::Registry;
use project::{Project, beginning, lock_of};

use crate::{cullet, stderr, stdout};

const OTHER: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

#[track_caller]
fn assert_says(text: &str, part: &str) {
    assert!(text.contains(part), "{part:?} is not in\n{text}");
}

#[test]
fn layouts_and_archives_are_locked_and_stay_so_until_they_are_looked_up_again() {
    let project = Project::with(&["oci-layout:images/app", "docker-archive:app.tar"]);
    let first = project.layout("images/app", "1").digest;
    project.archive("app.tar", "of an archive");
    assert_says(&project.says(&["lock", "--check"], 2), "missing: oci-layout:images/app for linux/");
    assert!(!project.path("cullet.lock").exists(), "--check writes nothing");
    let said = project.says(&["lock"], 0);
    assert_says(&said, &format!("locked: oci-layout:images/app for {}: {first}", Platform::host()));
    assert_says(&said, "cullet.lock: 2 images, written");
    let text = project.read();
    assert_says(&project.says(&["lock"], 0), "cullet.lock: 2 images, nothing changed");
    assert_says(&project.says(&["lock", "--check"], 0), "2 images, everything is locked");
    assert_eq!(project.read(), text);

    let second = project.layout("images/app", "2").digest;
    project.says(&["lock"], 0);
    assert_eq!(project.read(), text, "what is there is not asked for again");
    let said = project.says(&["lock", "--check"], 2);
    assert_says(
        &said,
        &format!("changed: oci-layout:images/app for {}: {first} -> {second}", Platform::host()),
    );
    assert_says(&said, "hint: run `cullet lock --update 'oci-layout:images/app'`");
    project.says(&["lock", "--update", "docker-archive:app.tar"], 0);
    assert_eq!(project.read(), text, "another image was to be looked up");
    project.says(&["lock", "--update"], 0);
    assert_eq!(project.read(), text.replace(&first.to_string(), &second.to_string()));

    // From wherever it is run, files are relative to the pipeline.
    std::fs::create_dir(project.path("elsewhere")).unwrap();
    let file = project.path("cullet.yaml").display().to_string();
    let mut command = cullet(project.home.path(), &["lock", "--update", "-f", &file]);
    let output = command.current_dir(project.path("elsewhere")).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert_says(&stdout(&output), "nothing changed");
}

#[test]
fn images_that_are_not_needed_any_more_go_when_somebody_says_so() {
    let project = Project::with(&["oci-layout:one", "oci-layout:two"]);
    project.layout("one", "1");
    project.layout("two", "2");
    project.says(&["lock"], 0);
    let text = project.read();
    project.pipeline(&["oci-layout:one"]);
    assert_says(&project.says(&["lock"], 0), "nothing changed");
    assert_eq!(project.read(), text, "another pipeline or parameter may need it");
    assert_says(&project.says(&["lock", "--prune", "--check"], 2), "dropped: oci-layout:two for ");
    project.says(&["lock", "--prune"], 0);
    let digest = project.layout("one", "1").digest.to_string();
    assert_eq!(project.read(), lock_of("oci-layout:one", &digest));
    project.pipeline(&[]);
    project.says(&["run", "--locked", "--executor", "plain"], 0);
}

#[test]
fn what_is_wrong_is_said_and_changes_nothing() {
    let project = Project::with(&["oci-layout:app"]);
    assert_says(&project.says(&["lock"], 2), "cannot resolve the image oci-layout:app for linux/");
    project.layout("app", "1");
    let said = project.says(&["lock", "--platform", "linux"], 2);
    assert_says(&said, "`linux` is not a platform: write OS/ARCHITECTURE");
    let said = project.says(&["lock", "--platform", "plan9/mips"], 2);
    assert_says(&said, "is not there for plan9/mips, only for linux/");
    let said = project.says(&["lock", "--update", "app"], 2);
    assert_says(&said, "there is no image `app` in cullet.yaml");
    assert_says(&said, "it has oci-layout:app");
    assert_eq!(beginning(project.home.path(), "cullet.lock"), [""; 0]);

    let good = lock_of("oci-layout:app", OTHER);
    let entry = good.lines().skip(3).take(3).collect::<Vec<_>>().join("\n");
    for (text, expected) in [
        (good.replace("\"version\": 1", "\"version\": 2"), "cullet.lock has version 2, and this version"),
        (good.replace("oci-layout:app", "x").replace("linux/", "linux"), "cullet.lock:5:"),
        (good.replace("sha256:", "sha512:"), "is not a digest this version knows"),
        (good.replace(&entry, &format!("{entry},\n{entry}")), "the key `oci-layout:app` is there twice"),
        (format!("<<<<<<< HEAD\n{good}"), "cullet.lock:1:1: expected value"),
        (good[..good.len() / 2].to_owned(), "cullet.lock:"),
        (String::new(), "cullet.lock:1:1: EOF"),
    ] {
        project.write(&text);
        for args in [&["lock"][..], &["lock", "--check"], &["run"], &["run", "--locked"]] {
            let said = project.says(args, 2);
            assert_says(&said, expected);
            assert_says(&said, "hint: ");
            assert_eq!(project.read(), text);
        }
    }
    project.pipeline(&["Not/An:Image"]);
    std::fs::remove_file(project.path("cullet.lock")).unwrap();
    assert_says(&project.says(&["lock"], 2), "names of repositories are in lower case");
}

#[test]
fn a_run_that_is_to_be_locked_asks_for_nothing() {
    let project = Project::with(&["registry.invalid/app:1", "oci-layout:app"]);
    let said = project.says(&["run", "--locked"], 2);
    assert_says(
        &said,
        &format!(
            "cullet.lock has no digest for {} of oci-layout:app, registry.invalid/app:1",
            Platform::host()
        ),
    );
    project.write(&lock_of("registry.invalid/app:1", OTHER));
    assert_says(&project.says(&["run", "--locked"], 2), " of oci-layout:app\n");
    project.pipeline(&["registry.invalid/app:1"]);
    let said = project.says(&["run", "--locked", "--executor", "plain"], 2);
    assert_says(&said, "step 's0': the image 'registry.invalid/app:1' cannot be used by the plain executor");
    assert_says(&project.says(&["lock", "--check"], 0), "1 image, everything is locked");
    project.says(&["run", "--locked", "h", "--executor", "plain"], 0);
}

#[test]
fn a_tag_of_a_registry_is_locked_and_moves_only_when_it_is_looked_up_again() {
    let Some(registry) = Registry::start() else { return };
    let reference = format!("{}/team/app:1", registry.address);
    let project = Project::with(&[&reference]);
    let first = project.layout("one", "1");
    registry.push("team/app:1", &first);
    project.says(&["lock"], 0);
    assert_eq!(project.read(), lock_of(&reference, &first.digest.to_string()));
    let second = project.layout("two", "2");
    registry.push("team/app:1", &second);
    assert_says(&project.says(&["lock"], 0), "nothing changed");
    assert_says(&project.says(&["lock", "--check"], 0), "everything is locked");
    assert_says(&project.says(&["lock", "--update"], 0), &format!("{} -> {}", first.digest, second.digest));
    assert_eq!(project.read(), lock_of(&reference, &second.digest.to_string()));

    let by_digest = format!("{}/team/app@{}", registry.address, first.digest);
    project.pipeline(&[&by_digest]);
    project.says(&["lock", "--prune"], 0);
    assert_eq!(project.read(), lock_of(&by_digest, &first.digest.to_string()));

    let text = project.read();
    project.pipeline(&[&by_digest, &format!("{}/team/app:none", registry.address)]);
    let said = project.says(&["lock"], 2);
    assert_says(&said, "team/app:none for linux/");
    assert_says(&said, "not found (404): check the name and the tag");
    assert_eq!(project.read(), text);
}

#[test]
fn a_step_runs_in_what_is_locked_and_then_without_the_registry() {
    let Some(registry) = Registry::start() else { return };
    let project = Project::with(&[&format!("{}/team/app:1", registry.address)]);
    registry.push("team/app:1", &project.layout("one", "locked"));
    project.says(&["lock"], 0);
    registry.push("team/app:1", &project.layout("two", "moved"));
    // There is nothing but a file in it, so this is as far as it gets.
    let ran = |project: &Project| project.says(&["run", "--locked", "--keep-going"], 1);
    assert_says(&ran(&project), "cannot run '/bin/sh'");
    let forms = project.path(".cache/cullet/images/layers");
    let inside = |dir: PathBuf| std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    let layers = inside(forms).flat_map(inside).map(|layer| layer.join("tree/file"));
    let texts: Vec<String> = layers.map(|file| std::fs::read_to_string(file).unwrap()).collect();
    assert_eq!(texts, ["locked"]);
    drop(registry);
    assert_says(&ran(&project), "cannot run '/bin/sh'");
}

#[test]
fn logins_are_those_of_docker_and_mirrors_those_of_the_configuration() {
    let Some(registry) = Registry::private() else { return };
    let (address, reference) = (&registry.address, format!("{}/team/app:1", registry.address));
    let project = Project::with(&[&reference]);
    let image = project.layout("one", "1");
    registry.push("team/app:1", &image);
    assert_says(&project.says(&["lock"], 2), "it wants a login (401)");
    let log_in = |auth: &str| {
        std::fs::create_dir_all(project.path(".docker")).unwrap();
        let text = format!(r#"{{"auths":{{"{address}":{{"auth":"{auth}"}}}}}}"#);
        std::fs::write(project.path(".docker/config.json"), text).unwrap();
    };
    // `user:wrong`, then `user:secret`.
    log_in("dXNlcjp3cm9uZw==");
    assert_says(&project.says(&["lock"], 2), "it does not accept the login of `user` (401)");
    log_in("dXNlcjpzZWNyZXQ=");
    project.says(&["lock"], 0);
    assert_eq!(project.read(), lock_of(&reference, &image.digest.to_string()));

    let elsewhere = "registry.invalid/team/app:1";
    project.pipeline(&[elsewhere]);
    std::fs::create_dir_all(project.path(".config/cullet")).unwrap();
    let mirror = format!("[registries.\"registry.invalid\"]\nmirrors = [\"http://{address}\"]\n");
    std::fs::write(project.path(".config/cullet/config.toml"), &mirror).unwrap();
    project.says(&["lock", "--prune"], 0);
    assert_eq!(project.read(), lock_of(elsewhere, &image.digest.to_string()));
    std::fs::write(project.path(".config/cullet/config.toml"), mirror.replace("http://", "")).unwrap();
    let said = project.says(&["lock", "--update"], 2);
    assert_says(&said, "the settings of registries cannot be used");
    assert_says(&said, "is not http[s]://HOST[:PORT]");
}

#[test]
fn a_registry_that_is_not_there_is_no_mistake_of_the_pipeline() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let project = Project::with(&[&format!("{free}/app:1")]);
    let said = project.says(&["lock"], 3);
    assert_says(&said, &format!("cannot resolve the image {free}/app:1 for linux/"));
    assert_says(&said, "no answer");
    assert!(!project.path("cullet.lock").exists());
}

#[test]
fn whoever_loses_patience_with_a_registry_gets_away() {
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = silent.local_addr().unwrap();
    let project = Project::with(&[&format!("{address}/app:1")]);
    let mut lock =
        cullet(project.home.path(), &["lock"]).stderr(std::process::Stdio::piped()).spawn().unwrap();
    let (mut stream, _) = silent.accept().unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    // It asks, so it listens for signals as well.
    assert!(stream.read(&mut [0; 16]).unwrap() > 0);
    let pid = rustix::process::Pid::from_child(&lock);
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    assert_eq!(lock.wait().unwrap().code(), Some(130));
    let mut said = String::new();
    lock.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    assert_says(&said, "interrupted: cullet.lock is as it was");
    assert_eq!(beginning(project.home.path(), ".cullet.lock"), [""; 0]);
}
