//! A cache that was damaged, and one that several use at once.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use cullet_tests::{Checkout, User};

const PIPELINE: &str = r#"
cullet: 1
name: repair
sources: { text: { path: ., include: [/text] } }
steps:
  make:
    inputs: { .: text }
    run: (cat text; echo melted) > made
    outputs: { made: made }
  use:
    inputs: { made: make.made, .: text }
    run: grep -qx melted made && cp made used
    outputs: { used: used }
outputs: { used: use.used }
"#;
const MADE: &str = "sand\nmelted\n";

fn checkout() -> Checkout {
    let checkout = Checkout::of_pipeline(PIPELINE);
    checkout.write("text", "sand\n");
    checkout
}

/// Files below a directory whose content is exactly this.
fn files_with(dir: &Path, content: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files_with(&path, content));
        } else if fs::read(&path).is_ok_and(|bytes| bytes == content.as_bytes()) {
            found.push(path);
        }
    }
    found
}

fn assert_repaired(damage: impl Fn(&Path)) {
    let (user, checkout) = (User::new(), checkout());
    user.run(&checkout).assert_success();
    let blobs = files_with(user.cache(), MADE);
    assert!(!blobs.is_empty(), "the output is in the cache");
    blobs.iter().for_each(|blob| damage(blob));
    let run = user.run_with(&checkout, ["--output", "out"]);
    run.assert_success();
    assert_eq!(fs::read_to_string(checkout.path().join("out/used")).unwrap(), MADE);
    let after = user.run_with(&checkout, ["--output", "out"]);
    after.assert_success();
    assert_eq!(after.executed(), Vec::<&str>::new());
}

#[test]
fn a_flipped_bit_is_noticed_and_made_good() {
    assert_repaired(|blob| {
        let mut bytes = fs::read(blob).unwrap();
        bytes[0] ^= 1;
        // As a disk does it: neither the name nor the inode changes.
        let mut permissions = fs::metadata(blob).unwrap().permissions();
        #[expect(clippy::permissions_set_readonly_false, reason = "a temporary file of this test")]
        permissions.set_readonly(false);
        fs::set_permissions(blob, permissions).unwrap();
        fs::write(blob, bytes).unwrap();
    });
}

#[test]
fn a_lost_blob_is_made_again() {
    assert_repaired(|blob| fs::remove_file(blob).unwrap());
}

#[test]
fn three_runs_at_once_share_a_cache() {
    let user = User::new();
    let checkouts = [checkout(), checkout(), checkout()];
    let children: Vec<_> = checkouts
        .iter()
        .map(|checkout| {
            user.command(checkout.path(), ["run"])
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .unwrap()
        })
        .collect();
    for mut child in children {
        assert!(child.wait().unwrap().success());
    }
    let verified = user.cullet(&checkouts[0], ["cache", "verify"]);
    assert!(verified.status.success(), "{}", String::from_utf8_lossy(&verified.stderr));
    assert_eq!(user.run(&checkouts[0]).executed(), Vec::<&str>::new());
}
