//! Roots that are continued: by whoever is not root, by whoever is killed meanwhile, and hostile ones.

use std::fs;
use std::path::{Path, PathBuf};

use cullet_tests::{Checkout, User};

use super::guest::Guest;
use super::made::Image;
use super::support::{expect, expect_right_cache, shell, skip, start, until};

/// Changes of which owners are no part: those that an ordinary user can make.
const CHANGES: &str = "busybox mkdir -p /opt/a /opt/b; echo one > /opt/a/one; busybox ln /opt/a/one /opt/b/also; \
                       busybox rm /layer; busybox ln -s nowhere /opt/link; busybox chmod 700 /opt/b; \
                       echo s > /opt/secret; busybox chmod 4000 /opt/secret; busybox chmod 511 /opt/a; \
                       busybox mkfifo /opt/pipe; busybox mkdir /srv; echo x > /srv/x; \
                       echo e >> /etc/passwd";

fn pipeline(changes: &str) -> String {
    format!(
        "cullet: 1\nname: roots\nsteps:\n  \
         one: {{ image: 'oci-layout:base', run: '{changes}', outputs: {{ image: rootfs }} }}\n  \
         two: {{ from: one, run: 'test ! -e /layer; cat /opt/a/one; test -e /srv/x' }}\n\
         outputs: {{ image: one.image }}\n"
    )
}

fn manifest(dir: &Path) -> String {
    let index = fs::read_to_string(dir.join("out/image/index.json")).unwrap();
    let index: serde_json::Value = serde_json::from_str(&index).unwrap();
    index["manifests"][0]["digest"].as_str().unwrap().to_owned()
}

/// An image with a shell.
fn base(dir: &Path) {
    Image::default().layout(dir);
}

#[test]
fn a_user_without_rights_makes_the_same_image_as_root() {
    let text = pipeline(CHANGES);
    let Some(guest) = Guest::arrive(&text) else { return skip("only root can become somebody else") };
    base(&guest.project().join("base"));
    shell(&guest.project(), "chown -R 65532:65532 .");
    expect(&guest.cullet(&["run", "--output", "out"]), 0, &["2 executed"]);
    expect(&guest.cullet(&["run", "--output", "out"]), 0, &["0 executed", "2 cached"]);
    let left: Vec<_> = fs::read_dir(guest.path(".cache/cullet/work")).unwrap().flatten().collect();
    assert!(left.is_empty(), "{left:?}");

    let (user, checkout) = (User::new(), Checkout::of_pipeline(&text));
    base(&checkout.path().join("base"));
    user.run_with(&checkout, ["--output", "out"]).assert_success();
    assert_eq!(manifest(&guest.project()), manifest(checkout.path()));
}

#[test]
fn who_is_killed_while_a_root_is_kept_leaves_nothing() {
    // As much as takes a while to be written, of which nothing can be left out.
    let large = "busybox mkdir /opt; busybox dd if=/dev/urandom of=/opt/large bs=1M count=300";
    let text = format!(
        "cullet: 1\nsteps:\n  one: {{ image: 'oci-layout:base', run: '{large}' }}\n  \
         two: {{ from: one, run: 'test -s /opt/large' }}\n"
    );
    let (user, checkout) = (User::new(), Checkout::of_pipeline(&text));
    base(&checkout.path().join("base"));
    let run = start(&user, &checkout, &["run", "--progress", "json"]);
    until("a root is being kept", || archives(&user.cache().join("work")).iter().any(|file| size(file) > 0));
    run.kill();
    let after = user.run(&checkout);
    after.assert_success();
    assert_eq!(after.executed().len(), 2, "nothing of the killed one was taken for a result");
    let left: Vec<_> = fs::read_dir(user.cache().join("work")).unwrap().flatten().collect();
    assert!(left.is_empty(), "{left:?}");
    assert_eq!(fs::read_dir(user.cache().join("images/unpacking")).unwrap().count(), 0);
    expect_right_cache(&user, &checkout);
}

/// Archives of roots that are being written.
fn archives(work: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(work).into_iter().flatten().flatten() {
        let path = entry.path();
        match entry.file_type() {
            Ok(kind) if kind.is_dir() && !path.ends_with("step") => found.extend(archives(&path)),
            _ if path.ends_with("root.tar") => found.push(path),
            _ => {}
        }
    }
    found
}

fn size(file: &Path) -> u64 {
    fs::metadata(file).map_or(0, |stat| stat.len())
}

#[test]
fn what_no_layer_can_hold_fails_the_step_and_says_why() {
    let text = pipeline("echo a > /.wh.a");
    let (user, checkout) = (User::new(), Checkout::of_pipeline(&text));
    base(&checkout.path().join("base"));
    let run = user.run(&checkout);
    assert_eq!((run.exit_code, &*run.steps["one"].status), (1, "failed"), "{}", run.stderr);
    let reason = run.steps["one"].reason.as_deref().unwrap();
    assert!(reason.contains("root cannot be kept") && reason.contains(".wh.a"), "{reason}");
    // A step that fails by itself is not blamed for its root as well.
    let text = pipeline("echo a > /.wh.a; false");
    checkout.write("cullet.yaml", &text);
    let run = user.run(&checkout);
    assert_eq!(run.steps["one"].reason.as_deref().unwrap_or_default(), "");
}
