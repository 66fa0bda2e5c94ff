//! Steps in images: what they see, what the cache makes of them, and images that are not what they should be.

mod kept;
pub(crate) mod made;

use std::fs;
use std::path::Path;

use cullet_tests::{Checkout, Outcome, User};
use made::{Image, small_layers};

const PIPELINE: &str = r#"
cullet: 1
name: images
sources: { text: { path: ., include: [/text] } }
images: { app: 'oci-layout:app' }
steps:
  see:
    image: app
    run: |
      test "$(cat /layer)" = one
      test "$FROM_IMAGE:$PATH:$(id -u)" = yes:/bin:0
      test "$PWD" = /workspace
      test ! -e /usr
  make: { image: app, inputs: { .: text }, run: 'cat text /layer > made; touch /written', outputs: { made: made } }
  use: { image: app, inputs: { made: make.made }, run: 'test ! -e /written && cat made' }
  host: { inputs: { made: make.made }, run: 'grep -q sand made && test ! -e /layer' }
outputs: { made: make.made }
"#;

fn checkout(pipeline: &str) -> Checkout {
    let checkout = Checkout::of_pipeline(pipeline);
    checkout.write("text", "sand\n");
    checkout
}

/// Names in a directory of the store.
fn names(user: &User, dir: &str) -> Vec<String> {
    let entries = fs::read_dir(user.cache().join("images").join(dir)).unwrap();
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

/// How many layers are unpacked.
fn layers(user: &User) -> usize {
    names(user, "layers").iter().map(|form| names(user, &format!("layers/{form}")).len()).sum()
}

fn reason<'a>(outcome: &'a Outcome, step: &str) -> &'a str {
    outcome.steps[step].reason.as_deref().unwrap_or_default()
}

/// What is said of images on their way.
fn notes(outcome: &Outcome) -> Vec<String> {
    let notes = outcome.events.iter().filter(|event| event["event"] == "note" && event["kind"] == "image");
    notes.map(|note| note["text"].as_str().unwrap().to_owned()).collect()
}

fn locked(user: &User, checkout: &Checkout) {
    let output = user.cullet(checkout, ["lock", "--update"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

fn rename(checkout: &Checkout, from: &str, to: &str) {
    fs::rename(checkout.path().join(from), checkout.path().join(to)).unwrap();
}

#[test]
fn steps_run_in_their_image_and_its_digest_is_what_the_cache_knows() {
    let (user, checkout) = (User::new(), checkout(PIPELINE));
    Image::default().layout(&checkout.path().join("app"));
    let first = user.run_with(&checkout, ["--output", "out"]);
    first.assert_success();
    assert_eq!(first.executed().len(), 4);
    assert_eq!(fs::read_to_string(checkout.path().join("out/made")).unwrap(), "sand\none");
    assert_eq!((layers(&user), names(&user, "unpacking").len()), (2, 0), "each layer once");
    let said = notes(&first);
    assert!(said.len() == 1 && said[0].starts_with("pulling oci-layout:app: 1."), "{said:?}");
    assert!(said[0].ends_with(" MiB in 2 layers"), "{said:?}");

    let warm = user.run(&checkout);
    warm.assert_success();
    assert_eq!((warm.cached().len(), notes(&warm).len()), (4, 0));
    // Under another name and path it is the same image.
    rename(&checkout, "app", "elsewhere");
    checkout.edit(
        "cullet.yaml",
        "images: { app: 'oci-layout:app' }",
        "images: { app: 'oci-layout:elsewhere' }",
    );
    let moved = user.run(&checkout);
    assert_eq!((moved.exit_code, moved.cached().len()), (0, 4), "{}", moved.stderr);
    // And another image is another key, whose other layers are all that is unpacked.
    Image { layers: &["two"], ..Image::default() }.layout(&checkout.path().join("elsewhere"));
    checkout.edit("cullet.yaml", "= one", "= two");
    let other = user.run(&checkout);
    other.assert_success();
    assert_eq!((other.executed_by_kind().len(), layers(&user)), (4, 3));
}

#[test]
fn an_image_says_who_its_steps_are() {
    let (user, checkout) = (
        User::new(),
        checkout(
            "cullet: 1\nsteps:\n  a: { image: 'oci-layout:app', run: 'id -u > id; id -g >> id; touch made', \
         outputs: { id: id } }\noutputs: { id: a.id }\n",
        ),
    );
    Image { user: "app", ..Image::default() }.layout(&checkout.path().join("app"));
    user.run_with(&checkout, ["--output", "out"]).assert_success();
    assert_eq!(fs::read_to_string(checkout.path().join("out/id")).unwrap(), "500\n501\n");
    Image { user: "nobody-knows", ..Image::default() }.layout(&checkout.path().join("app"));
    let run = user.run(&checkout);
    assert_eq!(run.exit_code, 3);
    assert!(reason(&run, "a").contains("nobody-knows"), "{}", reason(&run, "a"));
}

#[test]
fn what_is_there_needs_neither_the_layout_nor_a_registry() {
    let (user, checkout) = (User::new(), checkout(PIPELINE));
    Image::default().layout(&checkout.path().join("app"));
    locked(&user, &checkout);
    user.run_with(&checkout, ["--locked"]).assert_success();
    rename(&checkout, "app", "gone");
    let again = user.run_with(&checkout, ["--locked", "--no-cache"]);
    again.assert_success();
    assert_eq!(again.executed().len(), 4);
    // Somebody who never had it cannot run it, and is told what is missing.
    let other = User::new();
    let run = other.run_with(&checkout, ["--locked", "--keep-going"]);
    assert_eq!(run.exit_code, 3);
    assert!(reason(&run, "see").contains("app/oci-layout"), "{}", reason(&run, "see"));
    assert_eq!(layers(&other), 0);
}

#[test]
fn an_image_other_than_the_pinned_one_is_not_run() {
    let (user, checkout) = (User::new(), checkout(PIPELINE));
    let pinned = Image::default().layout(&checkout.path().join("app"));
    locked(&user, &checkout);
    let found = Image { layers: &["two"], ..Image::default() }.layout(&checkout.path().join("app"));
    let run = user.run_with(&checkout, ["--locked", "--keep-going"]);
    assert_eq!(run.exit_code, 3);
    let why = reason(&run, "see");
    for part in [&*pinned, &found, "cullet lock --update", "oci-layout:"] {
        assert!(why.contains(part), "{part} is not in {why}");
    }
    assert_eq!(layers(&user), 0, "nothing of it was unpacked");
}

#[test]
fn a_damaged_layer_is_not_run_and_leaves_nothing() {
    let (user, checkout) = (User::new(), checkout(PIPELINE));
    let app = checkout.path().join("app");
    Image::default().layout(&app);
    let layer = small_layers(&app).pop().unwrap();
    let whole = fs::read(&layer).unwrap();
    let mut damaged = whole.clone();
    let at = whole.windows(3).rposition(|bytes| bytes == b"one").unwrap();
    damaged[at] = b'O';
    for bytes in [&damaged[..], &whole[..whole.len() - 512]] {
        fs::write(&layer, bytes).unwrap();
        let run = user.run_with(&checkout, ["--keep-going"]);
        assert_eq!(run.exit_code, 3);
        let why = reason(&run, "see");
        assert!(why.contains("the step's image cannot be had") && why.contains("layer"), "{why}");
        assert_eq!((layers(&user), names(&user, "unpacking").len()), (1, 0));
    }
    fs::write(&layer, whole).unwrap();
    user.run(&checkout).assert_success();
}

#[test]
fn an_image_for_other_machines_and_executors_without_images_are_refused() {
    let (user, checkout) = (User::new(), checkout(PIPELINE));
    let said = |arguments: &[&str]| {
        let output = user.cullet(&checkout, arguments.iter().copied());
        assert_eq!(output.status.code(), Some(2), "{output:?}");
        String::from_utf8(output.stderr).unwrap()
    };
    Image { architecture: "mips64le", ..Image::default() }.layout(&checkout.path().join("app"));
    let text = said(&["run"]);
    assert!(text.contains("only for linux/mips64le"), "{text}");
    let text = said(&["run", "--executor", "plain"]);
    assert!(
        text.contains("cullet.yaml:7: step 'see': the image 'oci-layout:app' cannot be used by the plain"),
        "{text}"
    );
    let text = said(&["run", "--cluster", "http://127.0.0.1:1"]);
    assert!(text.contains("is on this machine, where no worker of a cluster can have it from"), "{text}");
    let run = user.run_with(&checkout, ["host", "--executor", "plain"]);
    assert_eq!(run.exit_code, 2, "what it needs is in an image");
}

#[test]
fn a_layer_that_an_image_has_twice_counts_where_it_is_highest() {
    let (user, checkout) = (User::new(), checkout(PIPELINE));
    Image { layers: &["one", "two", "one"], ..Image::default() }.layout(&checkout.path().join("app"));
    user.run(&checkout).assert_success();
    assert_eq!(layers(&user), 3);
}

#[test]
fn the_cache_counts_images_and_gives_up_those_that_nobody_uses() {
    let (user, checkout) = (User::new(), checkout(PIPELINE));
    Image::default().layout(&checkout.path().join("app"));
    user.run(&checkout).assert_success();
    let out = |arguments: &[&str]| {
        let output = user.cullet(&checkout, arguments.iter().copied());
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    let stats: serde_json::Value =
        serde_json::from_str(&out(&["cache", "stats", "--format", "json"])).unwrap();
    assert_eq!(stats["image_layers"], 2);
    let bytes = stats["image_bytes"].as_u64().unwrap();
    assert!(bytes >= fs::metadata("/bin/busybox").unwrap().len(), "{stats}");
    assert!(out(&["cache", "stats"]).contains("images     2 layers"));
    assert!(out(&["cache", "gc", "--to", "0"]).contains("and 2 layers of images"));
    assert_eq!((layers(&user), names(&user, "blobs/sha256").len()), (0, 0));
    // It is fetched again.
    user.run_with(&checkout, ["--no-cache"]).assert_success();

    // A layer that a step is in is not taken from under it.
    let text = "cullet: 1\nsteps:\n  a: { image: 'oci-layout:app', run: 'sleep 3; cat /layer' }\n";
    checkout.write("cullet.yaml", text);
    let running = user.command(checkout.path(), ["run"]).stdout(std::process::Stdio::null()).spawn();
    let mut running = running.unwrap();
    wait_for_step(&user.cache().join("work"));
    out(&["cache", "gc", "--to", "0"]);
    assert_eq!(layers(&user), 2, "in use");
    assert!(running.wait().unwrap().success());
    out(&["cache", "clear"]);
    assert_eq!(layers(&user), 0);
}

/// Until a step has its root directory.
fn wait_for_step(work: &Path) {
    let is_there = || {
        let sessions = fs::read_dir(work).ok()?;
        sessions.flatten().find_map(|session| {
            let attempts = fs::read_dir(session.path().join("attempts")).ok()?;
            attempts.flatten().find(|attempt| attempt.path().join("step/root/upper").exists())
        })
    };
    for _ in 0..1000 {
        if is_there().is_some() {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    panic!("no step began");
}
