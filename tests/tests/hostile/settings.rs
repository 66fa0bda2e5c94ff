//! Environments that make no sense, and places that are gone.

use cullet_tests::{Checkout, User};

use super::support::expect;

fn checkout() -> Checkout {
    Checkout::of_pipeline(
        "cullet: 1\nparams: { n: 1, b: false, v: { values: [x, y], default: x } }\nsteps:\n  \
         a: { run: 'echo ${{ params.n }} ${{ params.b }} ${{ params.v }}' }\n  ab: { run: 'true', matrix: { i: [1, 2] } }\n",
    )
}

#[test]
fn wrong_variables_are_named() {
    let (user, checkout) = (User::new(), checkout());
    for (name, value, words) in [
        ("CULLET_JOBS", "0", "not a number of processors"),
        ("CULLET_JOBS", "many", "not a number of processors"),
        ("CULLET_CACHE_SIZE", "huge", "not a size"),
        ("CULLET_MEMORY", "-5", "not a size"),
        ("CULLET_PROGRESS", "fancy", "auto, tty, plain, json"),
        ("CULLET_EXECUTOR", "podman", "auto, sandbox, docker, plain"),
        ("CULLET_LOG", "a=b=c", "hint: write a level"),
        ("CULLET_CONFIG", "/nonexistent", "No such file"),
        ("CULLET_CONFIG", "/tmp", "Is a directory"),
        ("CULLET_CLUSTER", "http://x", "leave out --cluster and CULLET_CLUSTER"),
    ] {
        let output = user.command(checkout.path(), ["run"]).env(name, value).output().unwrap();
        expect(&output, 2, &[words, if name == "CULLET_CONFIG" { value } else { "" }]);
        let empty = user.command(checkout.path(), ["run", "a"]).env(name, "").output().unwrap();
        expect(&empty, 0, &["succeeded"]);
    }
    checkout.write("conf.toml", "jbos = 4\n");
    let output = user.command(checkout.path(), ["run"]).env("CULLET_CONFIG", "conf.toml").output().unwrap();
    expect(&output, 2, &["conf.toml:1:1", "jbos", "jobs"]);
}

#[test]
fn wrong_parameters_and_targets_are_named() {
    let (user, checkout) = (User::new(), checkout());
    for (arguments, words) in [
        (&["--param", "n=abc"][..], &["`n` is a number; `abc` is not"][..]),
        (&["--param", "b=maybe"], &["`b` is a boolean"]),
        (&["--param", "v=z"], &["cannot be `z`", "`x`, `y`"]),
        (&["--param", "nope=1"], &["no parameter `nope`", "`n`"]),
        (&["--param", "n"], &["NAME=VALUE"]),
        (&["nosuch"], &["no step `nosuch`"]),
        (&["ac"], &["no step `ac`", "did you mean"]),
        (&["ab[i=7]"], &["no instance of `ab` has i=7", "`i=1`"]),
        (&["ab[k=1]"], &["no `k`", "`i`"]),
        (&[""], &["not the name of a step"]),
    ] {
        let all = ["run"].into_iter().chain(arguments.iter().copied());
        expect(&user.cullet(&checkout, all), 2, words);
    }
}

#[test]
fn no_home_and_a_home_that_takes_nothing() {
    let (user, checkout) = (User::new(), checkout());
    let without = |home: Option<&str>| {
        let mut command = user.command(checkout.path(), ["run", "a"]);
        command.env_remove("CULLET_CACHE_DIR").env_remove("HOME").env_remove("XDG_CACHE_HOME");
        if let Some(home) = home {
            command.env("HOME", home);
        }
        command.output().unwrap()
    };
    expect(&without(None), 2, &["neither HOME nor XDG_CACHE_HOME is set", "--cache-dir"]);
    let words =
        ["cannot prepare the cache directory /proc/nohome/.cache/cullet", "hint: name another directory"];
    expect(&without(Some("/proc/nohome")), 3, &words);
    // With a cache elsewhere, a home is not needed.
    let output = user.command(checkout.path(), ["run", "a"]).env_remove("HOME").output().unwrap();
    expect(&output, 0, &["succeeded"]);
}

#[test]
fn a_current_directory_that_is_gone() {
    let (user, checkout) = (User::new(), checkout());
    let file = checkout.pipeline().display().to_string();
    let run = |script: &str| {
        let script = format!("mkdir gone; cd gone; rmdir ../gone; {script}");
        let mut command = std::process::Command::new("sh");
        command.args(["-c", &script, "sh"]).arg(cullet_tests::cullet_binary()).arg(&file);
        command.env("CULLET_CACHE_DIR", user.cache()).current_dir(checkout.path()).output().unwrap()
    };
    expect(&run("exec \"$1\" run"), 2, &["cannot read the pipeline file", "hint:"]);
    expect(&run("exec \"$1\" run a -f \"$2\""), 0, &["succeeded"]);
    expect(&run("exec \"$1\" runs"), 0, &["succeeded"]);
    expect(&run("CULLET_CACHE_DIR=relative exec \"$1\" run -f \"$2\""), 3, &["cannot resolve relative"]);
}
