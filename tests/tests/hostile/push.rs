//! Images that runs wrote, into real registries: with a login and a private authority, through one that fails, and by
//! whoever is killed meanwhile.

use std::fs;
use std::path::Path;
use std::process::Output;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use cullet_tests::{Checkout, User};
use serde_json::Value;

use super::made::Image;
use super::proxy::{Proxy, Way, length};
use super::registry::{Real, has};
use super::support::{expect, is_plain, skip, start, until};

/// A step that leaves its root, as a layout and as an archive with a name.
const PIPELINE: &str = "cullet: 1
name: push
params: { version: '1.2' }
steps:
  build: { image: 'oci-layout:base', run: 'echo built > /built', outputs: { image: rootfs } }
outputs:
  app: build.image
  app.tar: { from: build.image, format: docker-archive, name: 'team/app:${{ params.version }}' }
";

/// Written images in `out`, and a layer above the shell's that takes a while.
fn written(user: &User, layer: &str) -> Checkout {
    let checkout = Checkout::of_pipeline(PIPELINE);
    Image { layers: &[layer], ..Image::default() }.layout(&checkout.path().join("base"));
    expect(
        &user.cullet(&checkout, ["run", "--output", "out", "--progress", "plain"]),
        0,
        &["build: succeeded"],
    );
    checkout
}

fn manifest(layout: &Path) -> String {
    let index: Value = serde_json::from_slice(&fs::read(layout.join("index.json")).unwrap()).unwrap();
    index["manifests"][0]["digest"].as_str().unwrap().to_owned()
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// Runs a step in the image, as somebody who has nothing yet.
#[track_caller]
fn runs_in(reference: &str, configure: &dyn Fn(&mut std::process::Command)) {
    let text = format!(
        "cullet: 1\nsteps:\n  a: {{ image: '{reference}', run: 'grep built /built && test -s /layer' }}\n"
    );
    let (user, checkout) = (User::new(), Checkout::of_pipeline(&text));
    let mut command = user.command(checkout.path(), ["run", "--progress", "plain"]);
    configure(&mut command);
    expect(&command.output().unwrap(), 0, &["a: succeeded"]);
}

#[test]
fn what_a_run_wrote_is_pushed_once_and_run_from_there() {
    if is_plain() {
        return skip("the plain executor runs no steps in images");
    }
    let Some(real) = Real::start("", "") else { return };
    let user = User::new();
    let checkout = written(&user, "one");
    let digest = manifest(&checkout.path().join("out/app"));
    let at = |text: &str| format!("{}/{text}", real.address);
    let push = |arguments: &[&str]| user.cullet(&checkout, [&["image", "push"], arguments].concat());

    let pushed = push(&["out/app", &at("team/app:1"), &at("team/app"), &at("other/app:1")]);
    expect(&pushed, 0, &["4 blobs sent", "0 blobs sent (0 B), 4 were there", "4 were in another repository"]);
    let lines = ["team/app", "team/app", "other/app"].map(|name| format!("{}@{digest}\n", at(name)));
    assert_eq!(stdout(&pushed), lines.concat());
    for reference in [at("team/app:1"), at("team/app"), at(&format!("other/app@{digest}"))] {
        runs_in(&reference, &|_| ());
    }
    // By the digest that it has, and by no other.
    expect(&push(&["out/app", &at(&format!("third/app@{digest}"))]), 0, &[]);
    let other = at(&format!("third/app@sha256:{}", "0".repeat(64)));
    expect(&push(&["out/app", &other]), 2, &["can be pushed by a tag only", &digest]);

    // The archive, which is called what the pipeline says.
    let archive = push(&["docker-archive:out/app.tar:team/app:1.2", &at("archive/app:1")]);
    expect(&archive, 0, &["archive/app@sha256:"]);
    runs_in(&at("archive/app:1"), &|_| ());
    let unnamed = push(&["docker-archive:out/app.tar:app:2", &at("archive/app:1")]);
    expect(&unnamed, 2, &["has no single image app:2; it has team/app:1.2"]);
}

#[test]
fn a_login_and_a_private_authority_are_those_of_the_settings() {
    if is_plain() || !has("openssl") {
        return skip("there is nothing to run steps in, or no openssl");
    }
    let tls = "  tls:\n    certificate: DIR/cert.pem\n    key: DIR/key.pem\n";
    let Some(real) = Real::start(tls, "auth:\n  htpasswd:\n    realm: test\n    path: DIR/users\n") else {
        return;
    };
    let user = User::new();
    let checkout = written(&user, "one");
    let to = format!("{}/team/app:1", real.address);
    let settings = format!("[registries.\"{}\"]\nplain-http = false\n", real.address);
    checkout.write("untrusting.toml", &settings);
    let authority = real.dir.path().join("ca.pem");
    checkout.write("trusting.toml", &format!("registry-ca = [\"{}\"]\n{settings}", authority.display()));
    let docker = checkout.path().join("docker");
    fs::create_dir(&docker).unwrap();
    let configure = |command: &mut std::process::Command, settings: &str| {
        command.env("CULLET_CONFIG", checkout.path().join(settings)).env("DOCKER_CONFIG", &docker);
    };
    let push = |settings: &str| {
        let mut command = user.command(checkout.path(), ["image", "push", "out/app", &to]);
        configure(&mut command, settings);
        command.output().unwrap()
    };
    expect(&push("untrusting.toml"), 2, &["cannot push to", "its certificate is not trusted"]);
    expect(&push("trusting.toml"), 2, &["cannot push to", "it wants a login (401)", "cullet login"]);
    // `user:wrong`, and `user:secret` by way of a helper.
    let auths = format!(r#"{{"auths":{{"{}":{{"auth":"dXNlcjp3cm9uZw=="}}}}}}"#, real.address);
    fs::write(docker.join("config.json"), auths).unwrap();
    expect(&push("trusting.toml"), 2, &["it does not accept the login of `user` (401)"]);
    let auths = format!(r#"{{"auths":{{"{}":{{"auth":"dXNlcjpzZWNyZXQ="}}}}}}"#, real.address);
    fs::write(docker.join("config.json"), auths).unwrap();
    expect(&push("trusting.toml"), 0, &["4 blobs sent"]);
    runs_in(&to, &|command| configure(command, "trusting.toml"));
}

#[test]
fn whoever_is_killed_while_pushing_leaves_no_image_and_the_next_one_goes_on() {
    if is_plain() {
        return skip("the plain executor runs no steps in images");
    }
    let Some(real) = Real::start("", "") else { return };
    let user = User::new();
    let checkout = written(&user, &"large ".repeat(2 << 20));
    let stalled = Arc::new(AtomicBool::new(false));
    let is_stalled = Arc::clone(&stalled);
    let proxy = Proxy::new(&real.address, move |head| {
        // The largest is the last but one, and most of it is never sent.
        if head.starts_with("PUT") && length(head) > 8 << 20 {
            is_stalled.store(true, Ordering::Relaxed);
            return Way::Stall(1 << 20);
        }
        Way::Through
    });
    let running =
        start(&user, &checkout, &["image", "push", "out/app", &format!("{}/team/app:1", proxy.address)]);
    until("the large layer to be on its way", || stalled.load(Ordering::Relaxed));
    running.kill();
    let to = format!("{}/team/app:1", real.address);
    let text = format!("cullet: 1\nsteps:\n  a: {{ image: '{to}', run: 'true' }}\n");
    let nobody = Checkout::of_pipeline(&text);
    expect(&User::new().cullet(&nobody, ["run"]), 2, &["not found (404)"]);
    let again = user.cullet(&checkout, ["image", "push", "out/app", &to]);
    expect(&again, 0, &["2 blobs sent", "2 were there", &manifest(&checkout.path().join("out/app"))]);
    runs_in(&to, &|_| ());
}

#[test]
fn what_cannot_be_pushed_is_said() {
    if is_plain() {
        return skip("the plain executor runs no steps in images");
    }
    let Some(real) = Real::start("", "") else { return };
    let user = User::new();
    let checkout = written(&user, "one");
    checkout.write("text", "no archive\n");
    let at = |text: &str| format!("{}/{text}", real.address);
    let push = |source: &str, to: &str| user.cullet(&checkout, ["image", "push", source, to]);
    expect(&push("nowhere", &at("app:1")), 2, &["'nowhere' cannot be pushed", "--output DIR"]);
    expect(&push("out", &at("app:1")), 2, &["oci-layout:out cannot be pushed", "out/oci-layout"]);
    expect(&push("text", &at("app:1")), 2, &["docker-archive:text cannot be pushed"]);
    expect(&push("out/app", "oci-layout:elsewhere"), 2, &["is on this machine"]);
    expect(&push("out/app", &at("App:1")), 2, &["where to push is wrong", "lower case"]);
    expect(&user.cullet(&checkout, ["image", "push", "out/app"]), 2, &["REFERENCE"]);
    // Side by side: some are tried again for a while.
    std::thread::scope(|scope| {
        let push = &push;
        scope.spawn(move || {
            expect(
                &push("out/app", "127.0.0.1:1/app:1"),
                3,
                &["cannot push to 127.0.0.1:1/app:1", "no answer"],
            );
        });
        for (status, code, words) in [
            (403, 2, "access is denied (403)"),
            (500, 3, "it answered with status 500"),
            (429, 3, "it is overloaded (429): try again in 3600 seconds"),
        ] {
            let proxy = Proxy::new(&real.address, move |head| match head.starts_with("POST") {
                true => Way::Answer(status, if status == 429 { "Retry-After: 3600" } else { "X: y" }),
                false => Way::Through,
            });
            let to = format!("{}/app:1", proxy.address);
            scope.spawn(move || expect(&push("out/app", &to), code, &["cannot push to", words]));
        }
    });
    // A blob is not what its name says: the registry is not even asked to take it.
    let layers = super::made::small_layers(&checkout.path().join("out/app"));
    fs::write(&layers[0], "damaged").unwrap();
    expect(&push("out/app", &at("damaged:1")), 3, &["is damaged", "the blob of oci-layout:out/app"]);
}

#[test]
fn a_run_pushes_what_it_wrote_once_all_of_it_has_succeeded() {
    if is_plain() {
        return skip("the plain executor runs no steps in images");
    }
    let Some(real) = Real::start("", "") else { return };
    let (user, checkout) = (User::new(), Checkout::of_pipeline(PIPELINE));
    Image::default().layout(&checkout.path().join("base"));
    let to = format!("{}/team/app:1", real.address);
    let push = |name: &str| format!("{name}={to}");
    let run =
        |arguments: &[&str]| user.cullet(&checkout, [&["run", "--progress", "json"], arguments].concat());
    expect(&run(&["--push", &push("app")]), 2, &["--output"]);
    let unknown = run(&["--output", "out", "--push", &push("ap")]);
    expect(&unknown, 2, &["no output of this run is called 'ap' and is an image", "app, app.tar"]);
    assert_eq!(unknown.stdout, b"", "nothing has run");

    let done = run(&["--output", "out", "--push", &push("app")]);
    expect(&done, 0, &["4 blobs sent"]);
    let lines = String::from_utf8(done.stdout.clone()).unwrap();
    assert!(lines.lines().all(|line| serde_json::from_str::<Value>(line).is_ok()), "{lines}");
    let digest = manifest(&checkout.path().join("out/app"));
    assert!(String::from_utf8_lossy(&done.stderr).contains(&format!("{}/team/app@{digest}", real.address)));
    runs_in(&to, &|_| ());

    // What fails is not pushed, whatever an earlier run wrote; nor is what was skipped.
    let other = format!("app={}/team/other:1", real.address);
    checkout.edit("cullet.yaml", "steps:\n", "steps:\n  bad: { run: 'exit 1' }\n");
    expect(&run(&["--keep-going", "--output", "out", "--push", &other]), 1, &[]);
    checkout.edit("cullet.yaml", "run: 'exit 1'", "run: 'exit 0'");
    checkout.edit("cullet.yaml", "build: {", "build: { if: false,");
    let skipped = run(&["--output", "out", "--push", &other]);
    expect(&skipped, 2, &["the image 'app' is not pushed to", "this run did not write it"]);
    let text = format!("cullet: 1\nsteps:\n  a: {{ image: '{}/team/other:1', run: 'true' }}\n", real.address);
    expect(&User::new().cullet(&Checkout::of_pipeline(&text), ["run"]), 2, &["not found (404)"]);

    let gone = run(&["--output", "out", "--push", "app=127.0.0.1:1/app:1", "bad"]);
    expect(&gone, 2, &["no output of this run is called 'app'"]);
}
