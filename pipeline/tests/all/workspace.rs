//! Keys about a step's surroundings: its root, volumes, services, secrets.

use crate::support::{check, plan};

#[test]
fn image_unknown() {
    check(
        r#"cullet: 1
images: { debian: docker.io/library/debian:12 }
steps:
  a: { image: debain, run: x }
  b: { image: fedora, run: x }
  c: { image: "a//b", run: x }
  d: { image: "docker-archive:a/../b", run: x }
  e: { image: hots, run: x }"#,
        r#"4:15: error: there is no image `debain`; did you mean `debian`?
5:15: error: there is no image `fedora`; define it in `images:`, or write a full reference such as `docker.io/library/fedora`
6:15: error: `a//b` is not an image reference; write it as `registry.example/name:tag`, `oci-layout:DIR` or `docker-archive:FILE`
7:15: error: `a/../b` leaves the directory it is in; use no `..`
8:15: error: there is no image `hots`; did you mean `host`?
"#,
    );
}

#[test]
fn caches() {
    check(
        r#"cullet: 1
name: app
steps:
  s:
    run: x
    caches: { rel: a, /: b, /a/../b: c, /x: "sp ace", /y: v, /y/: w, /y/z: u, /k: { shared: locked }, /l: 1, /m: { volume: v, shared: often }, /n: { volume: n, shared: [1], locked: 2 }, /o: { volume: o, shared: locked, locked: true } }
"#,
        r#"6:15: error: `rel` is relative; this path must begin with `/`
6:23: error: the path is empty; write `.` for the directory itself
6:29: error: `a/../b` leaves the directory it is in; use no `..`
6:45: error: `sp ace` cannot be the name of a cache; use letters, digits, `_` and `-`
6:62: error: two caches are at `/y`
6:70: error: the cache at `/y/z` is inside of another one at `/y`
6:83: error: the key `volume` is missing
6:107: error: expected the name of a cache or a map, found a number; write `/root/.cache: NAME` or `/root/.cache: { volume: NAME, shared: true }`
6:110: error: the volume `v` is at two places in one step
6:135: error: `often` is no way to share a cache; it is true, false, `free` or `locked`
6:169: error: expected true, false, `free` or `locked`, found a list
6:182: error: expected true or false, found a number
6:220: error: `shared: locked` says already what `locked` says; leave one of them out
"#,
    );
}

#[test]
fn a_cache_is_shared_locked_both_or_neither() {
    let plan = plan(
        r#"cullet: 1
name: app
params: { with: true }
steps:
  s:
    run: x
    caches:
      /a: a
      /b: { volume: b, shared: true }
      /c: { volume: c, shared: locked }
      /d: { volume: d, shared: "${{ params.with }}", locked: true }
      /e: { volume: e, shared: false }
      /f: { volume: f, locked: true }
"#,
        &[],
        &[],
    );
    let caches = plan.steps[0].settings.caches.iter();
    let caches: Vec<(&str, bool, bool)> = caches.map(|c| (&*c.volume, c.locked, c.travels)).collect();
    let [no, yes] = [false, true];
    let expected =
        [("a", no, no), ("b", no, yes), ("c", yes, no), ("d", yes, yes), ("e", no, no), ("f", yes, no)];
    assert_eq!(caches, expected);
    let caches = &plan.steps[0].settings.caches;
    assert_eq!(caches[1].travels_as("t", "p").as_deref(), Some("t\0p"));
    assert_eq!(caches[2].travels_as("t", "p"), None);
}

#[test]
fn caches_hide_nothing() {
    check(
        r#"cullet: 1
sources: { src: . }
steps:
  s:
    run: x
    inputs: { .: src, deps/a: "src:a" }
    outputs: { wheel: "dist/*.whl", bin: target/debug/app, other: "**" }
    caches:
      /proc: a
      /dev/shm: b
      /run: c
      /run/secrets/x: d
      /workspace: e
      /var: f
      /etc: g
      /workspace/deps: h
      /workspace/dist: i
      /workspace/target: j
      /workspace/node_modules: k
      /tmp/x: l
      /run/other: m
      /workspace/targets: n
"#,
        r#"8:5: error: only a pipeline with a name has caches; write `name: …` at the top of the file: volumes belong to all pipelines of that name
9:7: error: a cache at `/proc` would hide the sandbox's own `/proc`; give it a directory of its own
10:7: error: a cache at `/dev/shm` would hide the sandbox's own `/dev`; give it a directory of its own
11:7: error: a cache at `/run` would hide the sandbox's own `/run/secrets`; give it a directory of its own
12:7: error: a cache at `/run/secrets/x` would hide the sandbox's own `/run/secrets`; give it a directory of its own
13:7: error: a cache at `/workspace` would hide the sandbox's own `/workspace`; give it a directory of its own
14:7: error: a cache at `/var` would hide the sandbox's own `/var/tmp`; give it a directory of its own
15:7: error: a cache at `/etc` would hide the sandbox's own `/etc/hosts`; give it a directory of its own
16:7: error: a cache at `/workspace/deps` would hide the input at `deps/a`
17:7: error: the output `dist/*.whl` is in the cache at `/workspace/dist`; what is in a cache may be gone at any time: copy it out, or leave the cache away
18:7: error: the output `target/debug/app` is in the cache at `/workspace/target`; what is in a cache may be gone at any time: copy it out, or leave the cache away
"#,
    );
}

#[test]
fn services() {
    check(
        r#"cullet: 1
steps:
  s:
    run: x
    services: { db: { run: x }, "q q": { image: nope }, c: { image: a/b, ready: { tcp: 0, timeout: 0s }, env: { A: 1 }, prots: 1 }, d: x, e: { image: host } }
"#,
        r#"5:21: error: the key `image` is missing
5:33: error: `q q` cannot be the name of a service; use letters, digits, `_` and `-`
5:49: error: there is no image `nope`; define it in `images:`, or write a full reference such as `docker.io/library/nope`
5:88: error: `0` is not a port from 1 to 65535
5:100: error: `0s` leaves no time at all; write it as 90s, 10m, 1h30m or 500ms
5:116: error: expected a string, found a number; quote it: "1"
5:121: error: unknown key `prots`; the keys here are image, run, env, ready, secrets
5:136: error: expected a map, found a string; its keys are image, run, env, ready, secrets
5:151: error: a service runs in an image, not on the machine's own root; name one in `images:`, or write a full reference
"#,
    );
}

#[test]
fn readiness() {
    check(
        r#"cullet: 1
steps:
  s:
    run: x
    network: full
    services:
      a: { image: a/b, ready: {} }
      b: { image: a/b, ready: { tcp: 1, exec: x } }
      c: { image: a/b, ready: { http: { path: x, status: 20 }, interval: 9ms } }
      d: { image: a/b, ready: { exec: [] } }
      e: { image: a/b, ready: { htpp: { port: 1 } } }
"#,
        r#"6:5: error: a step with services cannot have `network: full`; their ports would be those of the machine, where something else may listen: leave one of the two out
7:24: error: a service is ready in exactly one way; give one of `tcp`, `http` and `exec`
8:24: error: a service is ready in exactly one way; give one of `tcp`, `http` and `exec`
9:39: error: the key `port` is missing
9:47: error: `x` is not a path such as `/healthz`; it begins with `/`; anything but plain characters is written as `%` and hexadecimal digits
9:58: error: `20` is not a status from 100 to 599
9:74: error: an interval is at least 10ms
10:39: error: there is no program to run
11:24: error: a service is ready in exactly one way; give one of `tcp`, `http` and `exec`
11:33: error: unknown key `htpp`; did you mean `http`?
"#,
    );
}

#[test]
fn secrets() {
    check(
        r#"cullet: 1
steps:
  s:
    run: x
    secrets: { 1A: env, "A-B": env, C: evn, D: {}, E: { env: A, file: b }, F: { file: a, key: k }, G: { provider: vault, identity: 1 }, H: 5 }
  t:
    run: x
    env: { K: "1" }
    secrets: { I: { command: pass }, J: { command: [] }, K: { env: X, expose: env }, L: { env: X, expose: argv }, M: { command: [a, "${{ x }}"] } }
"#,
        r#"5:16: error: `1A` cannot be the name of a secret; use letters, digits and `_`, no digit first
5:25: error: `A-B` cannot be the name of a secret; use letters, digits and `_`, no digit first
5:40: error: expected `env` or a map, found a string; did you mean `env`?
5:48: error: a secret comes from exactly one place; give one of `env`, `file`, `command` and `provider`
5:55: error: a secret comes from exactly one place; give one of `env`, `file`, `command` and `provider`
5:90: error: `key` belongs to a `provider`
5:132: error: expected true or false, found a number
5:140: error: expected `env` or a map, found a number
9:30: error: expected a list of a program and its arguments, found a string; no shell reads it; write `[pass, show, token]`
9:43: error: there is no program to run
9:58: error: `env` declares the variable `K` as well; leave one of them out
9:107: error: a secret cannot be exposed as `argv`; it is `env`, or left out for the file alone
9:138: error: `x` is neither `params` nor `matrix`; strings are written in quotes: 'text'
"#,
    );
}
