//! Bundles: a pipeline with all it needs on another machine, which has no network.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use cullet_tests::{Checkout, Outcome, User};
use serde_json::Value;

use super::images::made::Image;

const PIPELINE: &str = r#"
cullet: 1
name: carried
sources:
  text: { path: ., include: [/text] }
  tools: { path: tools }
images: { app: 'oci-layout:app' }
steps:
  make:
    image: app
    inputs: { .: text, tools: tools }
    run: 'cat text tools/one /layer > made'
    outputs: { made: made }
  check: { image: app, inputs: { made: make.made }, run: 'cat made' }
  count: { inputs: { made: make.made }, run: 'wc -c made > count', outputs: { count: count } }
  ship: { effects: true, inputs: { made: make.made }, run: 'cat made' }
outputs: { made: make.made, count: count.count }
"#;

/// A project with a pipeline in a directory of it.
fn checkout() -> Checkout {
    let checkout = Checkout::of_pipeline(PIPELINE);
    checkout.write("text", "sand\n");
    checkout.write("tools/one", "fire\n");
    Image::default().layout(&checkout.path().join("app"));
    checkout
}

fn bundle(user: &User, dir: &Path, arguments: &[&str]) -> Output {
    user.command(dir, ["bundle"].into_iter().chain(arguments.iter().copied())).output().unwrap()
}

/// What it prints.
fn done(output: &Output) -> String {
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{error}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Why not, and the exit code.
fn refused(output: &Output) -> (Option<i32>, String) {
    assert!(!output.status.success());
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

fn create(user: &User, checkout: &Checkout, arguments: &[&str]) -> PathBuf {
    let to = checkout.path().join("app.bundle");
    let all = [&["create", "-o", "app.bundle", "--no-program"], arguments].concat();
    done(&bundle(user, checkout.path(), &all));
    to
}

/// A run of a bundle where there is no network, not even an address of its own.
fn run(user: &User, bundle: &Path, arguments: &[&str]) -> Outcome {
    let dir = bundle.parent().unwrap();
    let all = ["bundle", "run", "--progress", "json", bundle.to_str().unwrap()];
    let inner = user.command(dir, all.into_iter().chain(arguments.iter().copied()));
    let mut outer = Command::new("unshare");
    outer.arg("-n").arg(inner.get_program()).args(inner.get_args()).current_dir(dir).env_clear();
    outer.envs(inner.get_envs().filter_map(|(name, value)| Some((name, value?))));
    Outcome::of(&outer.output().unwrap())
}

#[test]
fn what_is_cached_here_is_cached_there_and_the_rest_runs() {
    let (here, there, checkout) = (User::new(), User::new(), checkout());
    let first = here.run_with(&checkout, ["--output", "out"]);
    first.assert_success();
    let path = create(&here, &checkout, &[]);
    // Nothing of the project is needed any more.
    let site = tempfile::tempdir().unwrap();
    let moved = site.path().join("carried.bundle");
    fs::copy(&path, &moved).unwrap();
    let carried = run(&there, &moved, &["--output", "dist"]);
    carried.assert_success();
    assert_eq!((carried.executed(), carried.cached().len()), (vec!["ship"], 3));
    for (step, end) in &carried.steps {
        assert_eq!(end.action_digest, first.steps[step].action_digest, "{step}");
    }
    for output in ["made", "count"] {
        let written = fs::read(site.path().join("dist").join(output)).unwrap();
        assert_eq!(written, fs::read(checkout.path().join("out").join(output)).unwrap());
    }
    // With its images, what was never run here runs there, and comes out the same.
    let all = run(&User::new(), &moved, &["--no-cache", "--output", "again"]);
    all.assert_success();
    assert_eq!(all.executed().len(), 4);
    assert_eq!(fs::read(site.path().join("again/made")).unwrap(), b"sand\nfire\none");
}

#[test]
fn what_has_no_result_is_said_and_executed_on_the_other_side() {
    let (here, there, checkout) = (User::new(), User::new(), checkout());
    let (code, why) = refused(&bundle(&here, checkout.path(), &["create", "-o", "x", "--complete"]));
    assert!(
        code == Some(2) && why.contains("3 steps have no result in any cache: check, count, make"),
        "{why}"
    );
    assert!(!checkout.path().join("x").exists());
    here.run(&checkout).assert_success();
    let path = create(&here, &checkout, &["--no-results"]);
    let described: Value = serde_json::from_str(&done(&bundle(
        &here,
        checkout.path(),
        &["inspect", "--format", "json", "app.bundle"],
    )))
    .unwrap();
    assert_eq!(described["contents"]["results"], Value::Array(Vec::new()));
    assert_eq!(described["contents"]["without_result"].as_array().unwrap().len(), 3);
    let built = run(&there, &path, &[]);
    built.assert_success();
    assert_eq!(built.executed().len(), 4);
    let again = run(&there, &path, &[]);
    assert_eq!((again.executed(), again.cached().len()), (vec!["ship"], 3));
}

#[test]
fn what_is_imported_needs_no_bundle_any_more() {
    let (here, there, checkout) = (User::new(), User::new(), checkout());
    here.run(&checkout).assert_success();
    let path = create(&here, &checkout, &[]);
    let site = tempfile::tempdir().unwrap();
    let project = site.path().join("project");
    let arguments = ["import", path.to_str().unwrap(), "--project", "project"];
    let said = done(&bundle(&there, site.path(), &arguments));
    assert!(said.contains("3 results and 1 images are in the cache of this machine"), "{said}");
    let (code, why) = refused(&bundle(&there, site.path(), &arguments));
    assert!(code == Some(2) && why.contains("'project' is not an empty directory"), "{why}");
    fs::remove_file(&path).unwrap();
    let command = ["run", "--progress", "json", "--locked"];
    let outcome = |arguments: &[&str]| {
        let all = command.into_iter().chain(arguments.iter().copied());
        Outcome::of(&there.command(&project, all).output().unwrap())
    };
    let cached = outcome(&[]);
    cached.assert_success();
    assert_eq!((cached.executed(), cached.cached().len()), (vec!["ship"], 3));
    // The image is here, too.
    let all = outcome(&["--no-cache"]);
    all.assert_success();
    assert_eq!(all.executed().len(), 4);
}

#[test]
fn a_later_bundle_has_only_what_is_new() {
    let (here, there, checkout) = (User::new(), User::new(), checkout());
    here.run(&checkout).assert_success();
    let path = create(&here, &checkout, &[]);
    checkout.edit("text", "sand", "soda");
    here.run(&checkout).assert_success();
    let arguments = ["create", "-o", "next.bundle", "--no-program", "--since", "app.bundle"];
    done(&bundle(&here, checkout.path(), &arguments));
    let next = checkout.path().join("next.bundle");
    let [all, new] = [&path, &next].map(|path| fs::metadata(path).unwrap().len());
    assert!(new < all, "{new} of {all}");
    let (code, why) = refused(&bundle(&there, checkout.path(), &["run", "next.bundle"]));
    assert!(code == Some(2) && why.contains("continues the bundle sha256:"), "{why}");
    let carried = run(&there, &next, &["--base", path.to_str().unwrap(), "--output", "dist"]);
    carried.assert_success();
    assert_eq!((carried.executed(), carried.cached().len()), (vec!["ship"], 3));
    assert_eq!(fs::read(checkout.path().join("dist/made")).unwrap(), b"soda\nfire\none");
}

#[test]
fn a_bundle_that_somebody_touched_is_refused_before_anything_runs() {
    let (here, there, checkout) = (User::new(), User::new(), checkout());
    here.run(&checkout).assert_success();
    let key = checkout.path().join("key.pem");
    let made = Command::new("openssl").args(["genpkey", "-algorithm", "ed25519", "-out"]).arg(&key).output();
    assert!(made.unwrap().status.success());
    let path = create(&here, &checkout, &["--signing-key", "key.pem"]);
    let signed = done(&bundle(&there, checkout.path(), &["verify", "app.bundle"]));
    let signer = signed.trim_end().rsplit(' ').next().unwrap().to_owned();
    assert!(signer.starts_with("ed25519:"), "{signed}");
    done(&bundle(&there, checkout.path(), &["verify", "app.bundle", "--trusted-key", &signer]));
    let stranger = format!("ed25519:{}", "0".repeat(64));
    for command in ["verify", "run", "import"] {
        let (code, why) =
            refused(&bundle(&there, checkout.path(), &[command, "app.bundle", "--trusted-key", &stranger]));
        assert!(code == Some(2) && why.contains("whom nobody here trusts"), "{why}");
    }
    let sound = fs::read(&path).unwrap();
    let at = sound.windows(15).position(|window| window == b"name: carried\ns").unwrap();
    let mut changed = sound.clone();
    changed[at + 6] = b'C';
    fs::write(&path, changed).unwrap();
    for command in ["verify", "run", "import"] {
        let (code, why) = refused(&bundle(&there, checkout.path(), &[command, "app.bundle"]));
        assert_eq!(code, Some(2));
        assert!(why.contains("(cullet.yaml) has other bytes than its name says"), "{why}");
    }
    assert!(!there.cache().join("bundles").exists(), "nothing was unpacked");
    fs::write(&path, &sound[..sound.len() / 2]).unwrap();
    assert_eq!(refused(&bundle(&there, checkout.path(), &["run", "app.bundle"])).0, Some(2));
}
