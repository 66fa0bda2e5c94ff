//! Steps that continue each other's root directories, and images that are made of them.

use std::fs;
use std::path::{Path, PathBuf};

use cullet_tests::{Checkout, Outcome, User};

use super::images::made::Image;

const PIPELINE: &str = r#"
cullet: 1
name: roots
sources: { text: { path: ., include: [/text] } }
images: { base: 'oci-layout:base' }
steps:
  install:
    image: base
    run: |
      busybox mkdir -p /opt/app/old
      echo tool > /opt/app/tool; busybox chmod 4755 /opt/app/tool
      busybox ln /opt/app/tool /opt/app/also
      busybox chown 7:8 /opt/app/old
      busybox rm /layer
      echo private > /opt/app/old/private; busybox chmod 0 /opt/app/old/private /opt/app/old
      echo lost > /tmp/lost; echo lost > /var/tmp/lost; echo lost > lost
      busybox mkfifo /opt/pipe
  build:
    from: install
    inputs: { .: text }
    run: |
      test ! -e /layer
      test "$(busybox stat -c %a:%h /opt/app/tool)" = 4755:2
      test "$(busybox stat -c %a /opt/app/old)" = 0
      test ! -e /tmp/lost; test ! -e /var/tmp/lost; test ! -e lost; test ! -e /opt/pipe
      test "$FROM_IMAGE:$(id -u)" = yes:0
      cat /opt/app/tool text > /opt/app/built
      busybox chmod 755 /opt/app/old; busybox rm -r /opt/app/old; busybox mkdir /opt/app/old; echo new > /opt/app/old/new
    outputs: { image: rootfs, built: built }
  test:
    from: build
    run: |
      test "$(cat /opt/app/built /opt/app/old/new)" = "$(busybox printf 'tool\nsand\nnew')"
      test ! -e /opt/app/old/private; test ! -e /layer
      echo tested
outputs: { app: build.image, app.tar: { from: build.image, format: docker-archive } }
"#;

fn checkout() -> Checkout {
    // The workspace is no part of the root, and its outputs are what they always are.
    let pipeline =
        PIPELINE.replace("cat /opt/app/tool text > /opt", "touch built; cat /opt/app/tool text > /opt");
    let checkout = Checkout::of_pipeline(&pipeline);
    checkout.write("text", "sand\n");
    Image::default().layout(&checkout.path().join("base"));
    checkout
}

/// What is said of the images that were written: their digests, by path.
fn said(outcome: &Outcome) -> Vec<String> {
    let notes = outcome.events.iter().filter(|event| event["event"] == "note" && event["kind"] == "image");
    let texts = notes.map(|note| note["text"].as_str().unwrap().to_owned());
    texts.filter(|text| text.contains(" is the image ")).collect()
}

/// The digest that an image layout has for its only image.
fn manifest_of(layout: &Path) -> String {
    let index: serde_json::Value =
        serde_json::from_slice(&fs::read(layout.join("index.json")).unwrap()).unwrap();
    index["manifests"][0]["digest"].as_str().unwrap().to_owned()
}

fn document(layout: &Path, digest: &str) -> serde_json::Value {
    serde_json::from_slice(&fs::read(layout.join("blobs").join(digest.replace(':', "/"))).unwrap()).unwrap()
}

fn files_below(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()) {
        if entry.is_dir() && !entry.is_symlink() {
            found.extend(files_below(&entry));
        } else {
            found.push(entry);
        }
    }
    found
}

#[test]
fn three_steps_are_cached_like_the_lines_of_a_dockerfile() {
    let (user, checkout) = (User::new(), checkout());
    let first = user.run(&checkout);
    first.assert_success();
    assert_eq!(first.executed().len(), 3);
    let warm = user.run(&checkout);
    warm.assert_success();
    assert_eq!((warm.executed().len(), warm.cached().len()), (0, 3));
    // A change of the last step is its own business.
    checkout.edit("cullet.yaml", "echo tested", "echo tested again");
    let other = user.run(&checkout);
    other.assert_success();
    assert_eq!(other.executed(), ["test"]);
    // And a step that does the same in another way leaves everything behind it as it was.
    checkout.edit("cullet.yaml", "busybox rm /layer", "busybox rm -f /layer");
    let same = user.run(&checkout);
    same.assert_success();
    assert_eq!(same.executed(), ["install"]);
    checkout.edit("cullet.yaml", "echo tool >", "echo other >");
    let run = user.run(&checkout);
    assert_eq!(
        (run.exit_code, &*run.steps["test"].status),
        (1, "failed"),
        "what it continues is another root"
    );
}

#[test]
fn images_from_steps_have_the_same_digest_everywhere_and_can_be_run() {
    let (user, checkout) = (User::new(), checkout());
    let first = user.run_with(&checkout, ["--output", "out"]);
    first.assert_success();
    let (layout, archive) = (checkout.path().join("out/app"), checkout.path().join("out/app.tar"));
    let digest = manifest_of(&layout);
    assert!(
        said(&first)[0].contains(&format!("the output 'app' is the image {digest}")),
        "{:?}",
        said(&first)
    );
    assert_eq!(said(&first).len(), 2);
    // Somebody else, who begins with nothing.
    let other = User::new();
    let elsewhere = other.run_with(&checkout, ["--output", "elsewhere", "--no-cache"]);
    elsewhere.assert_success();
    assert_eq!(said(&first), said(&elsewhere));
    let bytes = |dir: &str| fs::read(checkout.path().join(dir).join("app.tar")).unwrap();
    assert_eq!(bytes("out"), bytes("elsewhere"));
    // What is in it: the image below with two layers, and nothing of this day or machine.
    let manifest = document(&layout, &digest);
    assert_eq!(manifest["layers"].as_array().unwrap().len(), 4);
    let config = document(&layout, manifest["config"]["digest"].as_str().unwrap());
    assert_eq!(config["created"], "2010-01-01T00:00:00Z");
    assert_eq!(config["config"]["Env"][1], "FROM_IMAGE=yes");
    assert_eq!(config["rootfs"]["diff_ids"].as_array().unwrap().len(), 4);
    let dirs = [checkout.path().join("out"), checkout.path().join("elsewhere")];
    assert!(
        dirs.iter().all(|dir| files_below(dir).iter().all(|file| !file.to_string_lossy().contains("/.app")))
    );

    // Written over what an earlier run wrote, and run by whoever has it.
    user.run_with(&checkout, ["--output", "out"]).assert_success();
    for image in ["oci-layout:out/app".to_owned(), format!("docker-archive:{}", archive.display())] {
        let text = format!(
            "cullet: 1\nsteps:\n  a: {{ image: '{image}', run: 'cat /opt/app/built /opt/app/old/new; test ! -e /layer' }}\n"
        );
        checkout.write("cullet.yaml", &text);
        let run = user.run(&checkout);
        run.assert_success();
    }
}

#[test]
fn what_nobody_continues_is_not_kept() {
    let (user, checkout) = (User::new(), checkout());
    checkout.write(
        "cullet.yaml",
        "cullet: 1\nsteps:\n  a: { image: 'oci-layout:base', run: 'echo a > /unseen' }\n",
    );
    user.run(&checkout).assert_success();
    let tar = |path: &PathBuf| fs::read(path).is_ok_and(|bytes| bytes.get(257..262) == Some(b"ustar"));
    let kept: Vec<PathBuf> = files_below(user.cache()).into_iter().filter(tar).collect();
    assert!(kept.is_empty(), "{kept:?}");
}

#[test]
fn a_lost_root_is_made_again() {
    let (user, checkout) = (User::new(), checkout());
    user.run(&checkout).assert_success();
    // Both what was unpacked of them and the archives.
    let forms = fs::read_dir(user.cache().join("images/layers")).unwrap();
    for layer in forms.flat_map(|form| fs::read_dir(form.unwrap().path()).unwrap()) {
        let path = layer.unwrap().path();
        if path.file_name().unwrap().to_string_lossy().starts_with("made-") {
            fs::remove_dir_all(path).unwrap();
        }
    }
    let archives: Vec<PathBuf> = files_below(user.cache())
        .into_iter()
        .filter(|path| fs::read(path).is_ok_and(|bytes| bytes.windows(8).any(|part| part == b"opt/app/")))
        .filter(|path| fs::read(path).is_ok_and(|bytes| bytes.get(257..262) == Some(b"ustar")))
        .collect();
    assert_eq!(archives.len(), 2, "{archives:?}");
    archives.iter().for_each(|archive| fs::remove_file(archive).unwrap());
    checkout.edit("cullet.yaml", "echo tested", "echo tested again");
    let run = user.run_with(&checkout, ["--output", "out"]);
    run.assert_success();
    assert_eq!(run.executed().len(), 3, "{:?}", run.events);
    assert_eq!(user.run_with(&checkout, ["--output", "out"]).executed().len(), 0);
}
